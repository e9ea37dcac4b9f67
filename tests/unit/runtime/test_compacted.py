"""A follower knows the last document of every key, whatever the topic holds and however it is read."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock

import pytest
from confluent_kafka import KafkaError, KafkaException
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.runtime import compacted, metrics, tail
from libs.runtime.compacted import Compacted, NoSuchTopic
from libs.runtime.settings import KafkaSettings
from libs.topics.codec import InvalidMessage, UnknownKind
from tests.support.polling import eventually_async

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TOPIC = "things.documents"
AWAY = KafkaException(KafkaError(KafkaError._TRANSPORT))

RECORDS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from([b"a", b"b", b"c", b"d"]),
        st.sampled_from([None, b"1", b"2", b"3", b"unknown", b"invalid"]),
    ),
    max_size=40,
)
"""(partition, key, value); a key is in the partition of its number."""


class Said(NamedTuple):
    """A record, or the end of a partition."""

    number: int
    name: bytes = b""
    document: bytes | None = None
    failure: Any = None

    def partition(self) -> int:
        return self.number

    def key(self) -> bytes:
        return self.name

    def value(self) -> bytes | None:
        return self.document

    def error(self) -> KafkaError | None:
        return None if self.failure is None else KafkaError(self.failure)


class Kafka:
    """In place of librdkafka's consumer. ``answers``: to the question for partitions, the last one for ever."""

    def __init__(self, said: Sequence[Said], answers: Sequence[Any]) -> None:
        self.said, self.answers, self.closed = list(said), list(answers), False
        self.drained = threading.Event()

    def list_topics(self, topic: str, _timeout: float) -> Any:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        error = None if isinstance(answer, int) else answer
        found = mock.Mock(error=error, partitions=dict.fromkeys(range(answer if error is None else 0)))
        return mock.Mock(topics={topic: found})

    def assign(self, partitions: Any) -> None:
        self.assigned = [(one.topic, one.partition) for one in partitions]

    def poll(self, _timeout: float) -> Said | None:
        if self.said:
            return self.said.pop(0)
        self.drained.wait(0.001)
        return None

    def close(self) -> None:
        self.closed = True


def decode(value: bytes) -> int:
    if value == b"unknown":
        raise UnknownKind("unknown")
    if value == b"invalid":
        raise InvalidMessage("invalid")
    return int(value)


def run(kafka: Kafka, scenario: Callable[[Compacted[int]], Any], **options: Any) -> None:
    async def main() -> None:
        follower = Compacted(KafkaSettings(), TOPIC, decode, **options)
        try:
            await scenario(follower)
        finally:
            await follower.stop()

    with mock.patch.object(compacted, "Consumer", return_value=kafka):
        try:
            asyncio.run(main())
        finally:
            assert kafka.closed


def end(partition: int) -> Said:
    return Said(partition, failure=KafkaError._PARTITION_EOF)


@settings(max_examples=50)
@given(RECORDS, st.integers(1, 5), st.data())
def test_the_last_document_of_each_key_is_known(
    records: list[tuple[int, bytes, bytes | None]], most: int, data: st.DataObject
) -> None:
    said = [Said(number, b"%d" % number + key, value) for number, key, value in records]
    for number in range(3):
        last = max((place for place, one in enumerate(said) if one.number == number), default=-1)
        said.insert(data.draw(st.integers(last + 1, len(said))), end(number))
    expected = {b"%d" % number + key: value for number, key, value in records}
    numbers = {key: int(value) for key, value in expected.items() if value is not None and value.isdigit()}
    heard: dict[bytes, int] = {}

    def on_change(changes: Sequence[tuple[bytes, int | None]]) -> None:
        assert 0 < len(changes) <= most
        heard.update({key: document or 0 for key, document in changes})

    async def scenario(follower: Compacted[int]) -> None:
        await follower.start()
        assert dict(follower.documents) == numbers
        assert {key: document for key, document in heard.items() if document} == numbers
        assert heard.keys() == expected.keys()

    with mock.patch.object(tail, "MOST", most):
        run(Kafka(said, [3]), scenario, on_change=on_change)


