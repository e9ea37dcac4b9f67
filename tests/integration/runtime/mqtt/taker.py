"""A session under test, and a receiver that acknowledges as far as it is told to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

import mqtt5

from devstack.ports import HOST
from libs.runtime.mqtt.client import Client
from libs.runtime.mqtt.options import Options
from tests.support.polling import eventually_async

if TYPE_CHECKING:
    from types import TracebackType

    from libs.runtime.mqtt.session import Link

PATIENCE = 60.0


class Taker:
    """Keeps packets in order. ``acknowledges``: at once; else `acknowledge` does."""

    def __init__(self, *, acknowledges: bool = True) -> None:
        self.acknowledges = acknowledges
        self.sessions: list[bool] = []
        self.packets: list[mqtt5.PublishPacket] = []
        self._link: Link | None = None

    async def prepare(self) -> None:
        """Always ready."""

    async def opened(self, link: Link, *, session_present: bool) -> None:
        self._link = link
        self.sessions.append(session_present)

    def receive(self, packets: list[mqtt5.PublishPacket]) -> None:
        self.packets += packets
        if self.acknowledges:
            self.acknowledge(packets)

    def acknowledge(self, packets: list[mqtt5.PublishPacket]) -> None:
        assert self._link is not None
        for packet in packets:
            if packet.packet_id is not None:
                self._link.write(mqtt5.PubAckPacket(packet.packet_id).write())

    async def leaving(self, link: Link) -> None:
        await link.leave(5.0)

    def closed(self) -> None:
        self._link = None

    @property
    def payloads(self) -> list[bytes]:
        return [packet.payload for packet in self.packets]


class Session:
    """A client that runs from the beginning of the block to its end.

    ``name``: client id, and first level of the topics that it subscribes to; ``settings``: of `Options`.
    """

    def __init__(self, port: int, name: str, taker: Taker, **settings: object) -> None:
        known = {"keep_alive": 30, "receive_max": 1000, "back_off": (0.05, 0.5), **settings}
        self.taker = taker
        self.client = Client(Options(HOST, port, name, (f"{name}/#",), **known), taker)  # type: ignore[arg-type]  # checked by the class itself
        self._stop = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.run = asyncio.create_task(self.client.run(self._stop))
        await self.subscribed()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        await asyncio.wait([self.run])
        if error is None and not self.run.cancelled():
            self.run.exception()  # looked at: whoever expects one asks `run`

    async def subscribed(self, connections: int = 1) -> None:
        async def check() -> bool:
            return self.client.subscribed and self.client.connections >= connections

        await eventually_async(check, PATIENCE, describe=f"subscribed on connection {connections}")

    async def noticed(self) -> None:
        """Return when the session knows that its connection is gone."""

        async def check() -> bool:
            return not self.client.subscribed

        await eventually_async(check, PATIENCE, describe="a connection that is given up")

    async def received(self, count: int) -> None:
        async def check() -> bool:
            assert len(self.taker.packets) >= count, f"{len(self.taker.packets)} of {count}"
            return True

        await eventually_async(check, PATIENCE, describe=f"{count} packets")
