"""What is committed when, and what a refusal of Kafka's means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from libs.topics.names import APP_P2P, DOWNLINK_MESSAGES
from services.downlink import commits
from services.downlink.commits import Commits
from services.downlink.letters import TOPIC
from services.downlink.model import Place, Record, Refusal, Settled

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Producer


PLACES = (*[Place(DOWNLINK_MESSAGES, partition) for partition in range(2)], Place(APP_P2P, 0))


def step(place: int, position: int, *refused: int) -> Settled:
    """``refused``: offsets of dead letters."""
    at = PLACES[place]
    letters = tuple((Record(at, offset, b"p/d", b"{", 1), Refusal("invalid_message", "?")) for offset in refused)
    return Settled(at, position, letters, (), 1, 1)


def numbered(offsets: list[TopicPartition]) -> dict[int, int]:
    return {PLACES.index(Place(at.topic, at.partition)): at.offset for at in offsets}


class Group:
    """In the place of the consumer and the producer of transactions; ``calls`` holds what was asked, in order."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.pending: list[TopicPartition] = []
        self.refusal: KafkaError | None = None
        """What Kafka answers to the next commit that is waited for, or to the next transaction."""
        self.made = 0

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> None:
        self.calls.append(("ask" if asynchronous else "commit", numbered(offsets)))
        if asynchronous:
            self.pending = offsets
        else:
            self._refuse()

    def committed(self, partitions: list[TopicPartition], _timeout: float) -> list[TopicPartition]:
        return [TopicPartition(at.topic, at.partition, 7 if at.partition == 1 else -1001) for at in partitions]

    def consumer_group_metadata(self) -> str:
        return "member"

    def init_transactions(self, _timeout: float) -> None:
        self.calls.append(("init", None))

    def begin_transaction(self) -> None:
        self.calls.append(("begin", None))

    def produce(self, topic: str, *, value: bytes, key: bytes) -> None:
        assert (topic, key) == (TOPIC, b"p/d")
        self.calls.append(("letter", value[-200:].count(b"invalid_message")))

    def send_offsets_to_transaction(self, offsets: list[TopicPartition], group: str, _timeout: float) -> None:
        assert group == "member"
        self.calls.append(("offsets", numbered(offsets)))

    def commit_transaction(self, _timeout: float) -> None:
        self._refuse()
        self.calls.append(("end", None))

    def abort_transaction(self, _timeout: float) -> None:
        self.calls.append(("abort", None))

    def make(self) -> Producer:
        self.made += 1
        return cast("Producer", self)

    def _refuse(self) -> None:
        if self.refusal is not None:
            refusal, self.refusal = self.refusal, None
            raise KafkaException(refusal)

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.calls]


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Group:
    monkeypatch.setattr(commits, "EVERY", 0.0)
    return Group()


@pytest.fixture
def kept(group: Group) -> Commits:
    return Commits(cast("Consumer", group), group.make)


def answer(kept: Commits, group: Group, error: KafkaError | None = None) -> None:
    kept.answered(error, group.pending)


def test_one_commit_is_under_way_at_a_time(group: Group, kept: Commits) -> None:
    kept.flush()
    assert group.calls == []
    kept.add(step(0, 5))
    kept.add(step(2, 9))
    kept.flush()
    kept.add(step(0, 6))
    kept.flush()
    assert group.calls == [("ask", {0: 5, 2: 9})]
    answer(kept, group)
    assert kept.committed == {PLACES[0]: 5, PLACES[2]: 9}
    kept.flush()
    assert group.calls[1:] == [("ask", {0: 6})]


@pytest.mark.parametrize(
    "code", [KafkaError.REBALANCE_IN_PROGRESS, KafkaError.ILLEGAL_GENERATION, KafkaError._TRANSPORT]
)
def test_what_passes_is_asked_again(group: Group, kept: Commits, code: int) -> None:
    kept.add(step(0, 5))
    kept.flush()
    answer(kept, group, KafkaError(code))
    kept.flush()
    assert group.calls == [("ask", {0: 5})] * 2
    group.refusal = KafkaError(code)
    kept.finish()
    assert kept.committed == {}


def test_what_kafka_refuses_for_good_is_raised(group: Group, kept: Commits) -> None:
    kept.add(step(0, 5))
    kept.flush()
    answer(kept, group, KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))
    with pytest.raises(KafkaException):
        kept.flush()


def test_the_end_waits_for_its_commit(group: Group, kept: Commits) -> None:
    kept.finish()
    kept.add(step(0, 5))
    kept.finish()
    assert group.calls == [("commit", {0: 5})]
    kept.add(step(0, 8))
    group.refusal = KafkaError(KafkaError.FENCED_INSTANCE_ID)
    with pytest.raises(KafkaException):
        kept.finish()


def test_a_dead_letter_and_the_position_that_passes_it_are_one_transaction(group: Group, kept: Commits) -> None:
    kept.add(step(0, 5, 3, 4))
    kept.add(step(2, 9))
    kept.flush()
    assert group.names == ["init", "begin", "letter", "letter", "offsets", "end"]
    assert group.calls[4] == ("offsets", {0: 5, 2: 9})
    kept.add(step(0, 6))
    kept.flush()
    assert group.names[6:] == ["ask"]
    answer(kept, group)
    kept.add(step(0, 7, 6))
    kept.finish()
    assert group.names[7:] == ["begin", "letter", "offsets", "end"]
    assert group.made == 1


def test_a_commit_under_way_comes_before_a_transaction(group: Group, kept: Commits) -> None:
    kept.add(step(0, 5))
    kept.flush()
    kept.add(step(0, 7, 6))
    kept.flush()
    assert group.names == ["ask"], "its answer is waited for"
    kept.finish()
    assert group.names == ["ask", "commit", "init", "begin", "letter", "offsets", "end"]
    answer(kept, group)
    assert kept.committed == {PLACES[0]: 7}, "a late answer moves nothing back"


def test_an_aborted_transaction_is_tried_again(group: Group, kept: Commits) -> None:
    kept.add(step(0, 5, 4))
    group.refusal = KafkaError(KafkaError.ILLEGAL_GENERATION, txn_requires_abort=True)
    kept.flush()
    assert group.names[-1] == "abort"
    assert kept.committed == {}
    kept.flush()
    assert group.names[-4:] == ["begin", "letter", "offsets", "end"]
    assert kept.committed == {PLACES[0]: 5}


def test_a_transaction_in_doubt_is_raised(group: Group, kept: Commits) -> None:
    kept.add(step(0, 5, 4))
    group.refusal = KafkaError(KafkaError._TIMED_OUT, retriable=True)
    with pytest.raises(KafkaException):
        kept.flush()


def test_partitions_of_others_are_not_committed(group: Group, kept: Commits) -> None:
    kept.add(step(0, 5, 4))
    kept.add(step(1, 9))
    kept.forget({PLACES[0]})
    kept.flush()
    assert group.calls == [("ask", {1: 9})]
    kept.forget({PLACES[1]})
    answer(kept, group)
    assert kept.committed == {}


def test_it_begins_where_others_have_left_off(kept: Commits) -> None:
    assert kept.begin([TopicPartition(*place) for place in PLACES]) == {PLACES[1]: 7}
    assert kept.committed == {PLACES[1]: 7}
