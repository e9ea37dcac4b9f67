"""The benchmarks' devices speak as devices do, however the broker's bytes are cut."""

from __future__ import annotations

from typing import Any

import mqtt5
import pytest

from bench.support.crowd import Crowd, Device

KEY = "bench/d1"


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def packets(self) -> list[Any]:
        found, at, view = [], 0, memoryview(self.written)
        while at < len(view):
            packet, size = mqtt5.read(view[at:])
            found.append(packet)
            at += size
        self.written = b""
        return found


def publish(topic: str, payload: bytes) -> bytes:
    return mqtt5.PublishPacket(topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=7).write()


@pytest.mark.parametrize("cut", [1, 3, 10_000])
async def test_a_device_is_let_in_asks_for_the_time_and_replies(cut: int) -> None:
    crowd, wire = Crowd(), Wire()
    device = Device(crowd, "bench", "d1")
    device.connection_made(wire)  # type: ignore[arg-type]  # as far as it is used
    assert [type(one) for one in wire.packets()] == [mqtt5.ConnectPacket]

    def receive(data: bytes) -> list[Any]:
        for at in range(0, len(data), cut):
            device.data_received(data[at : at + cut])
        return wire.packets()

    (subscribe,) = receive(mqtt5.ConnAckPacket().write())
    assert [one.pattern for one in subscribe.topic_filters] == [f"cmd/{KEY}/#", f"rpc/{KEY}/#"]
    (asked,) = receive(mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE] * 2).write())
    assert (asked.topic, device.subscribed.done(), crowd.ready) == (f"get/{KEY}/$ntp/1", True, set())
    (acknowledged,) = receive(publish(f"cmd/{KEY}/$set_ntp/plain/ntp-1", b"{}"))
    assert (acknowledged.packet_id, crowd.ready, crowd.got) == (7, {"d1"}, 0)
    two = publish(f"rpc/{KEY}/switch/plain/r-1/9", 300 * b"x") + publish(f"cmd/{KEY}/switch/plain/c-1/9", b"")
    said = receive(two)
    assert [one.topic for one in said if isinstance(one, mqtt5.PublishPacket)] == [
        f"rpc_resp/{KEY}/switch/r-1/r-1",
        f"cmd_resp/{KEY}/switch/c-1/c-1",
    ]
    assert (len(said), crowd.got) == (4, 2)


async def test_a_device_that_is_not_let_in_says_so() -> None:
    device = Device(Crowd(), "bench", "d1")
    device.connection_made(Wire())  # type: ignore[arg-type]  # as far as it is used
    with pytest.raises(ConnectionError, match="bench/d1 is not let in"):
        device.data_received(mqtt5.ConnAckPacket(reason_code=mqtt5.ConnAckReasonCode.NOT_AUTHORIZED).write())
