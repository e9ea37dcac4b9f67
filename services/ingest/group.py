"""The replicas' consumer group: its thread hears what is assigned, proves membership, and waits while shards are left.

The topic holds no record; its partitions are what the group assigns. A proof is a commit for the shards held, which
Kafka accepts only from a member of the group's present generation. The offset committed counts this process's proofs,
which tells their answers apart; the metadata name the holder for whoever looks at the group.

Assignment is cooperative: a shard that stays is not interrupted when another moves. A proof that Kafka refuses while
the group changes is merely none.
"""

from __future__ import annotations

import math
import threading
import time
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any, Final, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from libs.runtime import logs
from libs.topics.names import INGEST_SHARDS

from . import tenure
from .assignment import Assigned, Event, Lost, Proved, Revoked, Shards

if TYPE_CHECKING:
    from .tenure import Tenure

log = logs.get(__name__)

POLL: Final = 0.1
"""Seconds of one wait for news of the group."""
RETRY: Final = 0.2
"""Seconds after a proof that was refused."""
LONGEST_PROOF: Final = 2.0
"""Seconds between two proofs at most, so that a lapse comes as late as it may."""
LONGEST_HEARTBEAT: Final = 3.0
REBALANCE: Final = 300.0
"""Seconds that the group waits for a replica that leaves its shards in order."""
KAFKA: Final = 10.0
"""Seconds for one request: a commit under way to a Kafka that is away must not hold up the end of the process."""


class Misfit(Exception):
    """The topic does not have one partition per shard."""


class Ear(Protocol):
    """Who hears of the group, from its thread."""

    def tell(self, event: Event, released: Future[None] | None = None) -> None:
        """``released`` is to be resolved when the shards of `Revoked` or `Lost` are released."""


def member(kafka: dict[str, Any], group: str, instance: str, takeover: float) -> dict[str, Any]:
    """Options of the group's consumer. ``takeover``: seconds after which a silent replica loses its shards."""
    config = kafka | {
        "group.id": group,
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": round(takeover * 1000),
        "heartbeat.interval.ms": round(min(LONGEST_HEARTBEAT, takeover * tenure.HEARTBEAT) * 1000),
        "max.poll.interval.ms": round(max(REBALANCE, takeover) * 1000),
        "socket.timeout.ms": round(KAFKA * 1000),
        "enable.auto.commit": False,
        "auto.offset.reset": "latest",
    }
    return config | ({"group.instance.id": instance} if instance else {})


