"""Notices on their way to Kafka, and the steps that wait for them: what is committed has been told.

A notice goes out at once, and the client gathers what comes within some milliseconds, since nobody waits for it. A step
of a partition whose notices Kafka has not acknowledged holds up the later steps of that partition, and no other. So
after a crash messages are published again, and their notices told again, but none is forgotten. Notices are no part of
the transactions of dead letters: one that a crash leaves open would hide from the inbox's readers what others write.

Everything here runs on the consumer's thread.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from . import metrics, notices

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from confluent_kafka import KafkaError, Message, Producer

    from .model import Place, Settled


class Teller:
    """``producer``: makes the durable producer, when the first notice is due; ``limit``: of notices under way."""

    def __init__(self, producer: Callable[[], Producer], limit: int) -> None:
        self._make_producer, self._limit = producer, limit
        self._producer: Producer | None = None
        self._held: dict[Place, deque[_Waiting]] = {}
        self._ready: list[Settled] = []
        self._failure: KafkaError | None = None
        self.under_way = 0
        """Notices that Kafka has not acknowledged."""

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be read: Kafka takes notices more slowly than the broker messages."""
        return self.under_way >= self._limit

    def tell(self, step: Settled) -> None:
        """Steps of one place in order."""
        held = self._held.get(step.place)
        if held is None and not step.notices:
            self._ready.append(step)
            return
        waiting = _Waiting(step, self)
        self._held.setdefault(step.place, deque()).append(waiting)
        if step.notices:
            self._produce(step, waiting)

    def _produce(self, step: Settled, waiting: _Waiting) -> None:
        self._producer = producer = self._producer or self._make_producer()
        self.under_way += len(step.notices)
        metrics.UNTOLD.inc(len(step.notices))
        for told in step.notices:
            key, value = notices.record(told)
            producer.produce(notices.TOPIC, value=value, key=key, on_delivery=waiting.answered)
            metrics.NOTICES.labels(notices.outcome(told)).inc()

    def told(self) -> list[Settled]:
        """Steps whose notices Kafka has, each once and in order per place.

        Raises KafkaException where Kafka has refused a notice.
        """
        if self._producer is not None:
            self._producer.poll(0)  # also where the client's own lines are taken
        if self._failure is not None:
            raise KafkaException(self._failure)
        if self._held:
            self._release()
        ready, self._ready = self._ready, []
        return ready

    def _release(self) -> None:
        for place, held in list(self._held.items()):
            while held and not held[0].missing:
                self._ready.append(held.popleft().step)
            if not held:
                del self._held[place]

    def flush(self, seconds: float) -> None:
        """Wait until Kafka has all notices, no longer than ``seconds``."""
        if self.under_way and self._producer is not None:
            self._producer.flush(seconds)

    def forget(self, places: Collection[Place]) -> None:
        """They are another's. What was told is true, and need not be called back."""
        for place in places:
            self._held.pop(place, None)
        self._ready = [step for step in self._ready if step.place not in places]

    def heard(self, error: KafkaError | None) -> None:
        self.under_way -= 1
        metrics.UNTOLD.dec()
        if error is not None:
            self._failure = error


class _Waiting:
    """A step, and how many of its notices are under way."""

    __slots__ = ("_teller", "missing", "step")

    def __init__(self, step: Settled, teller: Teller) -> None:
        self.step, self.missing, self._teller = step, len(step.notices), teller

    def answered(self, error: KafkaError | None, _message: Message) -> None:
        self.missing -= 1
        self._teller.heard(error)
