"""What is read from Kafka and not yet committed: what may be sent next, and how far each partition is done. Pure.

Two laws. A partition's position never passes a message that is not done, so that a crash at any moment repeats
messages and loses none. Messages are sent in the order in which they were read, and after a lost connection those
without acknowledgement are sent first, in that same order: so the messages of one device, which share a partition, can
neither overtake each other nor be repeated later than directly after the loss.

Packet ids are never those of messages that the broker may still acknowledge.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from .model import Entry, Record, Refusal, Settled

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

LARGEST_ID: Final = 65_534
"""One below MQTT's: the last id is that of a SUBSCRIBE (`libs.runtime.mqtt.session.SUBSCRIBE_ID`)."""


class Window:
    """Bounded by whoever fills it (`credit`). ``largest_id``: of its packet ids."""

    def __init__(self, largest_id: int = LARGEST_ID) -> None:
        self._largest_id = largest_id
        self._ledger: dict[int, deque[Entry]] = {}  # by partition, all that is not settled, by offset
        self._waiting: deque[Entry] = deque()  # to be sent, in this order
        self._flying: dict[int, Entry] = {}  # by packet id, in the order in which they were sent
        self._leaving: set[int] = set()  # partitions that are released and not dropped yet
        self._touched: set[int] = set()  # partitions whose first entry may be done
        self._limit = self._allowed = 0
        self._packet_id = 0
        self._landed = self._doubt = False

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def in_flight(self) -> int:
        return len(self._flying)

    # -- the connection

    def open(self, limit: int) -> None:
        """A connection takes messages from now on, at most ``limit`` of them without acknowledgement.

        After one that was closed before it acknowledged anything, only one, until that is acknowledged.
        """
        self._allowed = min(limit, self._largest_id)
        self._limit, self._landed = 1 if self._doubt else self._allowed, False

    def close(self, *, broken: bool) -> tuple[int, int]:
        """The connection is lost: what it did not acknowledge is to be sent again before all else.

        ``broken``: the broker, or the network, closed it; so what was sent may be why. Returns messages and bytes that
        are forgotten: what was under way of released partitions is their next owner's to send again.
        """
        self._limit = 0
        lost, self._flying = self._flying, {}
        if lost and broken and not self._landed:
            self._doubt = True
            if len(lost) == 1:
                next(iter(lost.values())).losses += 1
        for entry in lost.values():
            entry.packet_id, entry.again = 0, True
        self._waiting.extendleft(reversed(lost.values()))  # void ones are left out by `next`
        return self.release(self._leaving)

    # -- messages

    def take(self, entries: Iterable[Entry]) -> None:
        """Add what was read, by offset within each partition. What has nothing to publish is done already."""
        for entry in entries:
            partition = entry.record.partition
            self._ledger.setdefault(partition, deque()).append(entry)
            if entry.publish is None:
                self._touched.add(partition)
            else:
                self._waiting.append(entry)

    def next(self) -> Entry | None:
        """The message to be sent next; None: there is none, or as many as allowed are under way.

        The caller has it `fly` or `finish` before it asks again.
        """
        waiting = self._waiting
        while waiting and waiting[0].void:
            waiting.popleft()
        return waiting[0] if waiting and len(self._flying) < self._limit else None

    def free_id(self) -> int:
        """A packet id that no message under way has."""
        packet_id = self._packet_id % self._largest_id + 1
        while packet_id in self._flying:
            packet_id = packet_id % self._largest_id + 1
        return packet_id

    def fly(self, entry: Entry, packet_id: int) -> None:
        """What `next` returned is sent, to be acknowledged."""
        self._waiting.popleft()
        self._packet_id = entry.packet_id = packet_id
        self._flying[packet_id] = entry

    def finish(self, entry: Entry, refusal: Refusal | None = None) -> None:
        """What `next` returned is done without an acknowledgement."""
        self._waiting.popleft()
        self._done(entry, refusal)

    def land(self, packet_id: int, refusal: Refusal | None = None) -> Entry | None:
        """The broker acknowledges, whatever it says about it. Returns what is done by that; None: nothing of ours."""
        entry = self._flying.pop(packet_id, None)
        if entry is None:
            return None
        self._landed, self._doubt, self._limit = True, False, self._allowed
        if entry.void:
            return None
        self._done(entry, refusal)
        return entry

    def _done(self, entry: Entry, refusal: Refusal | None) -> None:
        entry.publish, entry.refusal, entry.packet_id = None, refusal, 0
        self._touched.add(entry.record.partition)

    # -- partitions

    def settle(self) -> list[Settled]:
        """Remove what is done from the beginning of each partition."""
        touched, self._touched = self._touched, set()
        return [step for partition in touched if (step := self._step(partition))]

    def _step(self, partition: int) -> Settled | None:
        entries, count, size, position = self._ledger.get(partition), 0, 0, 0
        refused = list[tuple[Record, Refusal]]()
        while entries and entries[0].publish is None:
            entry = entries.popleft()
            count, size, position = count + 1, size + entry.size, entry.record.offset + 1
            if entry.refusal is not None:
                refused.append((entry.record, entry.refusal))
        if entries is not None and not entries:
            del self._ledger[partition]
        return Settled(partition, position, tuple(refused), count, size) if count else None

    def release(self, partitions: Collection[int]) -> tuple[int, int]:
        """Send nothing more of these partitions; what is under way may still be acknowledged.

        Returns messages and bytes that are forgotten: from each partition's first one that is not under way.
        """
        self._leaving.update(partitions)
        return self._forget(partitions, lambda entry: entry.publish is not None and not entry.packet_id)

    def drop(self, partitions: Collection[int]) -> tuple[int, int]:
        """Forget these partitions altogether. Returns messages and bytes that are forgotten."""
        self._leaving.difference_update(partitions)
        return self._forget(partitions, lambda _: True)

    def holds(self, partitions: Collection[int]) -> bool:
        """Whether anything of these partitions is not settled."""
        return any(partition in self._ledger for partition in partitions)

    def _forget(self, partitions: Collection[int], begins: Callable[[Entry], bool]) -> tuple[int, int]:
        count = size = 0
        for partition in partitions:
            kept, entries = deque[Entry](), self._ledger.pop(partition, deque())
            while entries and not begins(entries[0]):
                kept.append(entries.popleft())
            for entry in entries:
                entry.void = True
                count, size = count + 1, size + entry.size
            if kept:
                self._ledger[partition] = kept
        return count, size
