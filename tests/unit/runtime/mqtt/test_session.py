"""Laws of one connection: what the bytes say, whatever way they are cut, and nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import mqtt5
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.runtime.mqtt.options import Options
from libs.runtime.mqtt.session import Link, Lost, Refused, is_whole
from tests.support.mqtt_broker import Broker, publish

OPTIONS = Options("nowhere", 1883, "me", ("a/#", "b/+"), username="u", password=b"p", receive_max=77)

PANICS = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""The codec's panic leaves Python's own decoding error behind, which surfaces at some later call."""


class Taker:
    """A receiver that keeps what it gets."""

    def __init__(self) -> None:
        self.packets: list[mqtt5.PublishPacket] = []
        self.calls: list[str] = []

    async def prepare(self) -> None:
        self.calls.append("prepare")

    async def opened(self, link: Link, *, session_present: bool) -> None:
        self.calls.append(f"opened {session_present}")

    def receive(self, packets: list[mqtt5.PublishPacket]) -> None:
        self.packets += packets

    async def leaving(self, link: Link) -> None:
        self.calls.append("leaving")
        await link.leave(1.0)

    def closed(self) -> None:
        self.calls.append("closed")


async def linked() -> tuple[Broker, Taker]:
    """A link whose CONNACK is in and whose early messages were handed over."""
    broker, taker = Broker(), Taker()
    link = await broker.connect(OPTIONS, taker)
    await link.connack
    link.deliver_early()
    await asyncio.sleep(0)
    return broker, taker


def contents(packets: list[mqtt5.PublishPacket]) -> list[tuple[str, bytes, int | None, bool]]:
    return [(p.topic, p.payload, p.packet_id, p.duplicate) for p in packets]


messages = st.lists(
    st.builds(
        publish,
        st.text(st.characters(codec="utf-8", exclude_characters="#+\0"), min_size=1, max_size=20),
        st.binary(max_size=300),
        st.none() | st.integers(1, 65_535),
    ),
    min_size=1,
    max_size=12,
)


@settings(deadline=None)
@given(messages, st.data())
def test_any_cutting_of_a_stream_gives_the_same_packets(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))

    async def received(pieces: list[bytes]) -> list[tuple[str, bytes, int | None, bool]]:
        broker, taker = await linked()
        for piece in pieces:
            broker.feed(piece)
        assert not broker.link.ended.done()
        return contents(taker.packets)

    cut = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert asyncio.run(received(cut)) == asyncio.run(received([stream]))
    assert asyncio.run(received(cut)) == [
        (p.topic, p.payload, p.packet_id, p.duplicate)
        for p in (mqtt5.read(memoryview(part))[0] for part in parts)
        if isinstance(p, mqtt5.PublishPacket)
    ]


@PANICS
@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(1, 50))
def test_no_bytes_whatever_raise_or_hang(noise: bytes, size: int) -> None:
    async def run() -> None:
        broker, _ = await linked()
        for at in range(0, len(noise), size):
            broker.feed(noise[at : at + size])
        unread = bytes(memoryview(broker.link._buffer)[: broker.link._fill])
        assert broker.link.ended.done() or not is_whole(unread)

    asyncio.run(run())


async def test_connect_says_who_we_are_and_keeps_the_session() -> None:
    broker, _ = await linked()
    connect = broker.heard[0]
    assert isinstance(connect, mqtt5.ConnectPacket)
    assert (connect.client_id, connect.username, connect.password) == ("me", "u", b"p")
    assert (connect.clean_start, connect.receive_max, connect.session_expiry_interval) == (False, 77, 7 * 86_400)


async def test_subscribe_asks_for_qos_1_and_no_retained_messages() -> None:
    broker, _ = await linked()
    broker.link.subscribe()
    subscribe = broker.heard[-1]
    assert isinstance(subscribe, mqtt5.SubscribePacket)
    assert [f.pattern for f in subscribe.topic_filters] == ["a/#", "b/+"]
    assert {int(f.max_qos) for f in subscribe.topic_filters} == {1}
    assert {int(f.retain_handling) for f in subscribe.topic_filters} == {int(mqtt5.RetainHandling.SEND_NEVER)}


