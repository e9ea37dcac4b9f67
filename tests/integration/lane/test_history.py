"""Reading a range of a topic: all that is there now, by partition and in order, and an error where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from libs.runtime.lane.history import Gone, read
from libs.runtime.settings import KafkaSettings
from tests.support.names import unique
from tests.support.records import create_topic, produce

if TYPE_CHECKING:
    from devstack.stack import Stack


@pytest.fixture
def topic(brokers: Stack) -> str:
    """Six records in two of three partitions."""
    name = unique("history")
    create_topic(brokers.kafka, name, partitions=3)
    produce(brokers.kafka, name, [(b"a", b"%d" % n) for n in range(4)] + [(b"d", b"%d" % n) for n in range(2)])
    return name


def offsets(brokers: Stack, topic: str, first: int | dict[int, int] | None = None) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for number, entries in read(KafkaSettings(bootstrap=brokers.kafka), topic, first):
        found.setdefault(number, []).extend(entry.offset for entry in entries)
    return found


def test_a_range_is_read_to_the_end_that_it_has(brokers: Stack, topic: str) -> None:
    whole = offsets(brokers, topic, 0)
    assert sorted(whole.values()) == [[0, 1], [0, 1, 2, 3]]
    longer = max(whole, key=lambda number: len(whole[number]))
    assert offsets(brokers, topic, {longer: 3}) == {longer: [3]}
    assert offsets(brokers, topic, {longer: 4}) == {}


def test_records_that_retention_took_are_not_passed_over_in_silence(brokers: Stack, topic: str) -> None:
    whole = offsets(brokers, topic)
    longer = max(whole, key=lambda number: len(whole[number]))
    admin = AdminClient({"bootstrap.servers": brokers.kafka})
    for future in admin.delete_records([TopicPartition(topic, longer, 3)]).values():
        future.result(30)
    with pytest.raises(Gone, match=f"{topic}-{longer} begins at 3, its records from 0 on are gone"):
        offsets(brokers, topic, 0)
    assert offsets(brokers, topic)[longer] == [3]


def test_a_topic_that_there_is_not_is_an_error(brokers: Stack) -> None:
    with pytest.raises(KafkaException):
        offsets(brokers, unique("nowhere"))
