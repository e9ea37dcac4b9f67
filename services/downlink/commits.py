"""What is done, committed to Kafka; with the dead letters that it leaves, as one transaction.

Offsets are usually committed without waiting for the answer, one request at a time: after a crash what is not committed
is published again. A dead letter, though, is written exactly once. It goes out together with the offset that passes its
record, in a transaction: both exist or neither does, whatever ends the process.

Everything here runs on the consumer's thread.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from libs.runtime import logs

from . import letters, metrics
from .model import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from confluent_kafka import Consumer, Producer

    from .model import Record, Refusal, Settled

log = logs.get(__name__)

EVERY: Final = 0.1
"""Seconds between two commits: about what a crash repeats, were the broker not to hold some back."""
ASK: Final = 30.0
"""Seconds for one question; longer than a transaction that a crash has left open holds offsets back."""
TRANSACTION: Final = 30.0
"""Seconds that one step of a transaction may take; then the process ends, and the next one repeats it."""

_PASSING: Final = frozenset(
    {
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError._TIMED_OUT,  # noqa: SLF001  (public codes, these five)
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._WAIT_COORD,  # noqa: SLF001
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
        KafkaError._NO_OFFSET,  # noqa: SLF001
    }
)
"""The group is changing, or Kafka is away: what was not committed is committed later, by us or after a repetition."""


class Commits:
    """``producer``: makes the transactional producer, when the first dead letter is due."""

    def __init__(self, consumer: Consumer, producer: Callable[[], Producer]) -> None:
        self._consumer, self._make_producer = consumer, producer
        self._producer: Producer | None = None
        self._positions: dict[Place, int] = {}  # all before it is done
        self._refused: dict[Place, list[tuple[Record, Refusal]]] = {}  # before its position
        self._asked: dict[Place, int] = {}  # positions under way
        self._next = 0.0
        self._failure: KafkaError | None = None
        self.committed: dict[Place, int] = {}
        """Positions that Kafka has."""

    def begin(self, partitions: list[TopicPartition]) -> dict[Place, int]:
        """Positions that earlier owners have committed. Raises KafkaException."""
        found = {Place(at.topic, at.partition): at.offset for at in self._consumer.committed(partitions, ASK)}
        self.committed |= {place: offset for place, offset in found.items() if offset >= 0}
        return {place: self.committed[place] for place in found if place in self.committed}

    def add(self, step: Settled) -> None:
        self._positions[step.place] = step.position
        if step.refused:
            self._refused.setdefault(step.place, []).extend(step.refused)

    def forget(self, partitions: Collection[Place]) -> None:
        """They are another's."""
        for book in (self._positions, self._refused, self._asked, self.committed):
            for place in partitions:
                book.pop(place, None)

    def flush(self) -> None:
        """Commit what is done, if it is time. Raises KafkaException where Kafka refuses it for good."""
        if self._failure is not None:
            raise KafkaException(self._failure)
        if self._asked or time.monotonic() < self._next:
            return
        if due := self._due():
            self._next = time.monotonic() + EVERY
            if self._refused:
                self._transact(due)
            else:
                self._asked = due
                self._consumer.commit(offsets=_offsets(due), asynchronous=True)

    def finish(self) -> None:
        """Commit what is done, and wait for it. Raises KafkaException where Kafka refuses it for good."""
        if due := self._due():
            if self._refused:
                self._transact(due)
            else:
                self._commit(due)

    def answered(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """The consumer's answer to what was not waited for; called by its poll."""
        asked, self._asked = self._asked, {}
        for at in partitions:
            if fault := error or at.error:
                self._fail(fault)
            elif (place := Place(at.topic, at.partition)) in asked:
                self._keep({place: at.offset})

    def _due(self) -> dict[Place, int]:
        known = self.committed
        return {place: position for place, position in self._positions.items() if known.get(place, -1) < position}

    def _keep(self, positions: dict[Place, int]) -> None:
        for place, position in positions.items():
            self.committed[place] = max(position, self.committed.get(place, -1))

    def _fail(self, error: KafkaError) -> None:
        if error.fatal() or error.code() not in _PASSING:
            self._failure = error
        else:
            log.info("commit_refused", error=str(error))

    def _commit(self, positions: dict[Place, int]) -> bool:
        """Whether Kafka took it."""
        try:
            self._consumer.commit(offsets=_offsets(positions), asynchronous=False)
        except KafkaException as error:
            self._fail(error.args[0])
            if self._failure is not None:
                raise
            return False
        self._keep(positions)
        return True

    def _transact(self, positions: dict[Place, int]) -> None:
        """Write the dead letters and the positions that pass their records, both or neither.

        A commit of before goes another way and must not arrive after this one. Another one that is waited for goes the
        same way, and so comes after it.
        """
        asked, self._asked = self._asked, {}
        if asked and not self._commit(asked):
            return
        refused = [letter for place in positions for letter in self._refused.get(place, ())]
        producer = self._ready_producer()
        try:
            producer.begin_transaction()
            for record, refusal in refused:
                producer.produce(letters.TOPIC, value=letters.letter(record, refusal), key=record.key)
            group = self._consumer.consumer_group_metadata()
            producer.send_offsets_to_transaction(_offsets(positions), group, TRANSACTION)
            producer.commit_transaction(TRANSACTION)
        except KafkaException as error:
            if not error.args[0].txn_requires_abort():
                raise
            producer.abort_transaction(TRANSACTION)
            log.info("transaction_aborted", error=str(error))
            return
        self._keep(positions)
        for place in positions:
            self._refused.pop(place, None)
        for _, refusal in refused:
            metrics.LETTERS.labels(refusal.reason).inc()

    def _ready_producer(self) -> Producer:
        if self._producer is None:
            producer = self._make_producer()
            producer.init_transactions(TRANSACTION)
            self._producer = producer
        return self._producer


def _offsets(positions: dict[Place, int]) -> list[TopicPartition]:
    return [TopicPartition(*place, position) for place, position in positions.items()]
