"""Latency at a steady rate: from handing an event to the producer until its output is received."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, Producer, TopicPartition

from bench.lane_apps.fold import Reading, encode
from bench.support.kafka import end_of
from libs.runtime.kafka import KEYED, client_config

if TYPE_CHECKING:
    from bench.support.kafka import Cluster

WARM_UP = 2.0
"""Seconds at the same rate before the clock counts: the app begins, and Kafka has met none of its topics yet."""
KEYS = 10_000
PADDING = "x" * 120
TIMEOUT = 60.0


def measure(cluster: Cluster, inbox: str, output: str, rate: int, seconds: float) -> tuple[float, float]:
    """Median and 99th percentile in milliseconds. The output begins with the event's time in microseconds.

    The app is at rest when this is called: what ``output`` holds by then is of an earlier measurement.
    """
    producer = Producer(client_config(cluster.settings, **KEYED, **{"linger.ms": 0}))
    consumer = Consumer(client_config(cluster.settings, **{"group.id": "bench-latency", "enable.auto.commit": False}))
    partitions = [TopicPartition(output, number) for number in range(cluster.settings.partitions)]
    for one in partitions:
        one.offset = end_of(consumer, one)
    consumer.assign(partitions)
    try:
        _measure(producer, consumer, inbox, rate, WARM_UP)
        found = sorted(_measure(producer, consumer, inbox, rate, seconds))
    finally:
        producer.flush(10)
        consumer.close()
    return found[len(found) // 2], found[len(found) * 99 // 100]


def _measure(producer: Producer, consumer: Consumer, inbox: str, rate: int, seconds: float) -> list[float]:
    total = int(rate * seconds)
    sender = threading.Thread(target=_pace, args=(producer, inbox, rate, total))
    sender.start()
    found = _receive(consumer, total)
    sender.join()
    return found


def _pace(producer: Producer, inbox: str, rate: int, total: int) -> None:
    begun, pause = time.monotonic(), threading.Event()
    for n in range(total):
        ahead = n / rate - (time.monotonic() - begun)
        if ahead > 0:
            pause.wait(ahead)
        _send(producer, inbox, n)


def _send(producer: Producer, inbox: str, n: int) -> None:
    device = f"product/device-{n % KEYS}"
    producer.produce(inbox, encode(Reading(device, _now(), n & 1023, PADDING)), device)
    producer.poll(0)


def _receive(consumer: Consumer, count: int) -> list[float]:
    """Milliseconds that each of ``count`` outputs took. Raises TimeoutError."""
    found: list[float] = []
    deadline = time.monotonic() + TIMEOUT
    while len(found) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(found)} of {count} outputs came")
        message = consumer.poll(0.05)  # one by one: `consume` would wait until its batch is full
        if message is not None and message.error() is None:
            found.append((_now() - int(message.value().split()[0])) / 1000)
    return found


def _now() -> int:
    return time.time_ns() // 1000