class Group:
    """``shards``: how many there are; ``holder``: this replica's name, for people; ``takeover``: as in `member`."""

    def __init__(self, config: dict[str, Any], tenure: Tenure, *, shards: int, holder: str, takeover: float) -> None:
        self._config, self._tenure, self._shards, self._holder = config, tenure, shards, holder
        self._takeover = takeover
        self._ear: Ear
        self._leave = threading.Event()
        self._held: Shards = frozenset()
        self._proofs, self._next = 0, 0.0
        self._asked: tuple[int, float] | None = None
        self._refusal = ""
        self.joined = False
        """Whether the group has a place for this replica, be it without a shard."""
        self.beat = time.monotonic()
        """When the thread last had its turn."""
        self.ended: Future[None] = Future()
        """Resolved when the group is left; holds what the thread failed with."""

    def start(self, ear: Ear) -> None:
        self._ear = ear
        threading.Thread(target=self._run, name="group", daemon=True).start()

    def leave(self) -> None:
        """Have every shard revoked, leave the group, end the thread. Does not wait."""
        self._leave.set()

    # -- in the thread

    def _run(self) -> None:
        try:
            consumer = Consumer(self._config | {"on_commit": self._answered})
            try:
                self._check(consumer)
                consumer.subscribe(
                    [INGEST_SHARDS], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
                )
                while not self._leave.is_set():
                    self._turn(consumer)
            finally:
                consumer.close()
        except BaseException as error:  # noqa: BLE001  (ends the process, by whoever waits)
            self.ended.set_exception(error)
        else:
            self.ended.set_result(None)

    def _turn(self, consumer: Consumer) -> None:
        self.beat = time.monotonic()
        message = consumer.poll(POLL)
        error = message.error() if message is not None else None
        if error is not None:
            if error.fatal() or error.code() == KafkaError._FATAL:  # noqa: SLF001  (librdkafka's public code)
                raise KafkaException(error)
            log.warning("group", error=str(error))
        if self._held and self._asked is None and time.monotonic() >= self._next:
            self._prove(consumer)

    def _check(self, consumer: Consumer) -> None:
        """Wait until Kafka tells how many partitions there are. Raises `Misfit` where they are not one per shard."""
        while not self._leave.is_set():
            self.beat = time.monotonic()
            try:
                topic = consumer.list_topics(INGEST_SHARDS, timeout=1).topics[INGEST_SHARDS]
            except KafkaException as error:
                log.warning("group", error=str(error))
                continue
            if topic.error is None and len(topic.partitions) == self._shards:
                return
            if topic.error is None:
                raise Misfit(
                    f"topic {INGEST_SHARDS} has {len(topic.partitions)} partitions where FLEETLOG_SHARDS makes "
                    f"{self._shards} shards: tell services.topics the same FLEETLOG_SHARDS, having deleted the topic, "
                    "which holds nothing"
                )
            log.warning("group", error=str(topic.error), advice="services.topics creates the topic")
            self._leave.wait(1)

    # -- proofs

    def _prove(self, consumer: Consumer, *, at_once: bool = False) -> None:
        """``at_once``: wait for the answer, where none is polled for."""
        self._proofs += 1
        asked = time.monotonic()
        self._asked = self._proofs, asked
        offsets = [TopicPartition(INGEST_SHARDS, shard, self._proofs, self._holder) for shard in sorted(self._held)]
        try:
            done = consumer.commit(offsets=offsets, asynchronous=not at_once)
        except KafkaException as error:
            self._answered(error.args[0], offsets)
        else:
            if at_once:
                self._answered(None, done)

    def _answered(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        if self._asked is None or {at.offset for at in partitions} != {self._asked[0]}:
            return  # of an assignment that is no more
        (_, asked), self._asked = self._asked, None
        if found := error or next((at.error for at in partitions if at.error), None):
            if str(found) != self._refusal:  # it may be refused five times a second, for as long as the group changes
                self._refusal = str(found)
                log.info("proof_refused", error=self._refusal)
            self._next = time.monotonic() + RETRY
            return
        self._refusal = ""
        self._next = asked + min(LONGEST_PROOF, self._takeover * tenure.PROOF)
        self._tenure.until = asked + self._takeover * tenure.HELD
        self._ear.tell(Proved(self._held))

    # -- what the group says; a callback that returns has answered the group

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.incremental_assign(partitions)
        consumer.pause(partitions)  # there is nothing to fetch
        shards = frozenset(at.partition for at in partitions)
        self.joined = True
        self._change(self._held | shards)
        self._ear.tell(Assigned(shards))

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        shards = frozenset(at.partition for at in partitions)
        self._change(self._held - shards)
        released: Future[None] = Future()
        self._ear.tell(Revoked(shards), released)
        self._wait(consumer, released)

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        shards = frozenset(at.partition for at in partitions)
        self.joined = False
        self._tenure.until = -math.inf
        self._change(frozenset())
        released: Future[None] = Future()
        self._ear.tell(Lost(shards), released)
        self._wait(consumer, released)

    def _wait(self, consumer: Consumer, released: Future[None]) -> None:
        """Until the sessions of shards that go have ended. Raises TimeoutError."""
        until = time.monotonic() + REBALANCE
        while not wait([released], POLL).done:
            self.beat = time.monotonic()
            if self.beat > until:
                raise TimeoutError("a shard's session does not end")
            if self._held and self.beat >= self._next:  # the shards that stay go on meanwhile
                self._prove(consumer, at_once=True)

    def _change(self, held: Shards) -> None:
        """Answers to proofs of before do not count, and a proof is due."""
        self._held, self._asked, self._next = held, None, 0.0
