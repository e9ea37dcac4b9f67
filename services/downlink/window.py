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

from .model import Entry, Forgotten, Place, Record, Refusal, Settled
from .notices import notice

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from libs.topics.messages.base import Millis
    from libs.topics.messages.command_requests import MessagePublished

LARGEST_ID: Final = 65_534
"""One below MQTT's: the last id is that of a SUBSCRIBE (`libs.runtime.mqtt.session.SUBSCRIBE_ID`)."""


class Window:
    """Bounded by whoever fills it (`credit`). ``largest_id``: of its packet ids."""

    def __init__(self, largest_id: int = LARGEST_ID) -> None:
        self._largest_id = largest_id
        self._ledger: dict[Place, deque[Entry]] = {}  # by partition, all that is not settled, by offset
        self._waiting: deque[Entry] = deque()  # to be sent, in this order
        self._flying: dict[int, Entry] = {}  # by packet id, in the order in which they were sent
        self._touched: set[Place] = set()  # partitions whose first entry may be done
        self._released: set[Place] = set()  # nothing more of them is sent
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

    def close(self, *, broken: bool) -> list[Forgotten]:
        """The connection is lost: what it did not acknowledge is to be sent again before all else.

        ``broken``: the broker, or the network, closed it; so what was sent may be why. Returns what is forgotten: of
        released partitions, for their next owner to send again.
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
        return self._forget(self._released, lambda entry: entry.publish is not None)

    # -- messages

    def take(self, entries: Iterable[Entry]) -> None:
        """Add what was read, by offset within each partition. What has nothing to publish is done already."""
        for entry in entries:
            place = entry.record.place
            self._ledger.setdefault(place, deque()).append(entry)
            if entry.publish is None:
                self._touched.add(place)
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

    def finish(self, entry: Entry, refusal: Refusal | None = None, at: Millis = 0) -> None:
        """What `next` returned is done without an acknowledgement; ``at``: when it was refused."""
        self._waiting.popleft()
        if refusal is not None:
            self._tell(entry, refusal, at)
        self._done(entry, refusal)

    def land(self, packet_id: int, at: Millis, refusal: Refusal | None = None, *, heard: bool = True) -> Entry | None:
        """The broker acknowledges, whatever it says about it. Returns what is done by that; None: nothing of ours."""
        entry = self._flying.pop(packet_id, None)
        if entry is None:
            return None
        self._landed, self._doubt, self._limit = True, False, self._allowed
        if entry.void:
            return None
        self._tell(entry, refusal, at, heard=heard)
        self._done(entry, refusal)
        return entry

    @staticmethod
    def _tell(entry: Entry, refusal: Refusal | None, at: Millis, *, heard: bool = True) -> None:
        if entry.publish is not None and entry.publish.receipt is not None:
            entry.notice = notice(entry.publish.receipt, refusal, at, heard=heard)

    def _done(self, entry: Entry, refusal: Refusal | None) -> None:
        entry.publish, entry.refusal, entry.packet_id = None, refusal, 0
        self._touched.add(entry.record.place)

    # -- partitions

    def settle(self) -> list[Settled]:
        """Remove what is done from the beginning of each partition."""
        touched, self._touched = self._touched, set()
        return [step for place in touched if (step := self._step(place))]

    def _step(self, place: Place) -> Settled | None:
        entries, count, size, position = self._ledger.get(place), 0, 0, 0
        refused = list[tuple[Record, Refusal]]()
        notices: list[MessagePublished] = []
        while entries and entries[0].publish is None:
            entry = entries.popleft()
            count, size, position = count + 1, size + entry.size, entry.record.offset + 1
            if entry.refusal is not None:
                refused.append((entry.record, entry.refusal))
            if entry.notice is not None:
                notices.append(entry.notice)
        if entries is not None and not entries:
            del self._ledger[place]
        return Settled(place, position, tuple(refused), tuple(notices), count, size) if count else None

    def release(self, partitions: Collection[Place]) -> list[Forgotten]:
        """Send nothing more of these partitions; what is under way may still be acknowledged.

        Returns what is forgotten: all from each partition's first one that is not under way.
        """
        self._released.update(partitions)
        return self._forget(partitions, lambda entry: entry.publish is not None and not entry.packet_id)

    def drop(self, partitions: Collection[Place]) -> list[Forgotten]:
        """Forget these partitions altogether."""
        self._released.difference_update(partitions)
        return self._forget(partitions, lambda _: True)

    def holds(self, partitions: Collection[Place]) -> bool:
        """Whether anything of these partitions is not settled."""
        return any(place in self._ledger for place in partitions)

    def _forget(self, partitions: Collection[Place], begins: Callable[[Entry], bool]) -> list[Forgotten]:
        forgotten = []
        for place in partitions:
            kept, entries = deque[Entry](), self._ledger.pop(place, deque())
            while entries and not begins(entries[0]):
                kept.append(entries.popleft())
            for entry in entries:
                entry.void = True
            if entries:
                forgotten.append(Forgotten(place, len(entries), sum(entry.size for entry in entries)))
            if kept:
                self._ledger[place] = kept
        return forgotten
