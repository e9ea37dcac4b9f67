"""The laws of the window, over every interleaving of reading, acknowledgements, lost connections and hand-overs."""

from __future__ import annotations

from collections import Counter, defaultdict

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.downlink.model import Entry, Publish, Record, Refusal
from services.downlink.window import LARGEST_ID, Window

PARTITIONS = (0, 1, 2)
SOME = st.sets(st.sampled_from(PARTITIONS)).map(frozenset)
REFUSAL = Refusal("refused_by_broker", "0x87")


def record(partition: int, offset: int) -> Record:
    return Record(partition, offset, b"p/d", b"x" * (offset % 7), 1)


def publish(*, qos: bool = True) -> Publish:
    return Publish("a/b", b"{}", 1 if qos else 0, None, None, None)


def entry(partition: int, offset: int) -> Entry:
    return Entry(record(partition, offset), publish())


class Downlink(RuleBasedStateMachine):
    """Kafka, the window and the broker; whatever was not committed is read again by the next owner."""

    @initialize()
    def begin(self) -> None:
        self.window = Window()
        self.held: set[int] = set()
        self.releasing: set[int] = set()
        self.committed = dict.fromkeys(PARTITIONS, 0)
        self.read = dict.fromkeys(PARTITIONS, 0)
        self.done: dict[int, set[int]] = defaultdict(set)
        """By partition, offsets that were acknowledged, refused, or had nothing to publish."""
        self.letters: Counter[tuple[int, int]] = Counter()
        self.air: list[tuple[int, Entry]] = []
        """What the broker got on this connection and has not acknowledged."""
        self.limit = 0
        self.in_window = self.bytes = 0

    # -- the group

    @rule(partitions=SOME)
    def assign(self, partitions: frozenset[int]) -> None:
        for partition in partitions - self.held:
            self.held.add(partition)
            self.done[partition] = set(range(self.committed[partition]))
            self.read[partition] = self.committed[partition]

    @rule(partitions=SOME)
    def release(self, partitions: frozenset[int]) -> None:
        going = partitions & self.held
        self._forgotten(self.window.release(going))
        self.releasing |= going

    @rule(partitions=SOME, commits=st.booleans())
    def drop(self, partitions: frozenset[int], commits: bool) -> None:
        """Handed over in order, with a commit, or lost without one."""
        if commits:
            self._settle()
        going = partitions & self.held
        self._forgotten(self.window.drop(going))
        assert not self.window.holds(going)
        self.held -= going
        self.releasing -= going
        self._settle()

    def _forgotten(self, counts: tuple[int, int]) -> None:
        self.in_window -= counts[0]
        self.bytes -= counts[1]

    # -- Kafka

    @rule(partition=st.sampled_from(PARTITIONS), kinds=st.lists(st.sampled_from(("qos1", "qos1", "nothing", "poison"))))
    def take(self, partition: int, kinds: list[str]) -> None:
        if partition not in self.held or partition in self.releasing:
            return
        entries = []
        for kind in kinds:
            offset = self.read[partition]
            self.read[partition] += 1
            found = entry(partition, offset)
            if kind != "qos1":
                found.publish, found.refusal = None, REFUSAL if kind == "poison" else None
                self.done[partition].add(offset)
            entries.append(found)
        self.in_window += len(entries)
        self.bytes += sum(found.size for found in entries)
        self.window.take(entries)

    # -- the broker

    @precondition(lambda self: not self.limit)
    @rule(limit=st.integers(1, 6))
    def connect(self, limit: int) -> None:
        self.limit = limit
        self.window.open(limit)

    @precondition(lambda self: self.limit)
    @rule(broken=st.booleans())
    def lose(self, broken: bool) -> None:
        self.limit = 0
        self.air.clear()
        self.window.close(broken=broken)

    @rule(count=st.integers(1, 6), finishes=st.booleans())
    def send(self, count: int, finishes: bool) -> None:
        for _ in range(count):
            found = self.window.next()
            if found is None:
                break
            place = found.record.partition, found.record.offset
            assert place[0] in self.held - self.releasing, "sent from a partition that is not ours to send from"
            assert not found.void
            assert found.publish is not None
            self._assert_in_order(*place)
            if finishes:
                self.window.finish(found)
                self.done[place[0]].add(place[1])
            else:
                self._fly(found)
        assert self.window.in_flight <= self.limit or not self.limit

    def _assert_in_order(self, partition: int, offset: int) -> None:
        """Whatever comes before it is done, or was sent before it on this very connection."""
        ours = [found.record for _, found in self.air if not found.void]
        in_the_air = {record.offset for record in ours if record.partition == partition}
        assert set(range(offset)) <= self.done[partition] | in_the_air
        assert offset not in self.done[partition] | in_the_air

    def _fly(self, found: Entry) -> None:
        packet_id = self.window.free_id()
        assert 1 <= packet_id <= LARGEST_ID
        assert packet_id not in [other for other, _ in self.air], "the id of a message that is under way"
        self.window.fly(found, packet_id)
        self.air.append((packet_id, found))

    @rule(data=st.data(), refuses=st.booleans())
    def acknowledge(self, data: st.DataObject, refuses: bool) -> None:
        if self.air:
            at = data.draw(st.integers(0, len(self.air) - 1))  # a broker answers in order; we do not rely on it
            packet_id, found = self.air.pop(at)
            landed = self.window.land(packet_id, REFUSAL if refuses else None)
            assert landed is (None if found.void else found)
            if landed:
                self.done[found.record.partition].add(found.record.offset)

    @rule(packet_id=st.integers(0, 65_535))
    def acknowledge_what_nobody_sent(self, packet_id: int) -> None:
        if packet_id not in [other for other, _ in self.air]:
            assert self.window.land(packet_id) is None

    # -- commits

    @rule()
    def settle(self) -> None:
        self._settle()

    def _settle(self) -> None:
        for step in self.window.settle():
            partition, before = step.partition, self.committed[step.partition]
            assert partition in self.held
            assert step.position == before + step.count, "in steps without holes"
            assert set(range(before, step.position)) <= self.done[partition], "passes what is not done"
            self.committed[partition] = step.position
            self.in_window -= step.count
            self.bytes -= step.size
            self.letters.update((at.partition, at.offset) for at, _ in step.refused)

    # -- laws

    @invariant()
    def a_dead_letter_is_settled_once(self) -> None:
        assert all(count == 1 for count in self.letters.values())

    def teardown(self) -> None:
        """With a broker that acknowledges everything, all that was read is done at last, and nothing is left."""
        self.drop(frozenset(self.releasing), commits=True)
        if self.limit:
            self.lose(broken=False)
        self.connect(limit=4)
        for _ in range(10_000):
            while (found := self.window.next()) is not None:
                self._assert_in_order(found.record.partition, found.record.offset)
                self._fly(found)
            if not self.air:
                break
            packet_id, found = self.air.pop(0)
            self.window.land(packet_id)
            self.done[found.record.partition].add(found.record.offset)
        self._settle()
        assert all(self.committed[partition] == self.read[partition] for partition in self.held)
        assert (self.in_window, self.bytes, self.window.in_flight, self.window.waiting) == (0, 0, 0, 0)


TestDownlink = Downlink.TestCase
TestDownlink.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
