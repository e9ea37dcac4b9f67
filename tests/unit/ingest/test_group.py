"""Only an answer to a proof that was asked for the present shards extends the tenure."""

from __future__ import annotations

import math
import threading
import time
from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from structlog.testing import capture_logs

from libs.topics.names import INGEST_SHARDS
from services.ingest import tenure
from services.ingest.assignment import Assigned, Event, Lost, Proved, Revoked
from services.ingest.group import Group, member
from services.ingest.tenure import Tenure

TAKEOVER = 10.0


class Consumer:
    """Takes commits; a test answers them."""

    def __init__(self) -> None:
        self.commits: list[list[TopicPartition]] = []
        self.fault: KafkaException | None = None

    def commit(self, offsets: list[TopicPartition], *, asynchronous: bool) -> list[TopicPartition] | None:
        self.commits.append(offsets)
        if self.fault:
            raise self.fault
        return None if asynchronous else offsets

    def poll(self, _timeout: float) -> None:
        """No news."""

    def incremental_assign(self, _partitions: list[TopicPartition]) -> None:
        """Fine."""

    def pause(self, _partitions: list[TopicPartition]) -> None:
        """Fine."""


class Member:
    def __init__(self) -> None:
        self.tenure, self.events = Tenure(), list[Event]()
        self.consumer: Any = Consumer()
        self.group = Group({}, self.tenure, shards=2, holder="me", takeover=TAKEOVER)
        self.group._ear = self

    def tell(self, event: Event, released: Future[None] | None = None) -> None:
        self.events.append(event)
        if released is not None:
            released.set_result(None)

    def turn(self) -> None:
        self.group._turn(self.consumer)

    def answer(self, number: int, error: KafkaError | None = None) -> None:
        self.group._answered(error, self.consumer.commits[number])


def partitions(*shards: int) -> list[TopicPartition]:
    return [TopicPartition(INGEST_SHARDS, shard) for shard in shards]


def test_an_accepted_proof_counts_from_before_it_was_asked() -> None:
    member_ = Member()
    member_.group._assigned(member_.consumer, partitions(0, 1))
    assert member_.tenure.over()
    before = time.monotonic()
    member_.turn()
    asked = time.monotonic()
    member_.answer(0)
    assert before <= member_.tenure.until - TAKEOVER * tenure.HELD <= asked
    assert member_.events == [Assigned(frozenset({0, 1})), Proved(frozenset({0, 1}))]
    assert {at.metadata for at in member_.consumer.commits[0]} == {"me"}


def test_one_proof_is_under_way_at_a_time_and_the_next_is_not_asked_at_once() -> None:
    member_ = Member()
    member_.group._assigned(member_.consumer, partitions(0))
    for _ in range(3):
        member_.turn()
    assert len(member_.consumer.commits) == 1
    member_.answer(0)
    member_.turn()
    assert len(member_.consumer.commits) == 1


def test_a_proof_that_is_refused_again_and_again_is_told_once() -> None:
    member_ = Member()
    member_.group._assigned(member_.consumer, partitions(0))
    codes = [KafkaError.REBALANCE_IN_PROGRESS] * 3 + [KafkaError.ILLEGAL_GENERATION]
    with capture_logs() as told:
        for number, code in enumerate(codes):
            member_.group._next = 0.0
            member_.turn()
            member_.answer(number, KafkaError(code))
    assert [line["event"] for line in told] == ["proof_refused"] * 2


def test_whoever_waits_for_a_sessions_end_is_alive() -> None:
    member_ = Member()
    member_.group._held = frozenset({0})
    member_.group.beat = 0.0
    released: Future[None] = Future()
    threading.Timer(0.15, released.set_result, (None,)).start()
    member_.group._wait(member_.consumer, released)
    assert member_.group.beat > 0.0


def test_a_refused_proof_extends_nothing() -> None:
    member_ = Member()
    member_.group._assigned(member_.consumer, partitions(0))
    member_.turn()
    member_.answer(0, KafkaError(KafkaError.ILLEGAL_GENERATION))
    assert member_.tenure.over()
    assert member_.events == [Assigned(frozenset({0}))]


def test_an_answer_that_an_assignment_overtook_extends_nothing() -> None:
    member_ = Member()
    member_.group._assigned(member_.consumer, partitions(0))
    member_.turn()
    member_.group._lost(member_.consumer, partitions(0))
    assert member_.tenure.until == -math.inf
    member_.group._assigned(member_.consumer, partitions(0))
    member_.turn()
    member_.answer(0)  # asked for in another life: Kafka may have taken the new generation's word for it
    assert member_.tenure.over()
    member_.answer(1)
    assert not member_.tenure.over()
    assert member_.events[1] == Lost(frozenset({0}))


def test_shards_that_stay_are_proved_while_another_is_left() -> None:
    member_ = Member()
    member_.group._assigned(member_.consumer, partitions(0, 1))
    member_.group._revoked(member_.consumer, partitions(1))
    assert member_.events[-1] == Revoked(frozenset({1}))
    member_.group._prove(member_.consumer, at_once=True)
    assert [at.partition for at in member_.consumer.commits[-1]] == [0]
    assert not member_.tenure.over()


def test_a_proof_that_cannot_be_asked_is_refused() -> None:
    member_ = Member()
    member_.group._assigned(member_.consumer, partitions(0))
    member_.consumer.fault = KafkaException(KafkaError(KafkaError._STATE))
    member_.turn()
    assert member_.tenure.over()
    assert member_.group._asked is None


@pytest.mark.parametrize("takeover", [6.0, 10.0, 90.0, 1800.0])
def test_whoever_takes_over_comes_after_the_last_record_may_have_been_sent(takeover: float) -> None:
    """Kafka counts from the last heartbeat, which may be one interval before the process was frozen."""
    options = member({}, "g", "", takeover)
    session, heartbeat = options["session.timeout.ms"], options["heartbeat.interval.ms"]
    assert takeover * tenure.HELD < takeover * tenure.QUEUED < (session - heartbeat) / 1000
    assert options["max.poll.interval.ms"] >= session
    assert "group.instance.id" not in options
    assert member({}, "g", "me", takeover)["group.instance.id"] == "me"
