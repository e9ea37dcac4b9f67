"""The bridge's promise in memory: whatever dies when, every message is in Kafka once, in order."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import msgspec
from confluent_kafka import KafkaError, KafkaException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.topics import names
from libs.topics.identity import BROADCAST_KEY
from services.ingest.books import Account
from tests.support.mqtt_broker import publish
from tests.support.virtual_time import in_virtual_time, pass_time
from tests.unit.ingest.world import BUSY, EVERYTHING, PARTITIONS, World

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    import pytest

    from services.ingest.resume import Filter

SOME = st.sampled_from([0, 0, 1, 3, 100])
"""How many: often none or all, since the interesting moments lie between "stored" and "acknowledged"."""
ACTION = st.one_of(
    st.tuples(st.just("publish"), st.integers(1, 5), st.booleans()),
    st.tuples(st.just("run"), SOME, SOME, SOME, st.sampled_from([0.0, 0.001, 0.3])),
    st.tuples(st.just("run"), SOME, SOME, SOME, st.just(0.3)),
    st.tuples(st.just("cut"), SOME),
    st.tuples(st.just("kill"), SOME, SOME),
    st.tuples(st.just("end"), SOME),
    st.tuples(st.just("sleep"), SOME, st.integers(0, 5)),
)


async def act(world: World, published: list[str], action: tuple[Any, ...]) -> None:
    match action:
        case ("publish", count, same):
            for _ in range(count):
                message_id = "same" if same else f"m{len(published)}"
                published.append(message_id)
                world.broker.publish(f"upload_data/p/d/t/{message_id}", b"{}")
        case ("run", arrived, delivered, handled, seconds):
            world.life.producer.arrive(arrived)
            world.life.producer.may_deliver = delivered
            world.broker.handle(handled)
            await pass_time(seconds)
        case ("cut", handled):
            world.broker.handle(handled)
            world.broker.lose()
        case ("kill", arrived, handled):
            world.broker.handle(handled)
            await world.life.kill(arrived)
            world.broker.lose()
            await world.revive()
        case ("end", arrived):
            await world.life.end(arrived)
            world.broker.lose()
            await world.revive()
        case ("sleep", handled, count):
            world.broker.handle(handled)
            await oversleep(world, published, count)
            await world.revive()


async def oversleep(world: World, published: list[str], count: int) -> None:
    """The process is frozen past its tenure, finds messages when it wakes up, and has a successor by then."""
    world.life.tenure.until = -math.inf
    for _ in range(count):
        published.append(f"m{len(published)}")
        world.broker.publish(f"upload_data/p/d/t/{published[-1]}", b"{}")
    sent = len(world.life.producer.requests)
    await pass_time(0.01)
    assert len(world.life.producer.requests) <= sent, "what it finds is not its own any more"
    world.broker.lose()
    await world.life.kill(arrived=0)


def telemetry(world: World) -> list[str]:
    return [msgspec.json.decode(value)["message_id"] for value in world.kafka.values(names.DEVICE_TELEMETRY)]


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ACTION, max_size=20))
def test_every_message_is_in_kafka_once_and_in_order_whatever_dies_when(actions: list[tuple[Any, ...]]) -> None:
    async def story() -> None:
        world, published = World(), list[str]()
        await world.begin()
        for action in actions:
            await act(world, published, action)
            assert world.life_is_balanced
        await world.settle()
        assert telemetry(world) == published
        assert world.broker.idle
        assert world.life_is_balanced
        assert world.life.pump.in_flight == 0

    in_virtual_time(story())


def story_of(story: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        world = World()
        await world.begin()
        await story(world)

    in_virtual_time(run())


def test_what_a_killed_bridge_had_stored_but_not_acknowledged_is_absorbed() -> None:
    async def story(world: World) -> None:
        for number in range(5):
            world.broker.publish(f"upload_data/p/d/t/m{number}", b"{}")
        await pass_time(0.01)
        await world.life.kill(arrived=3 + 1)  # the fourth is the device's mark of activity
        world.broker.lose()
        await world.revive()
        await world.settle()
        assert telemetry(world) == [f"m{n}" for n in range(5)]
        assert world.life.books.settled[Account.ABSORBED] == 3
        assert world.life.books.settled[Account.PRODUCED] == 2

    story_of(story)


def test_copies_of_a_broadcast_are_absorbed_each_for_itself() -> None:
    async def story(world: World) -> None:
        before = len(broadcasts(world))
        world.broker.in_flight[1] = ("$SYS/broker/log/I", b"1: mosquitto version 2.0.11 running")
        world.broker.feed(publish("$SYS/broker/log/I", b"1: mosquitto version 2.0.11 running", 1))
        await pass_time(0.01)
        await world.life.kill(arrived=1)
        world.broker.lose()
        await world.revive()
        world.broker.handles_all = True
        world.life.producer.may_deliver = EVERYTHING
        await pass_time(1)
        told = broadcasts(world)[before:]
        assert sorted(message["partition"] for message in told) == list(range(PARTITIONS))
        assert world.life.books.settled[Account.PRODUCED] == 1

    story_of(story)


def broadcasts(world: World) -> list[dict[str, Any]]:
    records = world.kafka.topics.get(names.PRESENCE_INBOX, [])
    return [msgspec.json.decode(value) for key, value, _ in records if key == BROADCAST_KEY]


def test_a_broker_without_the_session_is_a_start_of_the_source() -> None:
    async def story(world: World) -> None:
        first = len(broadcasts(world))
        assert first == PARTITIONS
        world.broker.session_present = False
        world.broker.lose()
        await world.settle()
        assert len(broadcasts(world)) == 2 * PARTITIONS
        world.broker.lose()
        await world.settle()
        assert len(broadcasts(world)) == 2 * PARTITIONS

    story_of(story)


def test_what_is_held_back_for_the_tail_counts_as_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: World) -> None:
        for number in range(3):
            world.broker.publish(f"upload_data/p/d/t/m{number}", b"{}")
        await world.life.kill(arrived=0)
        world.broker.lose()
        await world.revive()
        waiting = list[int]()
        tail = world.life.notes.tail

        def look(quiet: float) -> Filter:
            waiting.append(world.life.pump.waiting)
            return tail(quiet)

        monkeypatch.setattr(world.life.notes, "tail", look)
        await world.settle()
        assert waiting == [3]
        assert world.life.pump.waiting == 0

    story_of(story)


def test_reading_stops_at_the_window_and_goes_on_below_half_of_it() -> None:
    async def story(world: World) -> None:
        for number in range(30):  # QoS 0: the broker's own window does not hold them back
            world.broker.feed(publish(f"upload_data/p/d/t/m{number}", b"{}", None))
        await pass_time(0.1)
        assert is_paused(world)
        read = world.life.pump.in_flight
        for number in range(30, 40):
            world.broker.feed(publish(f"upload_data/p/d/t/m{number}", b"{}", None))
        await pass_time(0.1)
        assert world.life.pump.in_flight == read
        await world.settle()
        assert not is_paused(world)
        assert telemetry(world) == [f"m{n}" for n in range(40)]

    story_of(story)


def test_while_busy_reading_rests_after_each_small_read_and_goes_on_by_itself() -> None:
    async def story(world: World) -> None:
        for number in range(BUSY):  # and the device's mark of activity
            assert not is_paused(world)
            world.broker.feed(publish(f"upload_data/p/d/t/m{number}", b"{}", None))
            await asyncio.sleep(0)
        assert is_paused(world)
        world.broker.feed(publish("upload_data/p/d/t/next", b"{}", None))
        assert world.life.pump.taken == BUSY
        await pass_time(0.01)
        assert not is_paused(world)
        assert world.life.pump.taken == BUSY + 1, "Kafka has answered nothing, and yet it is read"

    story_of(story)


def is_paused(world: World) -> bool:
    return world.broker.link.paused


def test_a_full_producer_ends_the_connection_and_loses_nothing() -> None:
    async def story(world: World) -> None:
        world.life.producer.full_at = 3
        for number in range(6):
            world.broker.publish(f"upload_data/p/d/t/m{number}", b"{}")
            await pass_time(0.001)
        world.life.producer.full_at = EVERYTHING
        await world.settle()
        assert telemetry(world) == [f"m{n}" for n in range(6)]
        assert world.life_is_balanced

    story_of(story)


def test_a_producer_beyond_repair_ends_the_process() -> None:
    async def story(world: World) -> None:
        world.life.producer.fault = KafkaException("fenced")
        world.broker.publish("upload_data/p/d/t/m", b"{}")
        assert world.life.failures
        assert world.life_is_balanced

    story_of(story)


def test_a_checkpoint_that_kafka_refuses_does_not_cost_the_connection() -> None:
    async def story(world: World) -> None:
        world.life.notes.faults = [KafkaException("away")] * 3
        world.broker.publish("upload_data/p/d/t/m", b"{}")
        connections = world.life.client.connections
        await world.settle()
        await pass_time(2)
        assert world.life.notes.faults == []
        assert world.life.client.connections == connections
        assert world.kafka.note == world.kafka.ends()

    story_of(story)


def test_a_bridge_waits_for_a_kafka_that_has_no_answer_yet() -> None:
    async def story(world: World) -> None:
        await world.life.end()
        world.broker.lose()
        await world.revive()
        world.life.notes.faults = [KafkaException("loading")] * 2
        await world.settle()
        assert world.life.client.subscribed

    story_of(story)


def test_a_record_that_waited_too_long_is_given_back_to_the_broker() -> None:
    async def story(world: World) -> None:
        world.life.producer.error = KafkaError(KafkaError._MSG_TIMED_OUT)
        world.broker.publish("upload_data/p/d/t/m", b"{}")
        world.life.producer.may_deliver = EVERYTHING
        await pass_time(0.1)
        assert world.life.failures == []
        assert world.life.task.cancelled(), "its bridge is cut off"
        world.life.pump.give_back()
        assert world.life.books.settled[Account.RETURNED] == 1
        assert world.life_is_balanced
        world.broker.lose()
        await world.revive()
        await world.settle()
        assert telemetry(world) == ["m"]

    story_of(story)


def test_whoever_overslept_connects_to_nothing() -> None:
    async def story(world: World) -> None:
        world.life.tenure.until = -math.inf
        connects = world.broker.connects
        world.broker.lose()
        await pass_time(5)
        assert world.broker.connects == connects
        world.life.tenure.until = math.inf
        await world.settle()
        assert world.life.client.subscribed

    story_of(story)


def test_a_session_that_hears_no_source_tells_of_no_start() -> None:
    async def story(world: World) -> None:
        world.life.pump._started = None
        told = len(broadcasts(world))
        world.broker.session_present = False
        world.broker.lose()
        await world.settle()
        assert len(broadcasts(world)) == told

    story_of(story)


def test_a_record_that_kafka_refuses_for_good_ends_the_process() -> None:
    async def story(world: World) -> None:
        world.life.producer.error = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)
        world.broker.publish("upload_data/p/d/t/m", b"{}")
        world.life.producer.may_deliver = EVERYTHING
        await pass_time(0.1)
        assert world.life.failures
        assert world.broker.in_flight, "it must not be acknowledged"

    story_of(story)


def test_the_note_moves_only_over_what_cannot_come_again() -> None:
    async def story(world: World) -> None:
        await world.settle()
        world.broker.handles_all = False
        noted = world.kafka.note
        world.broker.publish("upload_data/p/d/t/m", b"{}")
        await pass_time(1)
        assert world.kafka.ends() != noted, "it is stored"
        assert world.kafka.note == noted, "but the broker has not handled its acknowledgement"
        world.broker.handles_all = True
        world.broker.handle(EVERYTHING)
        await pass_time(1)
        assert world.kafka.note == world.kafka.ends()

    story_of(story)


def test_a_device_is_marked_as_active_once_and_not_by_its_dead_letters() -> None:
    async def story(world: World) -> None:
        for number in range(3):
            world.broker.feed(publish("upload_data/p/quiet/t", b"{}", None))
            world.broker.feed(publish(f"upload_data/p/d/t/m{number}", b"{}", None))
        await world.settle()
        inbox = world.kafka.topics[names.PRESENCE_INBOX]
        marks = [key for key, value, _ in inbox if msgspec.json.decode(value)["type"] == "traffic_seen"]
        assert marks == [b"p/d"]
        assert world.life.books.settled[Account.DEAD_LETTERED] == 3

    story_of(story)
