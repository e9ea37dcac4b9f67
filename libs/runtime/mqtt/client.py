"""Keeps one `Link` alive: connect, subscribe, keep alive, connect again after growing, jittered pauses."""

from __future__ import annotations

import asyncio
import random
import ssl
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import mqtt5

from libs.runtime import logs

from .session import MISCONFIGURED, Link, Lost, Receiver, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from .options import Options

log = logs.get(__name__)
T = TypeVar("T")
Connect: TypeAlias = "Callable[[Options, Receiver], Coroutine[Any, Any, Link]]"


async def tcp(options: Options, receiver: Receiver) -> Link:
    """Connects; the link then sends CONNECT by itself. Raises OSError, TimeoutError."""
    async with asyncio.timeout(options.timeout):
        _, link = await asyncio.get_running_loop().create_connection(
            lambda: Link(options, receiver), options.host, options.port, ssl=options.tls
        )
    return link


class Client:
    """One persistent session, which `run` keeps until it is told to stop. ``connect``: `tcp` but in tests."""

    def __init__(self, options: Options, receiver: Receiver, connect: Connect | None = None) -> None:
        self._options, self._receiver, self._connect = options, receiver, connect or tcp
        self.link: Link | None = None
        self.connections = 0
        """Connections that reached a CONNACK."""

    @property
    def subscribed(self) -> bool:
        return self.link is not None and self.link.subscribed

    async def run(self, stop: asyncio.Event) -> None:
        """Raises `Refused`."""
        shortest, longest = self._options.back_off
        pause = shortest
        clock = asyncio.get_running_loop().time
        while not stop.is_set():
            began = clock()
            try:
                await self._connection(stop)
            except (Lost, OSError, TimeoutError, ssl.SSLError) as error:
                if not stop.is_set():
                    log.warning("mqtt_connection_ended", error=str(error) or type(error).__name__)
            if clock() - began > 2 * longest:
                pause = shortest
            if not stop.is_set():
                await _first(stop, seconds=pause * random.uniform(0.5, 1.0))  # noqa: S311  (jitter, no secret)
                pause = min(longest, pause * 2)

    async def _connection(self, stop: asyncio.Event) -> None:
        await _unless(stop, self._receiver.prepare())
        link = await _unless(stop, self._connect(self._options, self._receiver))
        try:
            keep_alive = await _unless(stop, self._open(link))
            await self._hold(link, stop, keep_alive)
        finally:
            self.link = None
            self._receiver.closed()
            link.transport.abort()

    async def _open(self, link: Link) -> int:
        """From CONNECT, which the link sends by itself, to SUBSCRIBE. Returns the keepalive in force."""
        ack = await _connack(link, self._options.timeout)
        if code := int(ack.reason_code):
            text = f"CONNECT refused: {ack.reason_code!r} {ack.reason_str or ''}"
            raise Refused(text, code) if code in MISCONFIGURED else Lost(text)
        self.connections += 1
        await self._receiver.opened(link, session_present=ack.session_present)
        self.link = link
        link.deliver_early()
        link.subscribe()
        return ack.server_keep_alive or self._options.keep_alive

    async def _hold(self, link: Link, stop: asyncio.Event, keep_alive: int) -> None:
        loop = asyncio.get_running_loop()
        watch = loop.create_task(_keep_alive(link, keep_alive))
        waiter = loop.create_task(stop.wait())
        link.suback.add_done_callback(lambda _: watch.cancel() if link.refused_filters else None)
        try:
            waits: list[asyncio.Future[Any]] = [link.ended, waiter, watch]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watch.cancel()
            waiter.cancel()
        if refused := link.refused_filters:
            raise Refused(f"SUBSCRIBE refused: {', '.join(refused)}", int(mqtt5.ConnAckReasonCode.NOT_AUTHORIZED))
        if link.ended.done():
            raise link.ended.result()
        if not stop.is_set():
            raise Lost("no answer to PINGREQ")
        await self._receiver.leaving(link)


async def _keep_alive(link: Link, seconds: float) -> None:
    """Ends when nothing came for one and a half periods while the link was reading."""
    clock = asyncio.get_running_loop().time
    while True:
        await asyncio.sleep(seconds / 3)
        if not link.paused and clock() - link.seen > seconds * 1.5:
            return
        link.ping()


async def _connack(link: Link, seconds: float) -> mqtt5.ConnAckPacket:
    waits: list[asyncio.Future[Any]] = [link.connack, link.ended]
    await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    if link.connack.done():
        return link.connack.result()
    raise link.ended.result() if link.ended.done() else Lost("no CONNACK")


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``; gives up, as `Lost`, when told to stop first."""
    task, waiter = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        waits: list[asyncio.Future[Any]] = [task, waiter]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Lost("told to stop")
    finally:
        task.cancel()
        waiter.cancel()


async def _first(stop: asyncio.Event, *, seconds: float) -> None:
    """Waits for ``stop``, but no longer than ``seconds``."""
    await asyncio.wait({waiter := asyncio.ensure_future(stop.wait())}, timeout=seconds)
    waiter.cancel()
