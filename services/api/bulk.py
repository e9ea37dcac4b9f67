"""Many registrations in one request: each device for itself, all of them at once, in the order of the request.

What has been created stays created. Sent again under its Idempotency-Key, the request names the same secrets, which
the registry takes for what they are, and so completes what was left undone.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from libs.runtime.requests.client import NoAnswer, NotAsked, Refused
from libs.topics.codec import encode
from libs.topics.identity import device_key, is_name
from libs.topics.messages.base import Idempotency
from libs.topics.messages.registry_views import DeviceView
from libs.topics.names import REGISTRY_INBOX

from . import credentials
from .asking import Asker
from .devices import registration
from .documents import BulkAnswer, BulkDevice, BulkOutcome, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.runtime.requests.calls import Outcome as Told
    from libs.topics.messages.registry import RegisterDevice


class Run:
    """One bulk request under way."""

    def __init__(self, asker: Asker, product_id: str, devices: tuple[BulkDevice, ...]) -> None:
        self._asker, self._product_id, self._devices = asker, product_id, devices
        self._outcomes: list[BulkOutcome | None] = [None] * len(devices)
        self._asked: list[tuple[int, RegisterDevice, str]] = []
        """Place, request and secret, in the order in which they are asked."""

    async def __call__(self) -> BulkAnswer:
        """Register all of them. Raises `NoAnswer` or `NotAsked` where nobody answered for any."""
        hub = self._asker.hub
        told = await hub.requests.ask_all(REGISTRY_INBOX, self._requests(), timeout=hub.settings.answer_s)
        for (place, request, secret), outcome in zip(self._asked, told, strict=True):
            self._outcomes[place] = self._outcome(request, secret, outcome)
        results = [outcome for outcome in self._outcomes if outcome is not None]
        counts = Counter(outcome.outcome for outcome in results)
        silent = next((outcome for outcome in told if isinstance(outcome, NoAnswer | NotAsked)), None)
        if silent is not None and not counts["created"] + counts["exists"]:
            raise silent
        return BulkAnswer(
            results=results,
            created=counts["created"],
            exists=counts["exists"],
            refused=counts["refused"],
            unanswered=counts["unanswered"],
        )

    def _requests(self) -> Iterator[tuple[bytes, RegisterDevice]]:
        """Yield what is to be asked, and settle at once what need not be."""
        seen = set[str]()
        for place, device in enumerate(self._devices):
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
                asker = _asker_for(self._asker, device_id, device)
                request, secret = registration(
                    asker, self._product_id, device_id, tags=device.tags, attributes=device.attributes, origin="bulk"
                )
                self._asked.append((place, request, secret))
                yield device_key(self._product_id, device_id), request

    def _outcome(self, request: RegisterDevice, secret: str, told: Told) -> BulkOutcome:
        device_id = request.device_id
        if isinstance(told, Refused):
            outcome: Outcome = "exists" if told.answer.code == "device_exists" else "refused"
            return BulkOutcome(device_id=device_id, outcome=outcome, code=told.answer.code, detail=told.answer.detail)
        if isinstance(told, NoAnswer | NotAsked):
            code = "no_answer" if isinstance(told, NoAnswer) else "not_asked"
            return BulkOutcome(device_id=device_id, outcome="unanswered", code=code, detail=str(told))
        device = msgspec.json.decode(told.body, type=DeviceView)
        return BulkOutcome(
            device_id=device_id,
            outcome="created",
            version=device.version,
            secret=secret if device.credential_id == request.credential.id else None,
            mqtt=credentials.mqtt_address(self._asker.hub.settings.devices, self._product_id, device_id),
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
