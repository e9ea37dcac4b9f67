"""The fold in a plain loop over librdkafka, in batches: no recovery, no guarantee, nothing but the work."""

from __future__ import annotations

from typing import Any

import msgspec
from confluent_kafka import Consumer, Producer

from libs.runtime import main
from libs.runtime.kafka import KEYED, client_config
from libs.topics.names import changelog

from .fold import Count, Settings, answer, decode, fold, output_topic
from .lane import TABLE


def clients(settings: Settings) -> tuple[Consumer, Producer]:
    """Make both clients at their best settings; the consumer reads the inbox from its beginning."""
    kafka = settings.kafka
    consumer = Consumer(
        client_config(
            kafka,
            **{
                "group.id": settings.app,
                "auto.offset.reset": "earliest",
                "queued.min.messages": 1_000_000,  # the defaults of both halve its speed
                "fetch.queue.backoff.ms": 10,
            },
        )
    )
    producer = Producer(
        client_config(
            kafka,
            **KEYED,
            **{
                "linger.ms": settings.lane.linger_ms,
                "compression.type": "lz4",
                "batch.size": 262_144,
                "enable.idempotence": True,
                "queue.buffering.max.messages": 1_000_000,
            },
        )
    )
    consumer.subscribe([settings.inbox])
    return consumer, producer


def start(settings: Settings) -> None:
    consumer, producer = clients(settings)
    rows: dict[bytes, Count] = {}
    encode = msgspec.msgpack.Encoder().encode
    topic, log = output_topic(settings.app), changelog(settings.app, TABLE)
    while True:  # until killed
        outputs: list[dict[str, Any]] = []
        changed: dict[bytes, Count] = {}
        for message in consumer.consume(1000, 0.5):
            if message.error() is not None:
                raise RuntimeError(message.error())
            key, reading = message.key(), decode(message.value())
            rows[key] = changed[key] = row = fold(rows.get(key), reading)
            outputs.append({"key": key, "value": answer(reading, message.partition(), message.offset(), row)})
        producer.produce_batch(topic, outputs)
        producer.produce_batch(log, [{"key": key, "value": encode(row)} for key, row in changed.items()])
        while len(producer) > 500_000:
            producer.poll(0.01)
        producer.poll(0)


if __name__ == "__main__":
    main.run("bench-plain-loop", Settings, start)
