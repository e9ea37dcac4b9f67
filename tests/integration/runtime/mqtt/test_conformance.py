"""The session against real brokers, by the letter of MQTT 5; the numbers are those of the standard's statements."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import mqtt5
import pytest
from structlog.testing import capture_logs

from libs.runtime.mqtt.session import Refused
from tests.integration.runtime.mqtt.brokers import LARGEST
from tests.integration.runtime.mqtt.line import Line
from tests.integration.runtime.mqtt.taker import Session, Taker
from tests.support.devices import connected, publish

if TYPE_CHECKING:
    from tests.integration.runtime.mqtt.brokers import Broker


def payloads(first: int, last: int) -> list[bytes]:
    return [b"%d" % number for number in range(first, last)]


def messages(broker: Broker, said: list[bytes]) -> list[tuple[str, bytes]]:
    return [(f"{broker.name}/t", payload) for payload in said]


async def say(broker: Broker, said: list[bytes], qos: int = 1) -> None:
    """Publish from another client; returns when the broker has taken all of it."""
    await asyncio.to_thread(publish, broker.port, None, messages(broker, said), qos=qos)


async def test_whatever_quality_is_offered_one_copy_comes_with_at_most_qos_1(broker: Broker) -> None:
    async with Session(broker.port, broker.name, Taker()) as session:
        for qos in (0, 1, 2):
            await say(broker, [b"%d" % qos], qos)
        await session.received(3)
        found = {packet.payload: packet for packet in session.taker.packets}
        assert sorted(session.taker.payloads) == [b"0", b"1", b"2"]
        assert found[b"0"].packet_id is None
        assert [int(found[payload].qos) for payload in (b"0", b"1", b"2")] == [0, 1, 1]


async def test_what_was_not_acknowledged_comes_again_marked_in_order_and_before_what_is_new(broker: Broker) -> None:
    """MQTT-4.4.0-1, MQTT-4.6.0-1 and MQTT-3.3.1-1: the resume filter of ingest rests on these."""
    taker = Taker()
    async with Line(broker.port) as line, Session(line.port, broker.name, taker) as session:
        await say(broker, payloads(0, 4))
        await session.received(4)
        assert session.client.link is not None
        await session.client.link.ping()  # the broker has handled the acknowledgements
        taker.acknowledges = False
        await say(broker, payloads(4, 10))
        await session.received(5)  # a broker may wait for our acknowledgement before it sends more
        await session.client.link.ping()
        before = list(taker.packets)
        line.silence()
        await say(broker, payloads(10, 15))
        line.cut()
        line.speak()
        await session.subscribed(connections=2)
        await session.received(len(before) + 1)
        taker.acknowledges = True
        taker.acknowledge(taker.packets[len(before) :])
        await session.received(len(before) + 11)
    after = taker.packets[len(before) :]
    open_ones = before[4:]
    again = after[: len(open_ones)]
    assert taker.sessions == [False, True]
    assert not any(packet.duplicate for packet in before)
    assert [packet.payload for packet in after] == payloads(4, 15)
    assert all(packet.duplicate for packet in again)
    assert [packet.packet_id for packet in again] == [packet.packet_id for packet in open_ones]
    marks = [packet.duplicate for packet in after]  # also on what had been sent into the silence
    assert marks == sorted(marks, reverse=True), "after a new message none comes again"


async def test_a_broker_sends_no_more_than_the_receive_maximum_ahead(broker: Broker) -> None:
    """MQTT-3.3.4-9. It may send less. Once acknowledged, mosquitto 2.0 sends more, hence a pump that pauses."""
    taker = Taker(acknowledges=False)
    async with Session(broker.port, broker.name, taker, receive_max=20) as session:
        await say(broker, payloads(0, 100))
        await session.received(1)
        assert session.client.link is not None
        await session.client.link.ping()  # whatever the broker would send ahead of it is here
        assert len(taker.packets) <= 20
        taker.acknowledges = True
        taker.acknowledge(taker.packets)
        await session.received(100)
    assert taker.payloads == payloads(0, 100)


async def test_a_packet_above_the_maximum_size_is_left_out_and_the_next_one_comes(broker: Broker) -> None:
    """MQTT-3.1.2-25: the broker drops it as if it had been sent."""
    async with Session(broker.port, broker.name, Taker(), max_packet=2_000) as session:
        await say(broker, [b"before", b"x" * 4_000, b"after"])
        await session.received(2)
        assert session.taker.payloads == [b"before", b"after"]
        assert session.client.connections == 1


async def test_a_session_that_the_broker_lost_is_begun_anew_and_says_so(broker: Broker) -> None:
    taker = Taker()
    async with Session(broker.port, broker.name, taker):
        pass
    with connected(broker.port, None, client_id=broker.name):
        pass  # a clean session of MQTT 3.1.1: ours is gone with it
    await say(broker, [b"lost"])
    async with Session(broker.port, broker.name, taker) as session:
        await say(broker, [b"new"])
        await session.received(1)
    assert taker.sessions == [False, False]
    assert taker.payloads == [b"new"]


async def test_what_comes_while_nobody_is_connected_waits_for_the_session(broker: Broker) -> None:
    taker = Taker()
    async with Session(broker.port, broker.name, taker):
        pass
    await say(broker, payloads(0, 100))
    async with Session(broker.port, broker.name, taker) as session:
        await session.received(100)
    assert taker.sessions == [False, True]
    assert taker.payloads == payloads(0, 100)


async def test_of_two_holders_of_a_session_the_later_one_has_it(broker: Broker) -> None:
    """MQTT-3.1.4-3. The earlier one must not come back by itself, where the broker says why it ended."""
    earlier, later = (
        Session(broker.port, broker.name, Taker(), back_off=(30.0, 60.0)),
        Session(broker.port, broker.name, Taker()),
    )
    async with earlier, later:
        await say(broker, payloads(0, 5))
        await later.received(5)
        assert later.taker.sessions == [True]
        assert earlier.taker.payloads == []
        assert not earlier.client.subscribed
        if earlier.run.done():
            with pytest.raises(Refused, match="SESSION_TAKEN_OVER"):
                earlier.run.result()


async def test_a_silent_network_is_noticed_and_nothing_is_lost_by_it(broker: Broker) -> None:
    taker = Taker()
    async with Line(broker.port) as line, Session(line.port, broker.name, taker, keep_alive=2, timeout=2.0) as session:
        await say(broker, payloads(0, 5))
        await session.received(5)
        line.silence()
        await say(broker, payloads(5, 10))
        await session.noticed()
        line.cut()
        line.speak()
        await session.subscribed(connections=2)
        await session.received(10)
    assert sorted(set(taker.payloads)) == payloads(0, 10)


async def test_a_broker_that_restarts_is_found_again(broker: Broker) -> None:
    taker = Taker()
    async with Session(broker.port, broker.name, taker) as session:
        await say(broker, payloads(0, 5))
        await session.received(5)
        await asyncio.to_thread(broker.end)
        await asyncio.to_thread(broker.start)
        await session.subscribed(connections=2)
        await say(broker, payloads(5, 10))
        await session.received(10)
    assert taker.sessions == [False, True]
    assert taker.payloads == payloads(0, 10)


async def test_the_reason_of_a_disconnect_of_the_server_is_told_and_the_session_goes_on(
    broker: Broker,
) -> None:
    """MQTT-3.14.2-1; here a packet larger than the broker takes (3.2.2.3.6)."""
    taker = Taker()
    with capture_logs() as said:
        await _send_too_much(broker, taker)
    assert [line for line in said if "PACKET_TOO_LARGE" in str(line.get("error"))]
    assert taker.sessions == [False, True]


async def _send_too_much(broker: Broker, taker: Taker) -> None:
    async with Session(broker.port, broker.name, taker) as session:
        assert session.client.link is not None
        session.client.link.write(publication(f"{broker.name}/t", b"x" * 2 * LARGEST))
        await session.subscribed(connections=2)
        await say(broker, payloads(0, 1))
        await session.received(1)


def publication(topic: str, payload: bytes) -> bytes:
    return mqtt5.PublishPacket(topic, payload, qos=mqtt5.QoS.AT_MOST_ONCE).write()
