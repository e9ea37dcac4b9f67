"""What a worker says about itself on ``hub.owners``.

Unlike an output or a row that is not delivered, an announcement does not end the process: it is a state and no event.
No row depends on it, the reads themselves refuse what is not owned, and a newer announcement says all that an older one
did. So it is repeated, as it is then, until Kafka takes it; otherwise all idle workers would end at once whenever Kafka
is away for longer than a delivery may take.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from libs.topics.names import HUB_OWNERS

from .fail import log

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Producer


class Announcer:
    """Keeps one record per key equal to what was put last. One is under way per key, so they stay in order."""

    def __init__(self, client: Producer) -> None:
        self._client = client
        self._wanted: dict[bytes, bytes | None] = {}
        self._under_way: set[bytes] = set()
        self._said: dict[bytes, bytes | None] = {}

    def put(self, key: bytes, value: bytes | None) -> None:
        """Announce; None deletes the record."""
        self._wanted[key] = value
        self._said.pop(key, None)
        self._send(key)

    def beat(self) -> bool:
        """Take reports and repeat what failed; False while something is not delivered. Call it now and then."""
        self._client.poll(0)
        open_keys = [key for key in self._wanted if key not in self._said]
        for key in open_keys:
            self._send(key)
        return not open_keys

    def _send(self, key: bytes) -> None:
        if key in self._under_way:
            return
        value = self._wanted[key]
        try:
            self._client.produce(HUB_OWNERS, value, key, on_delivery=partial(self._reported, key, value))
        except BufferError:
            return  # the next beat tries again
        self._under_way.add(key)

    def _reported(self, key: bytes, value: bytes | None, error: KafkaError | None, _record: Any) -> None:
        self._under_way.discard(key)
        if error is not None:
            log.warning("announcement was not delivered and is repeated: %s", error)
        elif value == self._wanted[key]:
            self._said[key] = value
        else:
            self._send(key)
