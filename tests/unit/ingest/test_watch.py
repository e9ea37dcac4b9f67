"""When leases are renewed, and what they prove; when a list of clients is told."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from confluent_kafka import KafkaError, KafkaException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.topics import names
from libs.topics.identity import BROADCAST_KEY
from libs.topics.messages.presence import ConnectionObserved
from services.ingest.leases import Standing
from services.ingest.listing import Sight, Unlisted
from services.ingest.watch import Terms, Watch
from tests.support.mqtt_broker import publish
from tests.support.virtual_time import in_virtual_time, pass_time
from tests.unit.ingest.test_pump import ACTION, act, telemetry
from tests.unit.ingest.test_source_start import BEFORE_CONNECT, lose_the_session
from tests.unit.ingest.world import EVERYTHING, PARTITIONS, WINDOW, World

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from services.ingest.books import Books
    from services.ingest.listing import Roll
    from services.ingest.outlet import Outlet

BEGIN = 1_795_260_069_500
LEASE = 3.0
NODE, OTHER = "emqx:emqx@a", "emqx:emqx@b"


def clock() -> int:
    return BEGIN + int(asyncio.get_running_loop().time() * 1000)


def watching(
    roll: Roll | None = None, *, listing: float = 0.0, sources: tuple[str, ...] = (NODE,)
) -> Callable[[Outlet, Books], Watch]:
    if roll is None:
        sources = ("mosquitto:main",)
    terms = Terms(holder="me", partitions=PARTITIONS, lease=LEASE, listing=listing, window=WINDOW)

    def make(outlet: Outlet, books: Books) -> Watch:
        return Watch(outlet, books, Standing(sources, listed=roll is not None), terms, roll, clock=clock)

    return make


def story_of(story: Callable[[World], Coroutine[Any, Any, None]], roll: Roll | None = None) -> None:
    async def run() -> None:
        await story(World(watching(roll)))

    in_virtual_time(run())


def inbox(world: World, *kinds: str) -> list[dict[str, Any]]:
    messages = [msgspec.json.decode(value) for value in world.kafka.values(names.PRESENCE_INBOX)]
    return [message for message in messages if message["type"] in kinds or not kinds]


def renewals(world: World) -> list[dict[str, Any]]:
    return inbox(world, "lease_renewed")


async def run_freely(world: World, seconds: float) -> None:
    world.broker.handles_all = True
    world.broker.handle(EVERYTHING)
    world.life.producer.may_deliver = EVERYTHING
    await pass_time(seconds)


def test_a_lease_is_renewed_every_third_of_its_time_in_every_partition() -> None:
    async def story(world: World) -> None:
        await run_freely(world, 10 * LEASE / 3)
        found = renewals(world)
        assert [message["partition"] for message in found] == list(range(PARTITIONS)) * (len(found) // PARTITIONS)
        assert 8 <= len(found) // PARTITIONS <= 11
        ends = [message["expires_at"] for message in found[::PARTITIONS]]
        assert all(later - end <= 1.5 * LEASE * 1000 / 3 for end, later in pairwise(ends))
        assert all(message["expires_at"] - message["ingested_at"] <= LEASE * 1000 for message in found)
        assert (found[0]["source"], found[0]["holder"]) == ("mosquitto:main", "me")
        assert world.life.books.extra >= len(found)
        assert world.life_is_balanced

    story_of(story)


def test_before_the_subscription_stands_nothing_is_proven() -> None:
    async def story(world: World) -> None:
        world.life.producer.may_deliver = EVERYTHING
        await pass_time(1)
        assert not world.life.client.subscribed
        world.broker.feed(5 * b"\xd0\x00")  # PINGRESP, to whoever asked
        await pass_time(5)
        assert renewals(world) == []

    story_of(story)


def test_a_broker_that_does_not_answer_gets_no_lease() -> None:
    async def story(world: World) -> None:
        await run_freely(world, 2 * LEASE)
        world.broker.handles_all = False  # a half-open connection
        await pass_time(0.1)
        before = len(renewals(world))
        await pass_time(5 * LEASE)
        assert len(renewals(world)) == before
        await run_freely(world, 4 * LEASE)
        assert len(renewals(world)) > before

    story_of(story)


def test_a_lease_lasts_from_when_it_was_asked_for() -> None:
    async def story(world: World) -> None:
        await run_freely(world, 2 * LEASE)
        world.broker.handles_all = False
        await pass_time(2 * LEASE / 3)
        await run_freely(world, 0.1)
        last = renewals(world)[-1]
        assert last["expires_at"] <= last["ingested_at"] + LEASE * 1000 * 2 / 3 + 100

    story_of(story)


def test_a_redelivered_message_that_is_held_back_comes_first() -> None:
    async def story(world: World) -> None:
        await run_freely(world, 1)
        world.broker.lose()
        world.broker.handles_all = False
        await pass_time(5)
        world.broker.handle(EVERYTHING)  # SUBSCRIBE, and what the keeper asked
        await pass_time(LEASE / 3)
        assert world.broker.unhandled
        before = len(world.kafka.arrivals)
        world.broker.in_flight[9] = (topic, payload) = "upload_data/p/d/t/m0", b"{}"
        world.broker.feed(publish(topic, payload, 9, duplicate=True) + 9 * b"\xd0\x00")  # PINGRESP, to whoever asked
        await run_freely(world, LEASE)
        told = [msgspec.json.decode(value)["type"] for value in world.kafka.arrivals[before:]]
        assert told[0] == "data_uploaded"
        assert "lease_renewed" in told

    story_of(story)


def test_what_the_broker_holds_back_for_want_of_acknowledgements_is_waited_for() -> None:
    async def story(world: World) -> None:
        await run_freely(world, 1)
        world.broker.publish("upload_data/p/d/t/m", b"{}")  # from here on, the device needs no mark
        await run_freely(world, 1)
        world.life.producer.may_deliver = 0
        for number in range(WINDOW + 4):
            world.broker.publish(f"upload_data/p/d/t/m{number}", b"{}")
        await pass_time(LEASE)  # PINGRESP comes, and four messages are still in the broker's queue
        before = len(world.kafka.arrivals)
        await run_freely(world, LEASE)
        told = [msgspec.json.decode(value)["type"] for value in world.kafka.arrivals[before:]]
        assert told.count("data_uploaded") == WINDOW + 4
        assert "data_uploaded" not in told[told.index("lease_renewed") :]

    story_of(story)


def test_while_kafka_is_away_renewals_do_not_pile_up() -> None:
    async def story(world: World) -> None:
        await run_freely(world, 2 * LEASE)
        world.life.producer.may_deliver = 0
        await pass_time(10 * LEASE)
        assert len(world.life.producer) <= PARTITIONS
        before = len(renewals(world))
        await run_freely(world, LEASE)
        assert len(renewals(world)) > before + PARTITIONS

    story_of(story)


def test_after_an_orderly_end_nobody_renews() -> None:
    async def story(world: World) -> None:
        await run_freely(world, 2 * LEASE)
        await world.life.end()
        before = len(renewals(world))
        await pass_time(3 * LEASE)
        assert len(renewals(world)) == before

    story_of(story)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(ACTION, st.tuples(st.just("wait"), st.sampled_from([0.6, 1.5, 4.0]))), max_size=20))
def test_a_lease_stands_behind_all_that_was_said_before_it_was_asked_for(actions: list[tuple[Any, ...]]) -> None:
    async def story() -> None:
        world, published, times = World(watching()), list[str](), list[int]()
        await world.begin()
        for action in actions:
            if action[0] == "wait":
                await pass_time(action[1])
            else:
                await act(world, published, action if action[0] != "publish" else ("publish", action[1], False))
            times += [clock()] * (len(published) - len(times))
            assert world.life_is_balanced
        await world.settle()
        await run_freely(world, LEASE)
        assert telemetry(world) == published
        arrived = set[str]()
        for value in world.kafka.arrivals:
            message = msgspec.json.decode(value)
            if message["type"] == "data_uploaded":
                arrived.add(message["message_id"])
            elif message["type"] == "lease_renewed":
                asked = message["expires_at"] - int(LEASE * 1000)
                assert arrived.issuperset(f"m{n}" for n, time in enumerate(times) if time < asked)
        assert renewals(world)

    in_virtual_time(story())


class Listed:
    """A broker's list in memory."""

    def __init__(self) -> None:
        self.channels = ["c1", "c2"]
        self.faults = 0
        self.uptime: int | None = None
        self.running = True
        self.others: dict[str, asyncio.Event] = {}
        """More nodes, whose listing takes until then, and fails."""

    async def sight(self) -> Sight:
        await asyncio.sleep(0)
        return Sight(clock() - 5000, dict.fromkeys((NODE, *self.others), self.uptime) if self.running else {})

    async def connections(self, source: str, listing: str, now: int) -> list[ConnectionObserved]:
        await asyncio.sleep(0)
        if source in self.others:
            await self.others[source].wait()
            raise Unlisted("list_too_long")
        if self.faults:
            self.faults -= 1
            raise Unlisted("status 500")
        return [
            ConnectionObserved(
                "p", "d", channel, channel, "connect", now - 9000, source, 0, listing=listing, ingested_at=now
            )
            for channel in self.channels
        ]