def test_a_document_that_is_not_understood_counts_as_deleted_and_is_counted() -> None:
    def counted(reason: str) -> float:
        labels = {"topic": TOPIC, "reason": reason}
        return metrics.registry.get_sample_value("fleetlog_compacted_unreadable_total", labels) or 0.0

    before = counted("unknown_kind"), counted("invalid_message")
    said = [Said(0, b"a", b"1"), Said(0, b"b", b"1"), Said(0, b"a", b"unknown"), Said(0, b"b", b"invalid"), end(0)]

    async def scenario(follower: Compacted[int]) -> None:
        await follower.start()
        assert not follower.documents

    run(Kafka(said, [1]), scenario)
    assert (counted("unknown_kind"), counted("invalid_message")) == (before[0] + 1, before[1] + 1)


def test_the_start_waits_for_kafka_and_for_a_leader_and_then_for_all_partitions() -> None:
    kafka = Kafka([end(0)], [AWAY, KafkaError(KafkaError.LEADER_NOT_AVAILABLE, retriable=True), 2])

    async def scenario(follower: Compacted[int]) -> None:
        started = asyncio.create_task(follower.start())

        async def read() -> bool:
            return not kafka.said

        await eventually_async(read, describe="the end of partition 0 to be read")
        assert kafka.assigned == [(TOPIC, 0), (TOPIC, 1)]
        assert not started.done(), "partition 1 is still to be read"
        kafka.said += [Said(1, b"a", b"7"), end(1)]
        await started
        assert follower.documents == {b"a": 7}

    with mock.patch.object(compacted, "PAUSE", 0.001):
        run(kafka, scenario)


def test_a_start_that_waits_for_kafka_can_be_stopped() -> None:
    async def scenario(follower: Compacted[int]) -> None:
        started = asyncio.create_task(follower.start())
        await asyncio.sleep(0)
        await follower.stop()
        await started
        follower.check()

    run(Kafka([], [AWAY]), scenario)


@pytest.mark.parametrize(
    ("error", "raised"),
    [(KafkaError.UNKNOWN_TOPIC_OR_PART, NoSuchTopic), (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaException)],
)
def test_a_topic_that_cannot_be_read_is_told_at_the_start(error: int, raised: type[Exception]) -> None:
    async def scenario(follower: Compacted[int]) -> None:
        await follower.start()

    with pytest.raises(raised, match=TOPIC if raised is NoSuchTopic else "authoriz"):
        run(Kafka([], [KafkaError(error, "not authorized")]), scenario)


def test_what_ends_the_following_is_told_to_whoever_waits_and_looks() -> None:
    kafka = Kafka([end(0)], [1])

    async def scenario(follower: Compacted[int]) -> None:
        await follower.start()
        waits = asyncio.create_task(follower.until(lambda: False, 30))
        await asyncio.sleep(0)
        kafka.said.append(Said(0, failure=KafkaError._AUTO_OFFSET_RESET))
        with pytest.raises(KafkaException):
            await waits
        with pytest.raises(KafkaException):
            follower.check()

    with pytest.raises(KafkaException):
        run(kafka, scenario)


def test_a_consequence_that_fails_ends_the_following() -> None:
    def on_change(_changes: object) -> None:
        raise OSError("no space left")

    async def scenario(follower: Compacted[int]) -> None:
        await follower.start()

    with pytest.raises(OSError, match="no space left"):
        run(Kafka([Said(0, b"a", b"1"), end(0)], [1]), scenario, on_change=on_change)


def test_what_is_waited_for_is_seen_when_it_comes() -> None:
    kafka = Kafka([end(0)], [1])

    async def scenario(follower: Compacted[int]) -> None:
        await follower.start()
        waits = asyncio.create_task(follower.until(lambda: follower.documents.get(b"a") == 2, 30))
        await asyncio.sleep(0)
        kafka.said += [Said(0, b"a", b"1"), Said(0, b"a", b"2")]
        await waits
        assert follower.documents == {b"a": 2}
        with pytest.raises(TimeoutError):
            await follower.until(lambda: b"b" in follower.documents, 0.01)

    run(kafka, scenario)
