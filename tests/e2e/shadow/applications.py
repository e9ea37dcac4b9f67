"""Applications that set what devices should be, and repeat each request under its key until it is answered."""

from __future__ import annotations

import random
import uuid
from typing import TYPE_CHECKING, Any

import httpx
import msgspec

from tests.e2e.shadow.gadgets import passed
from tests.support.polling import eventually_async

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

PATIENCE = 60.0
"""Seconds until a request must have been answered, whatever is killed meanwhile."""
PAUSE = 0.1
"""Seconds between two requests of an application."""


class Accepted(msgspec.Struct, frozen=True):
    """A change that the hub said it has made."""

    device: str
    patch: dict[str, Any]
    version: int | None
    """That the answer named; None where the request was repeated: the answer then shows the document as it is."""


def path(product: str, device: str) -> str:
    return f"/v1/products/{product}/devices/{device}/shadow"


async def insist(client: httpx.AsyncClient, method: str, url: str, **what: Any) -> tuple[httpx.Response, int]:
    """The answer of a hub that can answer, and how often it was asked."""
    attempts = 0

    async def answer() -> httpx.Response:
        nonlocal attempts
        attempts += 1
        try:
            found = await client.request(method, url, **what)
        except httpx.TransportError as error:
            raise AssertionError(f"{type(error).__name__}: {error}") from error
        assert found.status_code < 500, found.text
        return found

    return await eventually_async(answer, PATIENCE, describe=f"an answer to {method} {url}"), attempts


class Application:
    """Numbers its own settings, and counts with all others, each on the version that it has read."""

    def __init__(
        self, name: str, client: httpx.AsyncClient, product: str, popular: list[str], turns: Iterator[str]
    ) -> None:
        """``popular``: devices that half of the requests are about; the others are about whose turn it is."""
        self.accepted: list[Accepted] = []
        self.conflicts = 0
        self._name, self._client, self._product = name, client, product
        self._popular, self._turns, self._chance = popular, turns, random.Random(name)

    async def work(self, enough: asyncio.Event) -> None:
        number = 0
        while not await passed(enough, PAUSE):
            number += 1
            device = next(self._turns) if number % 4 < 2 else self._chance.choice(self._popular)
            if number % 2:
                await self._patch(device, {"by": {self._name: number}})
            else:
                await self._count(device)

    async def _count(self, device: str) -> None:
        read, _ = await insist(self._client, "GET", path(self._product, device))
        assert read.status_code == httpx.codes.OK, read.text
        state = read.json()["state"]
        count = state.get("desired", {}).get("count", state.get("reported", {}).get("count", 0))
        await self._patch(device, {"count": count + 1}, {"If-Match": read.headers["etag"]})

    async def _patch(self, device: str, patch: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        told = {
            "Content-Type": "application/merge-patch+json",
            "Idempotency-Key": uuid.uuid4().hex,
            **(headers or {}),
        }
        content = msgspec.json.encode(patch)
        where = path(self._product, device)
        answer, attempts = await insist(self._client, "PATCH", where, content=content, headers=told)
        if headers and answer.status_code == httpx.codes.CONFLICT:
            self.conflicts += 1
            return
        assert answer.status_code == httpx.codes.OK, answer.text
        self.accepted.append(Accepted(device, patch, answer.json()["version"] if attempts == 1 else None))