async def test_messages_before_opened_wait_for_it() -> None:
    broker, taker = Broker(), Taker()
    link = await broker.connect(OPTIONS, taker)
    broker.feed(mqtt5.ConnAckPacket().write() + publish("a/b", b"1", 1))
    assert taker.packets == []
    link.deliver_early()
    assert contents(taker.packets) == [("a/b", b"1", 1, False)]


async def test_a_message_larger_than_the_buffer_comes_whole() -> None:
    broker, taker = await linked()
    payload = bytes(range(256)) * 2000
    broker.feed(publish("a/b", payload, 1))
    broker.feed(publish("a/c", b"next", 2))
    assert [p.payload for p in taker.packets] == [payload, b"next"]


NOT_UTF8 = b"\x30\x05\x00\x02\xff\xfeX"
TOO_SHORT_INSIDE = b"\x30\x03\x00\x09a"
BAD_LENGTH = b"\x30\xff\xff\xff\xff\xff"


@PANICS
@pytest.mark.parametrize("malformed", [NOT_UTF8, TOO_SHORT_INSIDE, BAD_LENGTH, b"\x00\x00"])
async def test_a_malformed_packet_ends_the_connection_and_says_so(malformed: bytes) -> None:
    broker, taker = await linked()
    broker.feed(publish("a/b", b"before", 1) + malformed + publish("a/b", b"after", 2))
    error = await asyncio.wait_for(broker.link.ended, 1)
    assert isinstance(error, Lost)
    assert "malformed" in str(error)
    assert contents(taker.packets) == [("a/b", b"before", 1, False)]
    goodbye = broker.heard[-1]
    assert isinstance(goodbye, mqtt5.DisconnectPacket)
    assert int(goodbye.reason_code) == int(mqtt5.DisconnectReasonCode.MALFORMED_PACKET)


@pytest.mark.parametrize("kept", range(1, len(TOO_SHORT_INSIDE)))
async def test_a_packet_that_is_not_all_there_is_waited_for(kept: int) -> None:
    broker, _ = await linked()
    broker.feed(TOO_SHORT_INSIDE[:kept])
    assert not broker.link.ended.done()


async def test_a_qos_2_handshake_that_was_never_granted_ends_the_connection() -> None:
    broker, _ = await linked()
    broker.feed(mqtt5.PubRelPacket(1).write())
    assert "unexpected PubRelPacket" in str(await asyncio.wait_for(broker.link.ended, 1))


def disconnect(code: mqtt5.DisconnectReasonCode) -> bytes:
    return mqtt5.DisconnectPacket(reason_code=code).write()


D = mqtt5.DisconnectReasonCode


@pytest.mark.parametrize(
    ("code", "kind", "misconfigured"),
    [
        (D.SESSION_TAKEN_OVER, Refused, False),
        (D.ADMINISTRATIVE_ACTION, Refused, False),
        (D.NOT_AUTHORIZED, Refused, True),
        (D.SERVER_SHUTTING_DOWN, Lost, None),
        (D.KEEP_ALIVE_TIMEOUT, Lost, None),
    ],
)
async def test_only_some_goodbyes_of_the_broker_are_final(
    code: mqtt5.DisconnectReasonCode, kind: type[Exception], misconfigured: bool | None
) -> None:
    broker, _ = await linked()
    broker.feed(disconnect(code))
    error = await asyncio.wait_for(broker.link.ended, 1)
    assert type(error) is kind
    assert getattr(error, "misconfigured", None) is misconfigured


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (D.MALFORMED_PACKET, Lost),
        (D.PROTOCOL_ERROR, Lost),
        (D.NOT_AUTHORIZED, Lost),
        (D.SESSION_TAKEN_OVER, Refused),
        (D.ADMINISTRATIVE_ACTION, Refused),
    ],
)
async def test_one_message_of_ours_may_be_why_a_broker_says_goodbye(
    code: mqtt5.DisconnectReasonCode, kind: type[Exception]
) -> None:
    broker, _ = await linked()
    broker.link.acknowledged = lambda _: None
    broker.feed(disconnect(code))
    assert type(await asyncio.wait_for(broker.link.ended, 1)) is kind


