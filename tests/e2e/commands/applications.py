"""Applications that send and call, and repeat each request under its key until it is answered."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import httpx
import msgspec

from tests.support.polling import eventually_async

if TYPE_CHECKING:
    from collections.abc import Iterable

PATIENCE = 90.0
"""Seconds until a request must have been answered, whatever is killed meanwhile."""
OUTCOMES = frozenset({"device_offline", "rpc_timed_out", "command_failed", "command_cancelled"})
"""Codes that say what became of a call; all others from 500 on say that nothing is known."""


class Told(msgspec.Struct, frozen=True):
    """What a caller was told of its call. ``state``: None where only the ledger knows."""

    device: str
    number: int
    request_id: str
    state: str | None
    reply: Any


class Application:
    def __init__(self, client: httpx.AsyncClient, product: str) -> None:
        self._client, self._product = client, product

    async def ask(self, method: str, path: str, **what: Any) -> httpx.Response:
        """The answer of a hub that can answer; ``path``: behind the version."""
        headers = {"Idempotency-Key": uuid.uuid4().hex} if method == "POST" else {}

        async def answer() -> httpx.Response:
            try:
                found = await self._client.request(method, f"/v1{path}", headers=headers, **what)
            except httpx.TransportError as error:
                raise AssertionError(f"{type(error).__name__}: {error}") from error
            assert found.status_code < 500 or found.json()["code"] in OUTCOMES, found.text
            return found

        return await eventually_async(answer, PATIENCE, describe=f"an answer to {method} {path}")

    def of(self, device: str) -> str:
        return f"/products/{self._product}/devices/{device}"

    async def register(self, devices: Iterable[str], *tags: str) -> None:
        made = await self.ask("POST", "/products", json={"product_id": self._product})
        assert made.status_code == httpx.codes.CREATED, made.text
        many = {"devices": [{"device_id": device, "tags": tags} for device in devices]}
        made = await self.ask("POST", f"/products/{self._product}/devices:bulk", json=many)
        assert {result["outcome"] for result in made.json()["results"]} == {"created"}, made.text

    async def send(self, device: str, number: int, ttl_s: int = 3600) -> str:
        """The request id of a command that was accepted."""
        new = {"name": "work", "payload": {"n": number}, "ttl_s": ttl_s}
        answer = await self.ask("POST", f"{self.of(device)}/commands", json=new)
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        return str(answer.json()["request_id"])

    async def call(self, device: str, number: int) -> Told:
        new = {"name": "work", "payload": {"n": number}, "timeout_s": 20}
        answer = await self.ask("POST", f"{self.of(device)}/rpc", json=new)
        told = answer.json()
        if answer.status_code != httpx.codes.OK:
            assert told["code"] in OUTCOMES, answer.text
            told = told["current"]
        return Told(device, number, told["request_id"], told.get("state"), (told.get("reply") or {}).get("payload"))

    async def fan_out(self, tag: str, number: int) -> dict[str, Any]:
        new = {"name": "work", "payload": {"n": number}}
        answer = await self.ask("POST", f"/products/{self._product}/tags/{tag}/commands", json=new)
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        begun: dict[str, Any] = answer.json()
        return begun
