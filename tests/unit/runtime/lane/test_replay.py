"""The law of the lane: whatever a crash leaves behind, a replay ends in the same rows, by the same outputs."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.runtime.lane.lab import LETTERS, OUT, Lab, Record, Sent, World, broadcast, event

KEYS = (b"a", b"b", b"c", b"d")
MAX_ROW = 120

Fields: TypeAlias = st.SearchStrategy[dict[str, Any]]

KEYED: Fields = st.one_of(
    st.builds(dict, kind=st.sampled_from(["add", "look", "ask", "ask_if_odd", "delete", "boom", "flood"])),
    st.builds(dict, kind=st.just("add"), due=st.integers(0, 50)),
    st.builds(dict, kind=st.just("add"), tag=st.sampled_from(["", "red", "blue"])),
    st.builds(dict, kind=st.just("add"), text=st.sampled_from(["", "x" * 60, "x" * MAX_ROW])),
)
BROADCAST: Fields = st.one_of(
    st.builds(dict, kind=st.sampled_from(["none", "everything", "delete", "sweep_even", "boom"])),
    st.builds(dict, kind=st.just("tick"), now=st.integers(0, 50)),
    st.builds(dict, kind=st.just("tagged"), tag=st.sampled_from(["red", "blue"])),
    st.builds(dict, kind=st.just("named"), keys=st.lists(st.sampled_from("abcdz"), max_size=3).map(tuple)),
)


@st.composite
def inboxes(draw: st.DrawFn, keyed: Fields = KEYED, broadcasts: Fields = BROADCAST) -> list[Record]:
    found: list[Record] = []
    for offset in range(draw(st.integers(1, 16))):
        match draw(st.integers(0, 9)):
            case 0 | 1:
                found.append(broadcast(offset, **draw(broadcasts)))
            case 2:
                key = draw(st.sampled_from([None, b"", b"\0other", b"a"]))
                found.append(Record(key, draw(st.sampled_from([b"{", b"new", None])), offset))
            case _:
                found.append(event(draw(st.sampled_from(KEYS)), offset, **draw(keyed)))
    return found


class Batch(NamedTuple):
    """What one submitted slice sent, and the inbox offset that its end acknowledges (None: more follows)."""

    outputs: list[Sent]
    changelog: list[Record]
    end: int | None


def live(
    inbox: list[Record], recovered: list[Record], generation: int, size: int, **options: Any
) -> tuple[list[Batch], Lab]:
    """A worker's life: recover, then fold the inbox in slices of ``size``."""
    lab = Lab(recovered, max_row=MAX_ROW, max_output=1000, **options)
    lab.lane.sweep_slice = 2
    batches: list[Batch] = []
    for start in range(0, len(inbox), size):
        lab.feed(*inbox[start : start + size], generation=generation)
    sent = iter(lab.producer.sent)
    for batch in list(lab.lane.pipeline._sending):
        outputs = [next(sent) for _ in range(batch.outputs.pending)]
        before = len(lab.acknowledged)
        if batch.event is not None:
            batch.event.ack()
        end = lab.acknowledged[-1] if len(lab.acknowledged) > before else None
        batches.append(Batch(outputs, [Record(c["key"], c["value"], 0) for c in batch.changed], end))
    return batches, lab


def crash(batches: list[Batch], cut: int) -> tuple[list[Sent], list[Record], int]:
    """The least that a crash leaves when the changelog has ``cut`` records: outputs, changelog, committed offset."""
    outputs: list[Sent] = []
    changelog: list[Record] = []
    committed = 0
    for batch in batches:
        if len(changelog) == cut:
            break
        outputs += batch.outputs  # I2: acknowledged before the first row of the batch leaves
        rows = batch.changelog[: cut - len(changelog)]
        changelog += rows
        if len(rows) == len(batch.changelog) and batch.end is not None:
            committed = batch.end  # I1: the furthest that may be committed
    return outputs, changelog, committed


def distinct(sent: list[Sent]) -> set[Sent]:
    return {each for each in sent if each.topic in (OUT, LETTERS)}


def world(lab: Lab) -> World:
    found: World = lab.lane.shared_of(lab.part).state
    return found


SWEPT_TWICE = [
    event(b"a", 0),
    event(b"b", 1),
    event(b"c", 2),
    event(b"a", 3, "ask_if_odd"),
    broadcast(4, "everything"),
    event(b"b", 5, "ask_if_odd"),
    broadcast(6, "everything"),
    event(b"c", 7),
]


def assert_exact_after_every_crash(inbox: list[Record], first: int, second: int, **options: Any) -> None:
    """Cut the changelog after every record of a run in slices of ``first``; replay each in slices of ``second``."""
    batches, whole = live(inbox, [], 1, first, **options)
    wanted = distinct(whole.producer.sent)
    assert len(wanted) == len(whole.producer.sent), "an undisturbed run says nothing twice"

    for cut in range(sum(len(batch.changelog) for batch in batches) + 1):
        outputs, changelog, committed = crash(batches, cut)
        for start in {0, committed}:  # a commit may be late, never early
            more, again = live(inbox[start:], changelog, 2, second, **options)
            repeated = distinct(again.producer.sent)
            assert repeated <= wanted, f"cut {cut}, from {start}: other outputs than the first time"
            assert set(outputs) | repeated == wanted, f"cut {cut}, from {start}: outputs missing"
            assert again.rows() == whole.rows(), f"cut {cut}, from {start}"
            assert world(again) == world(whole), f"cut {cut}, from {start}"
            assert again.part.cells == whole.part.cells, f"cut {cut}, from {start}"
            recovered = Lab(changelog + [record for batch in more for record in batch.changelog], **options)
            assert recovered.rows() == whole.rows(), f"cut {cut}, from {start}"
            assert recovered.part.cells == whole.part.cells, f"cut {cut}, from {start}"


@given(inbox=inboxes(), first=st.integers(1, 9), second=st.integers(1, 9))
@example(inbox=SWEPT_TWICE, first=8, second=3)
def test_every_replay_repeats_every_output_byte_for_byte(inbox: list[Record], first: int, second: int) -> None:
    assert_exact_after_every_crash(inbox, first, second)


@given(inbox=inboxes(), sizes=st.tuples(*[st.integers(1, 9)] * 3), data=st.data())
def test_a_crash_during_the_replay_of_a_crash_changes_nothing_either(
    inbox: list[Record], sizes: tuple[int, int, int], data: st.DataObject
) -> None:
    batches, whole = live(inbox, [], 1, sizes[0])
    wanted = distinct(whole.producer.sent)
    seen, changelog, start = set[Sent](), list[Record](), 0
    for generation in (1, 2):
        batches, _ = live(inbox[start:], changelog, generation, sizes[generation - 1])
        cut = data.draw(st.integers(0, sum(len(batch.changelog) for batch in batches)))
        outputs, more, committed = crash(batches, cut)
        seen |= distinct(outputs)
        changelog, start = changelog + more, max(start, committed)
    _, last = live(inbox[start:], changelog, 3, sizes[2])
    assert seen | distinct(last.producer.sent) == wanted
    assert last.rows() == whole.rows()


@given(inbox=inboxes(), sizes=st.tuples(st.integers(1, 25), st.integers(1, 25)))
def test_where_slices_end_makes_no_difference(inbox: list[Record], sizes: tuple[int, int]) -> None:
    (_, one), (_, other) = (live(inbox, [], 1, size) for size in sizes)
    assert one.outputs() == other.outputs()
    assert one.letters() == other.letters()
    assert one.rows() == other.rows()