async def test_acknowledgements_are_handed_over_read_by_read_to_who_publishes() -> None:
    broker, taker = await linked()
    found: list[list[int]] = []
    broker.link.acknowledged = lambda acks: found.append([ack.packet_id for ack in acks])
    acks = [mqtt5.PubAckPacket(packet_id).write() for packet_id in (1, 2, 3)]
    broker.feed(acks[0] + acks[1] + acks[2][:2])
    broker.feed(acks[2][2:] + publish("a/b", b"", 1))
    assert found == [[1, 2], [3]]
    assert len(taker.packets) == 1


async def test_an_acknowledgement_of_nothing_ends_the_connection() -> None:
    broker, _ = await linked()
    broker.feed(mqtt5.PubAckPacket(1).write())
    assert "unexpected PubAckPacket" in str(await asyncio.wait_for(broker.link.ended, 1))


@pytest.mark.parametrize(("session_expiry", "clean"), [(0, True), (60, False)])
async def test_a_session_that_ends_with_its_connection_begins_with_it(session_expiry: int, clean: bool) -> None:
    broker = Broker()
    await broker.connect(replace(OPTIONS, session_expiry=session_expiry), Taker())
    connect = broker.heard[0]
    assert isinstance(connect, mqtt5.ConnectPacket)
    assert (connect.clean_start, connect.session_expiry_interval) == (clean, session_expiry)


async def test_a_pong_answers_the_oldest_ping_and_a_lost_connection_cancels_the_rest() -> None:
    broker, _ = await linked()
    broker.answers_pings = False
    first, second = broker.link.ping(), broker.link.ping()
    broker.feed(mqtt5.PingRespPacket().write())
    assert first.done()
    assert not second.done()
    broker.pipe.lose(ConnectionResetError())
    await broker.link.ended
    assert second.cancelled()


async def test_reading_goes_on_only_when_every_reason_to_pause_is_gone() -> None:
    broker, taker = await linked()
    broker.link.pause("window")
    broker.link.pause("tail")
    broker.feed(publish("a/b", b"", 1))
    broker.link.resume("window")
    await asyncio.sleep(0)
    assert taker.packets == []
    broker.link.resume("tail")
    await asyncio.sleep(0)
    assert len(taker.packets) == 1


async def test_leaving_says_goodbye_and_drops_what_still_comes() -> None:
    broker, taker = await linked()
    broker.link.pause("window")
    broker.feed(publish("a/b", b"late", 1))
    assert await broker.link.leave(1.0) is True
    assert taker.packets == []
    assert isinstance(broker.heard[-1], mqtt5.DisconnectPacket)


async def test_leaving_a_silent_broker_takes_no_longer_than_allowed() -> None:
    broker, _ = await linked()
    broker.says_nothing = True
    assert await broker.link.leave(0.01) is False


@pytest.mark.parametrize(
    ("start", "whole"),
    [
        (b"", False),
        (b"\x30", False),
        (b"\x30\x00", True),
        (b"\x30\x02\x00", False),
        (b"\x30\x02\x00\x00", True),
        (b"\x30\x80", False),
        (b"\x30\x80\x01" + b"x" * 127, False),
        (b"\x30\x80\x01" + b"x" * 128, True),
        (b"\x30\xff\xff\xff", False),
        (b"\x30\xff\xff\xff\xff", True),
    ],
)
def test_a_packet_is_whole_when_all_announced_bytes_are_there(start: bytes, whole: bool) -> None:
    assert is_whole(start) is whole
