"""Load on a ledger's inbox."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import msgspec
from confluent_kafka import Producer

from libs.topics.identity import BROADCAST_KEY
from tests.integration.lane.ledger import Event, inbox
from tests.integration.lane.topics import PARTITIONS


class Load(threading.Thread):
    """Events and broadcasts at a steady rate until stopped: deposits, armed deadlines, closed accounts, questions."""

    def __init__(self, bootstrap: str, service: str, rate: int, accounts: int = 1000) -> None:
        super().__init__(daemon=True)
        self._topic, self._rate, self._accounts = inbox(service), rate, accounts
        self._random, self._enough = random.Random(service), threading.Event()
        self.producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "linger.ms": 5,
            }
        )

    def put(self, key: bytes | None, kind: str, **fields: Any) -> None:
        self.producer.produce(self._topic, msgspec.json.encode(Event(kind, **fields)), key)

    def broadcast(self, kind: str, **fields: Any) -> None:
        value = msgspec.json.encode(Event(kind, **fields))
        for partition in range(PARTITIONS):
            self.producer.produce(self._topic, value, BROADCAST_KEY, partition)

    def preload(self) -> None:
        """One deposit for each account."""
        for number in range(self._accounts):
            self.put(b"account-%05d" % number, "deposit", value=number)
        self.flush()

    def flush(self) -> None:
        assert self.producer.flush(60) == 0

    def run(self) -> None:
        begun, done, broadcasts = time.monotonic(), 0, 0
        while not self._enough.wait(0.01):
            passed = time.monotonic() - begun
            while done < passed * self._rate:
                self._one(done)
                done += 1
            if passed > broadcasts * 0.25:
                broadcasts += 1
                kind = ("tick", "everything", "rate", "tagged", "tick", "note", "rate", "unrate")[broadcasts % 8]
                self.broadcast(kind, value=broadcasts, at=int(time.time() * 1000))
            self.producer.poll(0)
        self.flush()

    def _one(self, number: int) -> None:
        account = b"account-%05d" % self._random.randrange(self._accounts)
        match self._random.randrange(20):
            case 0:
                moment = int(time.time() * 1000) + self._random.randrange(-500, 3000)
                self.put(account, "arm", at=moment)
            case 1:
                self.put(b"brief-%03d" % self._random.randrange(200), self._random.choice(["deposit", "close"]))
            case 2:
                self.put(account, "ask")
            case _:
                self.put(account, "deposit", value=number & 1023)

    def stop(self) -> None:
        self._enough.set()
        if self.is_alive():
            self.join(60)

    def finish(self) -> None:
        """Stop; then one tick later than every deadline."""
        self.stop()
        self.broadcast("tick", at=int(time.time() * 1000) + 600_000)
        self.flush()
