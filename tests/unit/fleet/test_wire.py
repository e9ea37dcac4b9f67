"""The connection of a large fleet, without a broker: what arrives is written by hand."""

from __future__ import annotations

import asyncio
from typing import Any

import aiomqtt
import mqtt5
import pytest

from devstack.ports import HOST, free_port
from fleet.link import Endpoint
from fleet.wire import Refused, WireLink

ACCEPTED = mqtt5.ConnAckPacket().write()


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[Any] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(mqtt5.read(memoryview(bytes(data)))[0])

    def close(self) -> None:
        self.written.append(None)


def connected() -> tuple[WireLink, Wire]:
    link, wire = WireLink(Endpoint("broker", 1883), ("garden", "station-1")), Wire()
    link.connection_made(wire)
    link.data_received(ACCEPTED)
    return link, wire


def acknowledge(packet_id: int) -> bytes:
    return mqtt5.PubAckPacket(packet_id).write()


async def test_it_connects_under_the_name_of_its_device() -> None:
    link, wire = connected()
    assert (wire.written[0].client_id, wire.written[0].username) == ("garden/station-1", "garden/station-1")
    link.connection_lost(None)


async def test_a_registered_device_shows_its_secret() -> None:
    link, wire = WireLink(Endpoint("broker", 1883), ("garden", "station-1"), "s3cret"), Wire()
    link.connection_made(wire)
    link.connection_lost(None)
    assert wire.written[0].password == b"s3cret"


async def test_a_message_that_the_broker_does_not_take_is_not_acknowledged() -> None:
    link, _ = connected()
    publish = asyncio.create_task(link.publish("upload_data/garden/another", b"x"))
    await asyncio.sleep(0)
    link.data_received(mqtt5.PubAckPacket(1, reason_code=mqtt5.PubAckReasonCode.NOT_AUTHORIZED).write())
    with pytest.raises(Refused, match="refused: NOT_AUTHORIZED"):
        await publish
    link.connection_lost(None)


@pytest.mark.parametrize("size", [1, 3, 7, 100])
async def test_acknowledgements_are_understood_however_they_are_cut(size: int) -> None:
    link, _ = connected()
    publishes = [asyncio.create_task(link.publish(f"t/{n}", b"x")) for n in range(5)]
    await asyncio.sleep(0)
    answers = b"".join(acknowledge(n) for n in (2, 1, 3, 5, 4))
    for at in range(0, len(answers), size):
        link.data_received(answers[at : at + size])
    await asyncio.gather(*publishes)
    link.connection_lost(None)


async def test_what_was_not_acknowledged_fails_with_the_connection_and_nothing_can_be_sent_after() -> None:
    link, _ = connected()
    first, second = (asyncio.create_task(link.publish("t", b"x")) for _ in range(2))
    await asyncio.sleep(0)
    link.data_received(acknowledge(1))
    link.connection_lost(ConnectionResetError("reset"))
    await first
    with pytest.raises(aiomqtt.MqttError, match="reset"):
        await second
    with pytest.raises(aiomqtt.MqttError, match="gone"):
        await link.publish("t", b"x")
    await link.over()


async def test_packet_ids_begin_anew_after_the_last_one() -> None:
    link, wire = connected()
    for _ in range(65_536):
        publish = asyncio.create_task(link.publish("t", b""))
        await asyncio.sleep(0)
        link.data_received(acknowledge(wire.written[-1].packet_id))
        await publish
    assert [packet.packet_id for packet in wire.written[-2:]] == [65_535, 1]
    link.connection_lost(None)


async def test_without_a_broker_it_says_so() -> None:
    with pytest.raises(aiomqtt.MqttError, match="Connect"):
        await WireLink(Endpoint(HOST, free_port()), ("garden", "station-1")).open()
