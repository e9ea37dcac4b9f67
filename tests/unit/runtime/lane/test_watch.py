"""The watch asks Kafka for what the consumer works on, and calls nobody stuck while Kafka does not say."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from libs.runtime.lane.ranges import Ranges
from libs.runtime.lane.watch import Watch
from tests.unit.runtime.lane.lab import INBOX, Lab, Record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka import TopicPartition

CHANGELOG = "things-changelog"
STUCK = "no progress for 60 s in "


class Admin:
    """Kafka, as far as it tells ends."""

    def __init__(self) -> None:
        self.ends: dict[tuple[str, int], int] = {}
        self.error: Exception | None = None
        self.refreshed = 0

    def list_offsets(self, wanted: Iterable[TopicPartition], **_: Any) -> dict[TopicPartition, Future[Any]]:
        answers = {}
        for one in wanted:
            answers[one] = Future[Any]()
            end, error = self.ends.get((one.topic, one.partition)), self.error
            if error is not None or end is None:
                answers[one].set_exception(error or KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE)))
            else:
                answers[one].set_result(SimpleNamespace(offset=end))
        return answers

    def list_topics(self, **_: Any) -> None:
        """What an admin client is asked after a refusal, so that it hears of new leaders."""
        self.refreshed += 1


class World:
    """A worker whose inbox has two partitions, both folded up to 10; observed every 10 s."""

    app: Any

    def __init__(self) -> None:
        self.now = 0.0
        self.admin, self.ranges, self.lab = Admin(), Ranges(), Lab()
        for number in (0, 1):
            self.ranges.seek((INBOX, number), 10)
            self.admin.ends[INBOX, number] = 10
        self.consumer = SimpleNamespace(
            flow_active=True, ranges=self.ranges, cycles=5, known_highwater=lambda tp: self.fetched.get(tp, 10)
        )
        self.fetched: dict[Any, int] = {}
        self.lacking: dict[tuple[str, int], tuple[int, int]] = {}
        recovery = SimpleNamespace(lacking=lambda: self.lacking)
        self.app = SimpleNamespace(
            rebalancing=False,
            rebalancing_count=1,
            consumer_generation_id=1,
            admin=self.admin,
            consumer=self.consumer,
            tables=SimpleNamespace(recovery=recovery, actives_ready=True),
            lanes={"things": self.lab.lane},
        )
        self.watch = Watch(self.app)

    async def look(self, times: int = 1) -> str:
        for _ in range(times):
            self.now += 10.0
            await self.watch.look(lambda: self.now)
        return self.watch.stuck


@pytest.fixture
def world() -> World:
    return World()


async def test_a_worker_that_only_waits_is_never_stuck(world: World) -> None:
    assert await world.look(20) == ""
    assert world.watch.ends == {(INBOX, 0): 10, (INBOX, 1): 10}


async def test_a_consumer_whose_fetches_hang_is_stuck_after_a_minute(world: World) -> None:
    await world.look()
    world.admin.ends[INBOX, 1] = 15
    assert await world.look(6) == ""
    assert await world.look() == STUCK + f"{INBOX}-1"
    world.ranges.hand_out((INBOX, 1), [Record(b"k", b"{}", 10)])
    assert await world.look() == ""


async def test_slices_that_are_never_done_are_stuck_too(world: World) -> None:
    world.admin.ends[INBOX, 0] = 12
    world.ranges.hand_out((INBOX, 0), [Record(b"k", b"{}", offset) for offset in (10, 11)])
    world.fetched[INBOX, 0] = 12
    assert await world.look(6) == ""
    world.consumer.cycles += 1
    assert await world.look() == STUCK + f"{INBOX}-0"


async def test_nobody_is_stuck_while_kafka_does_not_answer(world: World) -> None:
    world.admin.ends[INBOX, 1] = 15
    assert await world.look(6) == ""
    world.admin.error = KafkaException(KafkaError(KafkaError._TIMED_OUT))
    assert await world.look(10) == ""
    assert world.admin.refreshed == 10, "a client that was refused hears of new leaders only if it asks"
    world.app.rebalancing = True
    assert await world.look(20) == ""
    world.admin.error, world.app.rebalancing = None, False
    assert await world.look(6) == "", "it has a minute again"
    assert await world.look() == STUCK + f"{INBOX}-1"


async def test_an_assignment_takes_its_time_but_not_for_ever(world: World) -> None:
    world.admin.ends[INBOX, 1] = 15
    world.consumer.flow_active, world.app.rebalancing = False, True
    assert await world.look(12) == "", "others of the group may not come back"
    assert await world.look() == "no end of an assignment for 120 s"
    world.app.rebalancing_count += 1
    assert await world.look() == "", "it begins anew"
    assert await world.look(12) == "no end of an assignment for 120 s"
    world.consumer.flow_active, world.app.rebalancing = True, False
    assert await world.look() == ""


async def test_a_partition_that_kafka_does_not_tell_is_no_excuse_for_another(world: World) -> None:
    world.admin.ends = {(INBOX, 1): 15}
    assert await world.look(7) == STUCK + f"{INBOX}-1"


async def test_a_recovery_that_stands_still_is_stuck(world: World) -> None:
    world.app.rebalancing = True
    world.lacking[CHANGELOG, 0] = (100, 900)
    world.admin.ends[CHANGELOG, 0] = 900
    assert await world.look(6) == ""
    assert await world.look() == STUCK + f"{CHANGELOG}-0"
    world.lacking[CHANGELOG, 0] = (300, 900)
    assert await world.look() == ""


async def test_a_long_sweep_is_no_standstill(world: World) -> None:
    world.admin.ends[INBOX, 0] = 11
    world.ranges.hand_out((INBOX, 0), [Record(b"k", b"{}", 10)])
    world.lab.part.sweep = iter(())
    for _ in range(20):
        world.lab.lane.counters.swept += 1
        assert await world.look() == ""
    world.lab.part.sweep = None
    assert await world.look(8) == STUCK + f"{INBOX}-0"


async def test_what_is_no_answer_of_kafka_is_raised(world: World) -> None:
    world.admin.error = ValueError("not Kafka")
    with pytest.raises(ValueError, match="not Kafka"):
        await world.look()