def kinds(world: World) -> list[str]:
    """What one partition was told, connects included, without repetitions of leases."""
    told = [message["type"] for message in inbox(world) if message.get("partition", 0) == 0]
    return [kind for at, kind in enumerate(told) if kind != "lease_renewed" or told[at - 1] != kind]


LISTING = ["source_listed", "connection_observed", "connection_observed", "source_listing_ended"]


def test_a_new_process_lists_the_source_and_then_renews_its_lease() -> None:
    async def story(world: World) -> None:
        world.kafka.topics.clear()
        await run_freely(world, 2 * LEASE)
        assert [kind for kind in kinds(world) if kind != "source_started"] == [*LISTING, "lease_renewed"]
        begin, end = inbox(world, "source_listed"), inbox(world, "source_listing_ended")
        assert {(message["id"], message["time"]) for message in begin + end} == {(begin[0]["id"], begin[0]["time"])}
        assert [message["partition"] for message in end] == list(range(PARTITIONS))
        assert {message["listing"] for message in inbox(world, "connection_observed")} == {begin[0]["id"]}
        assert world.life_is_balanced

    story_of(story, Listed())


def test_a_list_that_fails_tells_nothing_and_is_asked_for_again_before_any_lease() -> None:
    roll = Listed()
    roll.faults = 2

    async def story(world: World) -> None:
        await run_freely(world, LEASE / 2)
        assert [kind for kind in kinds(world) if kind != "source_started"] == []
        await run_freely(world, 2 * LEASE)
        assert [kind for kind in kinds(world) if kind != "source_started"] == [*LISTING, "lease_renewed"]

    story_of(story, roll)


