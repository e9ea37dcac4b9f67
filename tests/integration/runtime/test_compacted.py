"""A compacted topic is followed through deletions and a restart of Kafka."""

from __future__ import annotations

import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import AdminClient

from libs.runtime.compacted import Compacted, NoSuchTopic
from libs.runtime.settings import KafkaSettings
from tests.support.names import unique
from tests.support.polling import eventually
from tests.support.records import create_topic, produce

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from devstack.stack import Stack

DOCUMENTS = 10_000
PARTITIONS = 4


@asynccontextmanager
async def following(kafka: str, topic: str, heard: list[tuple[bytes, int | None]]) -> AsyncIterator[Compacted[int]]:
    def on_change(changes: Sequence[tuple[bytes, int | None]]) -> None:
        heard.extend(changes)

    follower = Compacted(KafkaSettings(bootstrap=kafka), topic, int, on_change=on_change)
    await follower.start()
    try:
        yield follower
    finally:
        await follower.stop()


def is_led(kafka: str, topic: str) -> bool:
    """Whether all partitions have leaders: a broker that has just started answers before it leads them."""
    found = AdminClient({"bootstrap.servers": kafka}).list_topics(topic, timeout=30).topics[topic]
    return found.error is None and all(partition.leader >= 0 for partition in found.partitions.values())


async def test_every_document_is_known_through_deletions_and_a_restart_of_kafka(brokers: Stack) -> None:
    topic = unique("documents")
    create_topic(brokers.kafka, topic, partitions=PARTITIONS, config={"cleanup.policy": "compact"})
    keys = [b"p/d%d" % number for number in range(DOCUMENTS)]
    produce(brokers.kafka, topic, ((key, b"1") for key in keys))
    produce(brokers.kafka, topic, ((key, None) for key in keys[::10]))
    known = dict.fromkeys(keys, 1)
    for key in keys[::10]:
        del known[key]
    heard: list[tuple[bytes, int | None]] = []
    async with following(brokers.kafka, topic, heard) as follower:
        assert follower.documents == known, "what there was is known when the start returns"
        assert {key for key, document in heard if document is None} == set(keys[::10])

        starts = brokers.restarts("kafka")
        brokers.kill("kafka", signal.SIGTERM)
        eventually(lambda: brokers.restarts("kafka") > starts, 60, describe="Kafka to end and to be started again")
        brokers.wait_ready()
        assert follower.documents == known
        eventually(lambda: is_led(brokers.kafka, topic), 90, describe="leaders of all partitions")
        produce(brokers.kafka, topic, [(keys[0], b"2"), (keys[1], None)])
        await follower.until(lambda: keys[0] in follower.documents and keys[1] not in follower.documents, 60)
        known[keys[0]] = 2
        del known[keys[1]]
        assert follower.documents == known
        assert len(heard) == DOCUMENTS + len(keys[::10]) + 2, "nothing is read twice"
        async with following(brokers.kafka, topic, []) as later:
            assert later.documents == known, "who starts later knows the same"


async def test_a_topic_that_is_not_there_is_named(brokers: Stack) -> None:
    topic = unique("nothing")
    follower = Compacted(KafkaSettings(bootstrap=brokers.kafka), topic, int)
    with pytest.raises(NoSuchTopic, match=f"topic {topic} does not exist"):
        await follower.start()
