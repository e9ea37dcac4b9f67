"""When a device that is refused tries again, and when it gives up."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from fleetlog_device import Backoff, CredentialsRefused, Device, MemoryStore, connection
from fleetlog_device.connection import Connection, Credentials
from fleetlog_device.link import Address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

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


async def test_that_it_is_refused_for_good_is_one_line_of_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    @asynccontextmanager
    async def connected(*_: object) -> AsyncIterator[None]:
        if refused:
            raise CredentialsRefused("not authorized")
        yield

    refused = True
    monkeypatch.setattr(connection, "connected", connected)
    quick = Backoff(first=0.001, longest=0.002)
    async with Device("p", "d", "s", host="hub", store=MemoryStore(), backoff=quick) as device:
        with pytest.raises(CredentialsRefused):
            await device.run()
    assert [record.exc_info for record in caplog.records if record.levelname == "ERROR"] == [None]
