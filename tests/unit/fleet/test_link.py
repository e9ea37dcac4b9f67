"""Connections of simulated devices that end at odd moments."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

import mqtt5
import pytest

from devstack.ports import HOST
from fleet.link import Endpoint, Link

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

CONNACK: dict[Literal[4, 5], bytes] = {4: b"\x20\x02\x00\x00", 5: mqtt5.ConnAckPacket().write()}


@pytest.mark.parametrize("protocol", [4, 5])
async def test_one_that_ends_as_soon_as_it_is_accepted_is_over(protocol: Literal[4, 5]) -> None:
    async def accept_and_end(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.read(1000)
        writer.write(CONNACK[protocol])
        writer.close()

    async with await asyncio.start_server(accept_and_end, HOST, 0) as server:
        link = Link(Endpoint(HOST, server.sockets[0].getsockname()[1]), ("p", "d"), protocol)
        async with asyncio.timeout(20):
            await link.open()
            await link.over()
            await link.goodbye()
