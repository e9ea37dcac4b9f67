"""The laws of the window, over every interleaving of reading, acknowledgements, lost connections and hand-overs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from libs.topics.names import APP_P2P, DOWNLINK_MESSAGES
from services.downlink.model import Entry, Forgotten, Place, Publish, Receipt, Record, Refusal
from services.downlink.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable

PLACES = (Place(DOWNLINK_MESSAGES, 1), Place(APP_P2P, 1))
LARGEST = 7
"""Of the packet ids, so that they are used again soon."""
REFUSAL = Refusal("refused_by_broker", "0x87")


def entry(place: Place, offset: int) -> Entry:
    """Two of three carry a command."""
    receipt = Receipt("p", "d", f"{place.topic}-{offset}") if offset % 3 else None
    publish = Publish("a/b", b"{}", 1, None, None, None, receipt)
    return Entry(Record(place, offset, b"p/d", b"x" * (offset % 7), 1), publish)


class Scene:
    """Kafka, the window and the broker. What was not committed is read again by the next owner.

    Each method but the last does one thing that can happen, in a way that ``choice`` decides, and asserts the laws.
    """

    def __init__(self, limit: int) -> None:
        self.window = Window(LARGEST)
        self.held, self.releasing = set(PLACES), set[Place]()
        self.committed = dict.fromkeys(PLACES, 0)
        self.read = dict.fromkeys(PLACES, 0)
        self.done: dict[Place, set[int]] = {place: set() for place in PLACES}
        """Offsets that were acknowledged, refused, or had nothing to publish."""
        self.letters: Counter[tuple[Place, int]] = Counter()
        self.answers: dict[tuple[Place, int], tuple[str | None, bool]] = {}
        """What the broker said about commands: why it refused them (None: it took them), and whether anybody heard."""
        self.air: list[tuple[int, Entry]] = []
        """What the broker got on this connection and has not acknowledged."""
        self.messages, self.bytes = Counter[str](), Counter[str]()
        self.limit = 0
        self.connect(limit)

    # -- the group

    def assign(self, _choice: int) -> None:
        for place in set(PLACES) - self.held:
            self.held.add(place)
            self.done[place] = set(range(self.committed[place]))
            self.read[place] = self.committed[place]
            self.answers = {at: said for at, said in self.answers.items() if at[0] != place}

    def release(self, choice: int) -> None:
        place = PLACES[choice % len(PLACES)]
        if place in self.held - self.releasing:
            self.settle(choice)
            certain = self.done[place] | self._in_the_air(place)
            first = next((at for at in range(self.read[place]) if at not in certain), self.read[place])
            forgotten = self.window.release({place})
            count = sum(part.messages for part in forgotten)
            assert count == self.read[place] - first, "all but what is under way, or done before that"
            self._forgotten(forgotten)
            self.releasing.add(place)

    def drop(self, choice: int) -> None:
        """In order, after a commit, or without one."""
        place = PLACES[choice % len(PLACES)]
        if choice % 3:
            self.settle(choice)
        self._forgotten(self.window.drop({place} & self.held))
        assert not self.window.holds({place})
        self.held.discard(place)
        self.releasing.discard(place)
        self.settle(choice)

    def _forgotten(self, parts: list[Forgotten]) -> None:
        for place, count, size in parts:
            self.messages[place.topic] -= count
            self.bytes[place.topic] -= size

    # -- Kafka

    def take(self, choice: int) -> None:
        place = PLACES[choice % len(PLACES)]
        if place not in self.held - self.releasing:
            return
        entries = []
        for at in range(1 + choice // 7 % 5):
            offset = self.read[place]
            self.read[place] += 1
            found = entry(place, offset)
            if (choice + at) % 5 == 0:
                found.publish, found.refusal = None, REFUSAL if choice % 2 else None
                self.done[place].add(offset)
            entries.append(found)
        self.messages[place.topic] += len(entries)
        self.bytes[place.topic] += sum(found.size for found in entries)
        self.window.take(entries)

    # -- the broker

    def connect(self, choice: int) -> None:
        if not self.limit:
            self.limit = 1 + choice % 6
            self.window.open(self.limit)

    def lose(self, choice: int) -> None:
        if self.limit:
            self.limit = 0
            self.air.clear()
            self._forgotten(self.window.close(broken=bool(choice % 2)))

    def send(self, choice: int) -> None:
        for _ in range(1 + choice // 7 % 8):
            if (found := self.window.next()) is None:
                break
            place, offset = found.record.place, found.record.offset
            assert place in self.held - self.releasing, "sent from a partition that is not ours to send from"
            assert found.publish is not None
            self._assert_in_order(place, offset)
            if choice % 7 == 0:
                self.window.finish(found, REFUSAL if choice % 2 else None, choice)
                if choice % 2:
                    self.answers[place, offset] = REFUSAL.reason, True
                self.done[place].add(offset)
            else:
                self._fly(found)

    def _in_the_air(self, place: Place) -> set[int]:
        records = [found.record for _, found in self.air if not found.void]
        return {record.offset for record in records if record.place == place}

    def _assert_in_order(self, place: Place, offset: int) -> None:
        """Whatever comes before it is done, or was sent before it on this very connection."""
        certain = self.done[place] | self._in_the_air(place)
        assert set(range(offset)) <= certain
        assert offset not in certain

    def _fly(self, found: Entry) -> None:
        assert len(self.air) < self.limit, "more than the broker allows"
        packet_id = self.window.free_id()
        assert 1 <= packet_id <= LARGEST
        assert packet_id not in [other for other, _ in self.air], "the id of a message that is under way"
        self.window.fly(found, packet_id)
        self.air.append((packet_id, found))

    def acknowledge(self, choice: int) -> None:
        if self.air:
            packet_id, found = self.air.pop(choice % len(self.air))  # brokers answer in order; we do not rely on it
            record, refusal = found.record, REFUSAL if choice % 5 == 0 else None
            heard = refusal is not None or choice % 3 > 0
            landed = self.window.land(packet_id, choice, refusal, heard=heard)
            assert landed is (None if found.void else found)
            if landed:
                self.done[record.place].add(record.offset)
                self.answers[record.place, record.offset] = (None if refusal is None else refusal.reason), heard
        stray = choice % (LARGEST + 2)
        if stray not in [other for other, _ in self.air]:
            assert self.window.land(stray, 0) is None

    # -- commits

    def settle(self, _choice: int) -> None:
        for step in self.window.settle():
            place, before = step.place, self.committed[step.place]
            assert place in self.held
            assert step.position == before + step.count, "in steps without holes"
            assert set(range(before, step.position)) <= self.done[place], "passes what is not done"
            answered = [
                (at, self.answers[place, at]) for at in range(before, step.position) if (place, at) in self.answers
            ]
            expected = [(f"{place.topic}-{at}", *said) for at, said in answered if at % 3]
            notices = [(told.request_id, told.refused, told.heard) for told in step.notices]
            assert notices == expected, "told: what was answered"
            self.committed[place] = step.position
            self.messages[place.topic] -= step.count
            self.bytes[place.topic] -= step.size
            self.letters.update((at.place, at.offset) for at, _ in step.refused)
        assert all(count == 1 for count in self.letters.values()), "a dead letter is settled once"

    def end(self) -> None:
        """With a broker that acknowledges everything, all that was read is done at last, and nothing is left."""
        for place in self.releasing.copy():
            self.drop(PLACES.index(place))
        self.lose(0)
        self.connect(3)
        while self.window.next() is not None:
            self.send(50)
            while self.air:
                self.acknowledge(35)
        self.settle(0)
        assert all(self.committed[place] == self.read[place] for place in self.held)
        assert not any([*self.messages.values(), *self.bytes.values()]), "each topic has its room again"
        assert (self.window.in_flight, self.window.waiting) == (0, 0)


STEPS = (
    *[Scene.take, Scene.send, Scene.acknowledge] * 4,
    *[Scene.lose, Scene.connect, Scene.settle, Scene.assign] * 2,
    Scene.release,
    Scene.drop,
)
HISTORIES = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 10_000)), min_size=20, max_size=120)


@given(limit=st.integers(0, 5), history=HISTORIES)
def test_nothing_is_passed_over_overtaken_or_forgotten(
    limit: int, history: list[tuple[Callable[[Scene, int], None], int]]
) -> None:
    scene = Scene(limit)
    for step, choice in history:
        step(scene, choice)
    scene.end()


def flying(window: Window, entries: list[Entry]) -> list[int]:
    """Packet ids of these, sent one after the other."""
    window.take(entries)
    ids = []
    while (found := window.next()) is not None:
        ids.append(window.free_id())
        window.fly(found, ids[-1])
    return ids


def test_a_connection_that_broke_before_any_acknowledgement_makes_each_message_go_alone() -> None:
    window, entries = Window(), [entry(PLACES[0], offset) for offset in range(3)]
    window.open(10)
    assert len(flying(window, entries)) == 3
    window.close(broken=True)
    for losses in (0, 1, 2):
        window.open(10)
        assert entries[0].losses == losses
        assert len(flying(window, [])) == 1
        window.close(broken=True)
    window.open(10)
    [alone] = flying(window, [])
    window.land(alone, 1)
    assert len(flying(window, [])) == 2, "trust is back with the first acknowledgement"
    assert [found.losses for found in entries] == [3, 0, 0]


def test_a_connection_that_nobody_broke_or_that_acknowledged_something_leaves_no_doubt() -> None:
    window, entries = Window(), [entry(PLACES[0], offset) for offset in range(3)]
    window.open(10)
    first, *_ = flying(window, entries)
    window.land(first, 1)
    window.close(broken=True)
    window.open(10)
    assert len(flying(window, [])) == 2
    window.close(broken=False)
    window.open(10)
    assert len(flying(window, [])) == 2
    assert [found.losses for found in entries] == [0, 0, 0]
