"""Many registrations in one request: each device for itself, all of them at once, in the order of the request.

What has been created stays created. Sent again under its Idempotency-Key, the request names the same secrets, which
the registry takes for what they are, and so completes what was left undone.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Final

from libs.runtime.requests.client import NoAnswer, NotAsked, Refused
from libs.topics.codec import encode
from libs.topics.identity import is_name
from libs.topics.messages.base import Idempotency

from .asking import Asker
from .devices import register
from .documents import BulkAnswer, BulkDevice, BulkOutcome, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKERS: Final = 400
"""Registrations of one request that wait for their answers at a time."""


class Run:
    """One bulk request under way."""

    def __init__(self, asker: Asker, product_id: str, devices: tuple[BulkDevice, ...]) -> None:
        self._asker, self._product_id = asker, product_id
        self._outcomes: list[BulkOutcome | None] = [None] * len(devices)
        self._left: Iterator[tuple[int, str, BulkDevice]] = self._named(devices)
        self._silent: NoAnswer | NotAsked | None = None
        """Why the rest is not asked: a registry that is away must not be asked ten thousand times in vain."""

    async def __call__(self) -> BulkAnswer:
        """Register all of them. Raises `Problem` where nobody answered for any."""
        async with asyncio.TaskGroup() as group:
            for _ in range(min(WORKERS, len(self._outcomes))):
                group.create_task(self._work())
        results = [outcome for outcome in self._outcomes if outcome is not None]
        counts = Counter(outcome.outcome for outcome in results)
        if self._silent is not None and not counts["created"] + counts["exists"]:
            raise self._silent
        return BulkAnswer(
            results=results,
            created=counts["created"],
            exists=counts["exists"],
            refused=counts["refused"],
            unanswered=counts["unanswered"],
        )

    def _named(self, devices: tuple[BulkDevice, ...]) -> Iterator[tuple[int, str, BulkDevice]]:
        """Yield (place, id, device), and settle at once what need not be asked about."""
        seen = set[str]()
        for place, device in enumerate(devices):
            device_id = device.device_id
            if device_id is None:
                device_id = self._asker.device_id(self._product_id, place)
            wrong = next((name for name in (device_id, *device.tags) if not is_name(name)), None)
            if wrong is not None:
                self._settle(place, device_id, "invalid_name", f"{wrong!r} is not a name")
            elif device_id in seen:
                self._settle(place, device_id, "repeated_device", f"{device_id} is named before in this request")
            else:
                seen.add(device_id)
                yield place, device_id, device

    async def _work(self) -> None:
        for place, device_id, device in self._left:
            self._outcomes[place] = await self._one(device_id, device)

    async def _one(self, device_id: str, device: BulkDevice) -> BulkOutcome:
        if self._silent is not None:
            return BulkOutcome(
                device_id=device_id, outcome="unanswered", code="not_asked", detail="others got no answer"
            )
        asker = _asker_for(self._asker, device_id, device)
        try:
            made = await register(
                asker, self._product_id, device_id, tags=device.tags, attributes=device.attributes, origin="bulk"
            )
        except Refused as refused:
            answer = refused.answer
            outcome: Outcome = "exists" if answer.code == "device_exists" else "refused"
            return BulkOutcome(device_id=device_id, outcome=outcome, code=answer.code, detail=answer.detail)
        except (NoAnswer, NotAsked) as silent:
            self._silent = silent
            code = "no_answer" if isinstance(silent, NoAnswer) else "not_asked"
            return BulkOutcome(device_id=device_id, outcome="unanswered", code=code, detail=str(silent))
        return BulkOutcome(
            device_id=device_id, outcome="created", version=made.version, secret=made.secret, mqtt=made.mqtt
        )

    def _settle(self, place: int, device_id: str, code: str, detail: str) -> None:
        self._outcomes[place] = BulkOutcome(device_id=device_id, outcome="refused", code=code, detail=detail)


def _asker_for(asker: Asker, name: str, device: BulkDevice) -> Asker:
    """Give each device an idempotency of its own: the rest of the request may be another one when it is repeated."""
    whole = asker.idempotency
    if whole is None:
        return asker
    fingerprint = hashlib.sha256(name.encode() + encode(device)).hexdigest()
    return Asker(asker.hub, asker.caller, Idempotency(whole.key, fingerprint))
