"""The publisher on a session with a broker in memory: what goes out, in which order, and what comes of it."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING

import mqtt5
import pytest

from libs.runtime.mqtt.client import Client
from libs.runtime.mqtt.options import Options
from libs.topics.names import APP_P2P, DOWNLINK_MESSAGES
from services.downlink import metrics
from services.downlink.model import Entry, Place, Publish, Receipt, Record
from services.downlink.publisher import LOSSES, Publisher
from services.downlink.window import Window
from tests.support.mqtt_broker import Broker
from tests.support.polling import eventually_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from services.downlink.model import Settled

OPTIONS = Options("nowhere", 1883, "me", (), session_expiry=0, timeout=0.5, back_off=(0.001, 0.01))
A = mqtt5.PubAckReasonCode
PLACES = (Place(DOWNLINK_MESSAGES, 0), Place(DOWNLINK_MESSAGES, 1), Place(APP_P2P, 1))


class Peer(Broker):
    """Keeps what is published and acknowledges when a test says so, or at once.

    ``breaks_at``: topics that end a connection.
    """

    def __init__(self) -> None:
        super().__init__()
        self.published: list[mqtt5.PublishPacket] = []
        """On this connection, and not acknowledged."""
        self.topics: list[str] = []
        """Of all that was ever published."""
        self.receive_max, self.max_packet_size = 65_535, 100
        self.breaks_at: set[str] = set()
        self.acknowledges = False

    def _answer(self, packet: mqtt5.Packet) -> None:
        if isinstance(packet, mqtt5.ConnectPacket):
            self.published.clear()
            limits = mqtt5.ConnAckPacket(receive_max=self.receive_max, max_packet_size=self.max_packet_size)
            self.feed(limits.write())
        elif isinstance(packet, mqtt5.PublishPacket):
            self.topics.append(packet.topic)
            if packet.topic in self.breaks_at:
                self.feed(mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.PROTOCOL_ERROR).write())
            elif int(packet.qos):
                self.published.append(packet)
                if self.acknowledges:
                    self.acknowledge(A.SUCCESS)
        else:
            super()._answer(packet)

    def acknowledge(self, *codes: mqtt5.PubAckReasonCode) -> None:
        """The first ones, in one read."""
        acks = [
            mqtt5.PubAckPacket(packet_id, reason_code=code).write()
            for packet_id, code in zip([p.packet_id or 0 for p in self.published], codes, strict=False)
        ]
        del self.published[: len(codes)]
        self.feed(b"".join(acks))

    def lose(self) -> None:
        self.pipe.lose(ConnectionResetError("reset"))


class Scene:
    def __init__(self) -> None:
        self.broker, self.window, self.stop = Peer(), Window(), asyncio.Event()
        self.steps: list[Settled] = []
        self.forgotten: list[tuple[int, int]] = []
        self.publisher = Publisher(
            self.window,
            settled=self.steps.append,
            forgotten=lambda part: self.forgotten.append((part.messages, part.size)),
            limit=100,
        )
        self.client = Client(OPTIONS, self.publisher, self.broker.connect)
        self.run = asyncio.get_running_loop().create_task(self.client.run(self.stop))
        self.offset = 0

    def take(self, *topics: str, place: int = 0, expires_at: int | None = None, qos: bool = True) -> None:
        entries = []
        for topic in topics:
            receipt = Receipt("p", "d", topic)
            publish = Publish(topic, b"{}", 1 if qos else 0, expires_at, None, None, receipt)
            entries.append(Entry(Record(PLACES[place], self.offset, b"p/d", b"{}", 1), publish))
            self.offset += 1
        self.publisher.take(entries)

    async def heard(self, *topics: str) -> None:
        """Return when exactly this is published on this connection and not acknowledged."""

        async def check() -> bool:
            assert [packet.topic for packet in self.broker.published] == list(topics)
            return True

        await eventually_async(check, 10)

    async def settled(self, *positions: int) -> None:
        async def check() -> bool:
            assert [step.position for step in self.steps] == list(positions)
            return True

        await eventually_async(check, 10)

    @property
    def told(self) -> list[tuple[str, str | None]]:
        """Request ids of notices, and what became of the messages; None: somebody has them."""
        return [
            (told.request_id, told.refused if told.heard else "unheard") for step in self.steps for told in step.notices
        ]

    @property
    def reasons(self) -> list[str]:
        return [refusal.reason for step in self.steps for _, refusal in step.refused]


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    found = Scene()
    yield found
    found.stop.set()
    await asyncio.wait_for(found.run, 10)


def count(outcome: str) -> float:
    return float(metrics.MESSAGES.labels(outcome)._value.get())  # the client library has no public way


async def test_a_position_moves_with_the_acknowledgements(scene: Scene) -> None:
    scene.take("a", "b", "c")
    await scene.heard("a", "b", "c")
    assert scene.steps == []
    scene.broker.acknowledge(A.SUCCESS, A.NO_MATCHING_SUBSCRIBERS)
    await scene.settled(2)
    assert (scene.publisher.in_flight, scene.publisher.done, scene.reasons) == (1, 2, [])
    assert scene.told == [("a", None), ("b", "unheard")]
    assert abs(scene.steps[0].notices[0].at - time.time() * 1000) < 60_000


async def test_what_was_not_acknowledged_comes_again_first_and_in_order(scene: Scene) -> None:
    scene.take("a", "b", "c")
    await scene.heard("a", "b", "c")
    scene.broker.acknowledge(A.SUCCESS)
    await scene.settled(1)
    scene.broker.lose()
    scene.take("d")
    await scene.heard("b", "c", "d")
    assert [packet.duplicate for packet in scene.broker.published] == [True, True, False]
    assert scene.broker.connects == 2


async def test_no_more_is_under_way_than_the_broker_allows(scene: Scene) -> None:
    scene.broker.receive_max = 2
    scene.take("a", "b", "c", "d")
    await scene.heard("a", "b")
    scene.broker.acknowledge(A.SUCCESS)
    await scene.heard("b", "c")
    assert len({packet.packet_id for packet in scene.broker.published}) == 2


async def test_what_the_broker_refuses_is_a_dead_letter_and_nothing_waits_for_it(scene: Scene) -> None:
    before = count("refused")
    scene.take("a", "b", "c")
    await scene.heard("a", "b", "c")
    scene.broker.acknowledge(A.NOT_AUTHORIZED, A.SUCCESS, A.QUOTA_EXCEEDED)
    await scene.settled(3)
    assert scene.reasons == ["refused_by_broker", "refused_by_broker"]
    assert [(at.offset, refusal.error[-4:]) for at, refusal in scene.steps[0].refused] == [(0, "0x87"), (2, "0x97")]
    assert count("refused") == before + 2
    assert scene.told == [("a", "refused_by_broker"), ("b", None), ("c", "refused_by_broker")]
    assert metrics.REFUSALS.labels("0x97")._value.get() >= 1


async def test_what_is_expired_is_not_sent_also_not_a_second_time(scene: Scene) -> None:
    before, soon = count("expired"), int(time.time() * 1000) + 300
    scene.take("old", expires_at=1)
    await scene.settled(1)
    scene.take("soon", expires_at=soon)
    scene.take("b")
    await scene.heard("soon", "b")
    assert scene.broker.published[0].message_expiry_interval == 1

    async def over() -> bool:
        return time.time() * 1000 > soon

    await eventually_async(over)
    scene.broker.lose()
    await scene.heard("b")
    assert count("expired") == before + 2
    assert "old" not in scene.broker.topics
    assert scene.told == [], "nobody says that it was sent, nor that it was refused"


async def test_what_is_too_large_for_the_broker_is_a_dead_letter(scene: Scene) -> None:
    scene.take("x" * 100, "b")
    await scene.heard("b")
    await scene.settled(1)
    assert scene.reasons == ["packet_too_large"]
    assert scene.told == [("x" * 100, "packet_too_large")]


async def test_at_qos_0_it_is_done_with_the_connection_s_taking_it(scene: Scene) -> None:
    scene.take("a", qos=False)
    await scene.settled(1)
    assert (scene.broker.topics, scene.publisher.in_flight) == (["a"], 0)
    assert scene.told == [], "nobody acknowledges it"


async def test_a_message_that_breaks_connections_is_found_and_taken_out(scene: Scene) -> None:
    scene.broker.breaks_at.add("bad")
    scene.broker.acknowledges = True
    scene.take("a", "bad", "c", "d")

    async def over() -> bool:
        return scene.publisher.in_flight == 0 and scene.reasons == ["connection_breaker"]

    await eventually_async(over, 10)
    assert LOSSES <= scene.broker.topics.count("bad") <= LOSSES + 2
    assert scene.broker.topics[-2:] == ["c", "d"]
    assert scene.steps[-1].position == 4
    assert scene.told == [("a", None), ("bad", "connection_breaker"), ("c", None), ("d", None)]


async def test_a_broker_that_only_falls_silent_makes_no_message_suspect(scene: Scene) -> None:
    scene.take("a")
    await scene.heard("a")
    scene.publisher.closed()
    await scene.publisher.opened(scene.broker.link, session_present=False)
    scene.take("b")
    await scene.heard("a", "a", "b")


async def test_partitions_are_released_when_nothing_of_them_is_under_way(scene: Scene) -> None:
    scene.broker.receive_max = 2
    scene.take("a", place=1)
    scene.take("b", "c", place=2)
    scene.take("d", place=1)
    await scene.heard("a", "b")
    one: Future[None] = Future()
    scene.publisher.release(frozenset({PLACES[1]}), one)
    assert scene.forgotten == [(1, 2)]
    assert not one.done()
    scene.broker.acknowledge(A.SUCCESS)
    await scene.heard("b", "c")
    assert one.done()
    assert [(step.place, step.position) for step in scene.steps] == [(PLACES[1], 1)]


async def test_what_is_under_way_of_a_released_partition_is_not_sent_on_another_connection(scene: Scene) -> None:
    scene.take("a", place=1)
    scene.take("b", place=2)
    await scene.heard("a", "b")
    released: Future[None] = Future()
    scene.publisher.release(frozenset({PLACES[1]}), released)
    assert not released.done()
    scene.broker.lose()
    await scene.heard("b")
    assert released.done()
    assert (scene.broker.topics, scene.forgotten) == (["a", "b", "b"], [(1, 2)])


async def test_while_the_broker_is_away_partitions_are_released_at_once(scene: Scene) -> None:
    scene.take("a")
    await scene.heard("a")
    scene.publisher.closed()
    released: Future[None] = Future()
    scene.publisher.release(frozenset({PLACES[0]}), released)
    assert released.done()
    assert (scene.steps, sum(count for count, _ in scene.forgotten)) == ([], 1)


async def test_partitions_that_are_lost_are_dropped_and_what_waits_in_the_socket_too(scene: Scene) -> None:
    scene.take("a", place=1)
    scene.take("b", place=2)
    await scene.heard("a", "b")
    dropped: Future[None] = Future()
    scene.publisher.drop(frozenset({PLACES[1]}), dropped)
    assert dropped.done()
    await scene.heard("b")
    assert (scene.broker.connects, scene.broker.topics.count("a")) == (2, 1)
    scene.broker.acknowledge(A.SUCCESS)
    await scene.settled(2)
    assert {step.place for step in scene.steps} == {PLACES[2]}


async def test_a_session_that_only_publishes_begins_anew_and_subscribes_to_nothing(scene: Scene) -> None:
    scene.take("a")
    await scene.heard("a")
    connect, *others = scene.broker.heard
    assert isinstance(connect, mqtt5.ConnectPacket)
    assert (connect.clean_start, connect.session_expiry_interval) == (True, 0)
    assert not any(isinstance(packet, mqtt5.SubscribePacket) for packet in others)
    assert scene.client.subscribed


async def test_what_nobody_asked_for_ends_the_connection(scene: Scene) -> None:
    scene.take("a")
    await scene.heard("a")
    scene.broker.feed(mqtt5.PublishPacket("a", b"x").write())

    async def again() -> bool:
        return scene.broker.connects == 2

    await eventually_async(again, 10)