def test_a_connection_that_was_lost_with_its_queue_is_no_reason_to_list_and_a_lost_session_is() -> None:
    async def story(world: World) -> None:
        await run_freely(world, LEASE)
        world.broker.lose()
        await run_freely(world, 2 * LEASE)
        assert kinds(world).count("source_listed") == 1
        world.broker.session_present = False
        world.broker.lose()
        await run_freely(world, 2 * LEASE)
        assert kinds(world).count("source_listed") == kinds(world).count("source_listing_ended") == 2
        assert kinds(world)[-1] == "lease_renewed"

    story_of(story, Listed())


def test_a_lost_session_is_listed_although_kafka_is_away_at_connack() -> None:
    async def story(world: World) -> None:
        await run_freely(world, LEASE)
        await lose_the_session(world)
        world.life.notes.faults = [*BEFORE_CONNECT, KafkaException("away")]
        await run_freely(world, 2 * LEASE)
        assert kinds(world).count("source_listed") == kinds(world).count("source_listing_ended") == 2

    story_of(story, Listed())


def test_a_node_that_stops_loses_its_lease_and_is_listed_when_it_is_back() -> None:
    roll = Listed()

    async def story(world: World) -> None:
        await run_freely(world, LEASE)
        roll.running = False
        await pass_time(LEASE)
        before = len(renewals(world))
        await pass_time(3 * LEASE)
        assert len(renewals(world)) == before
        roll.running = True
        await pass_time(2 * LEASE)
        assert [kind for kind in kinds(world) if kind != "source_started"] == [*LISTING, "lease_renewed"] * 2

    story_of(story, roll)


