"""When a device that is refused tries again, and when it gives up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from fleetlog_device import Backoff, CredentialsRefused, connection
from fleetlog_device.connection import Connection, Credentials
from fleetlog_device.link import Address

if TYPE_CHECKING:
    from fleetlog_device.link import Link


class Session:
    async def hold(self, link: Link) -> None:
        """Nobody gets in."""

    async def lost(self, reason: Exception) -> None:
        """Nobody asks."""


@pytest.mark.parametrize("secrets", [("new",), ("new", "old")])
async def test_a_device_does_not_give_up_before_the_broker_can_know_it(
    monkeypatch: pytest.MonkeyPatch, secrets: tuple[str, ...]
) -> None:
    """However short chance makes the waits: a registration takes up to a second to the broker."""
    tried: list[str] = []
    slept: list[float] = []

    class Refusing:
        def __init__(self, *args: object) -> None:
            tried.append(str(args[-1]))

        async def __aenter__(self) -> Link:
            raise CredentialsRefused("not authorized")

        async def __aexit__(self, *_: object) -> None:
            """Nothing was opened."""

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    class Unlucky:
        def random(self) -> float:
            return 0.0

    monkeypatch.setattr(connection, "connected", Refusing)
    monkeypatch.setattr(connection, "CHANCE", Unlucky())
    monkeypatch.setattr(asyncio, "sleep", sleep)
    refused = Connection(Address("hub"), Credentials("p/d", "p/d", secrets, refusals=3), Backoff())
    with pytest.raises(CredentialsRefused):
        await refused.run(Session())
    assert tried == list(secrets) * 3
    assert sum(slept) >= 2 * Backoff().first
