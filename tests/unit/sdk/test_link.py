"""Leaving in the moment in which a connection comes to be."""

from __future__ import annotations

import asyncio
import gc
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiomqtt import MqttError

from devstack.ports import HOST, free_port
from fleetlog_device import Backoff, Device, MemoryStore
from fleetlog_device.link import Link, _enter
from fleetlog_device.topics import Topics


@pytest.mark.parametrize("asking", ["subscribe", "unsubscribe"])
async def test_a_cancellation_that_comes_with_the_answer_is_heeded(asking: str) -> None:
    answered: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()

    async def answer(_filters: object) -> list[int]:
        return await asyncio.wait_for(answered, 10)

    link = Link(cast("Any", SimpleNamespace(**{asking: answer})))
    waiting = asyncio.ensure_future(getattr(link, asking)(["cmd/#"]))
    await asyncio.sleep(0)
    answered.set_result([1])
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_device_that_leaves_as_it_would_ask_asks_nothing() -> None:
    """A question that nobody will await would warn, and warnings are errors here."""
    async with Device("p", "d", "secret", host=HOST, port=free_port(), store=MemoryStore(), drain=0) as device:
        device.shadow.on_delta(lambda _delta, _document: None)
        before = set(device._tasks)
        device._greet()
        questions = device._tasks - before
        for question in questions:
            question.cancel()
    assert len(questions) == 3
    assert all(question.cancelled() for question in questions)


async def test_a_device_that_leaves_while_it_connects_says_nothing_of_the_failure() -> None:
    entered, refused = asyncio.Event(), asyncio.Event()

    class Unreachable:
        async def __aenter__(self) -> None:
            entered.set()
            await refused.wait()
            raise MqttError("connection refused")

        def hang_up(self) -> None:
            pass

    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
    connecting = asyncio.ensure_future(_enter(cast("Any", Unreachable())))
    await entered.wait()
    connecting.cancel()
    asyncio.get_running_loop().call_later(0.01, refused.set)
    await asyncio.wait({connecting})
    assert connecting.cancelled()
    del connecting  # with its traceback, that holds the attempt
    gc.collect()
    assert told == []


CONNACK, SUBACK = bytes((0x20, 3, 0, 0, 0)), 0x90
PUBLISH, SUBSCRIBE = 3, 8
FILTERS = len(Topics("p", "d", "p/d").standing())


def granted(subscribe: bytes) -> bytes:
    """The SUBACK; a SUBSCRIBE's length takes two bytes here."""
    return bytes((SUBACK, 3 + FILTERS)) + subscribe[3:5] + bytes(1 + FILTERS)


@pytest.mark.parametrize("until", ["CONNECT", "SUBSCRIBE", "PUBLISH"])
async def test_a_connection_that_is_cut_at_any_moment_is_made_anew_at_once_and_no_complaint(until: str) -> None:
    cut = asyncio.Semaphore(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(CONNACK)
        while until != "CONNECT":
            packet = await reader.read(1000)
            if until == "SUBSCRIBE" or not packet or packet[0] >> 4 == PUBLISH:
                break
            if packet[0] >> 4 == SUBSCRIBE:
                writer.write(granted(packet))
        writer.transport.abort()
        cut.release()

    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
    server = await asyncio.start_server(serve, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    again = Backoff(first=0.01, longest=0.01)
    async with (
        server,
        Device("p", "d", "secret", host=HOST, port=port, store=MemoryStore(), backoff=again, drain=0) as device,
    ):
        await device.upload("noise", b"x")
        async with asyncio.timeout(9):  # an answer is waited for for ten
            for _ in range(5):
                await cut.acquire()
    del device
    gc.collect()
    assert told == []