@pytest.mark.parametrize(
    ("sources", "slow"),
    [((NODE, OTHER), False), ((OTHER, NODE), False), ((NODE, OTHER), True)],
    ids=["fails", "fails before the other's turn", "takes long"],
)
def test_a_node_that_cannot_be_listed_costs_the_others_no_lease(sources: tuple[str, ...], slow: bool) -> None:
    async def story() -> None:
        roll = Listed()
        roll.others[OTHER] = asyncio.Event()
        if not slow:
            roll.others[OTHER].set()
        world = World(watching(roll, sources=sources))
        await run_freely(world, 5 * LEASE)
        found = renewals(world)
        assert {message["source"] for message in found} == {NODE}
        assert len(found) // PARTITIONS >= 12
        roll.others[OTHER].set()
        await run_freely(world, 5 * LEASE)
        assert {message["source"] for message in renewals(world)} == {NODE}
        assert {message["source"] for message in inbox(world, "source_listing_ended")} == {NODE}

    in_virtual_time(story())


def test_a_long_list_waits_for_kafka_and_has_no_end_until_it_is_taken() -> None:
    roll = Listed()
    roll.channels = [f"c{n}" for n in range(1200)]

    async def story(world: World) -> None:
        world.broker.handles_all = True
        world.life.producer.may_deliver = 2 * PARTITIONS + 600  # the source's start and the listing's, and a part
        await pass_time(2 * LEASE)
        assert len(world.life.producer) <= 600
        assert inbox(world, "source_listing_ended") == renewals(world) == []
        await run_freely(world, 2 * LEASE)
        assert len(inbox(world, "connection_observed")) == 1200
        assert [message["partition"] for message in inbox(world, "source_listing_ended")] == list(range(PARTITIONS))

    story_of(story, roll)


def test_a_record_that_kafka_does_not_take_breaks_the_listing_off() -> None:
    """An end would close the connection that the lost record named."""

    async def story(world: World) -> None:
        world.broker.handles_all = True
        world.life.producer.may_deliver = 2 * PARTITIONS
        await pass_time(LEASE / 3)
        world.life.producer.error = KafkaError(KafkaError._MSG_TIMED_OUT)
        world.life.producer.may_deliver = 1
        await pass_time(LEASE / 4)
        world.life.producer.error = None
        world.life.producer.may_deliver = EVERYTHING
        await pass_time(2 * LEASE)
        begun, over = inbox(world, "source_listed"), inbox(world, "source_listing_ended")
        assert begun[0]["id"] != begun[-1]["id"]
        assert {message["id"] for message in over} == {begun[-1]["id"]}

    story_of(story, Listed())


def test_no_broadcast_of_the_watch_has_a_devices_key() -> None:
    async def story(world: World) -> None:
        await run_freely(world, LEASE)
        keys = {
            key for key, value, _ in world.kafka.topics[names.PRESENCE_INBOX] if b'"connection_observed"' not in value
        }
        assert keys == {BROADCAST_KEY}

    story_of(story, Listed())
