"""Replay as an operation: an inbox folded again, in memory, is what the lane made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from libs.runtime.lane.replay import Replay, Replayed, replay
from tests.unit.runtime.lane.celled import CELLED, celled_inboxes
from tests.unit.runtime.lane.lab import INBOX, LETTERS, OUT, Lab, broadcast, event, events
from tests.unit.runtime.lane.test_replay import MAX_ROW, crash, inboxes, live, world

if TYPE_CHECKING:
    from tests.unit.runtime.lane.lab import Record


def again(inbox: list[Record], size: int = 5, changelog: list[Record] | None = None, **options: Any) -> Replayed:
    lane = Lab(max_row=MAX_ROW, max_output=1000, **options).lane
    slices = [(0, inbox[start : start + size]) for start in range(0, len(inbox), size)]
    return replay(lane, slices, None if changelog is None else {0: changelog})


def values(replayed: Replayed, topic: str) -> list[bytes]:
    return [value or b"" for _, _, value, _ in replayed.outputs.get(topic, ())]


@given(inbox=inboxes(), sizes=st.tuples(st.integers(1, 25), st.integers(1, 25)))
def test_a_replay_is_what_the_lane_did(inbox: list[Record], sizes: tuple[int, int]) -> None:
    assert_replayed(inbox, sizes)


@given(inbox=celled_inboxes(), sizes=st.tuples(st.integers(1, 25), st.integers(1, 25)))
def test_a_replay_is_what_the_lane_did_with_cells_and_summaries(inbox: list[Record], sizes: tuple[int, int]) -> None:
    assert_replayed(inbox, sizes, **CELLED)


def assert_replayed(inbox: list[Record], sizes: tuple[int, int], **options: Any) -> None:
    _, lab = live(inbox, [], 1, sizes[0], **options)
    replayed = again(inbox, sizes[1], **options)
    assert {name: cell.state for name, cell in replayed.cells[0].items()} == lab.part.cells
    rows = {key: msgspec.structs.replace(row, offset=-1) for key, row in replayed.rows[0].items()}
    assert rows == lab.rows()
    assert replayed.shared[0].state == world(lab)
    assert values(replayed, OUT) == lab.outputs()
    assert values(replayed, LETTERS) == [sent.value for sent in lab.producer.sent if sent.topic == LETTERS]


@given(inbox=celled_inboxes(), data=st.data())
def test_a_replay_may_begin_with_rows_and_the_offset_that_was_committed_with_them(
    inbox: list[Record], data: st.DataObject
) -> None:
    batches, _ = live(inbox, [], 1, 4, **CELLED)
    cut = data.draw(st.integers(0, sum(len(batch.changelog) for batch in batches)))
    _, changelog, committed = crash(batches, cut)
    whole, rest = again(inbox, **CELLED), again(inbox[committed:], changelog=changelog, **CELLED)
    encode = whole.codec.encode
    assert {key: encode(row) for key, row in rest.rows[0].items()} == {
        key: encode(row) for key, row in whole.rows.get(0, {}).items()
    }
    assert encode(rest.shared[0]) == encode(whole.shared[0])
    assert rest.cells[0] == whole.cells.get(0, {})
    assert set(values(rest, OUT)) <= set(values(whole, OUT))


def test_partitions_have_rows_and_shared_rows_of_their_own() -> None:
    made = Replay(Lab().lane)
    made.fold(0, [event(b"a", 0), broadcast(1, "none")])
    made.fold(3, events(b"b", range(2)))
    replayed = made.result()
    assert {number: list(rows) for number, rows in replayed.rows.items()} == {0: [b"a"], 3: [b"b"]}
    assert {number: shared.state.broadcasts for number, shared in replayed.shared.items()} == {0: 1, 3: 0}
    assert f"{INBOX}-3-1-0 2 0".encode() in values(replayed, OUT)


def test_the_lane_that_is_replayed_stays_as_it_is() -> None:
    lab = Lab()
    lab.feed(event(b"a", 0))
    before = lab.lane.counters.rows, lab.counts(), len(lab.lane.pipeline), lab.lane.app.lane_producer
    assert replay(lab.lane, [(0, events(b"a", range(9)))]).counters.events == 9
    assert (lab.lane.counters.rows, lab.counts(), len(lab.lane.pipeline), lab.lane.app.lane_producer) == before


def test_a_flood_of_dead_letters_is_a_result_and_no_stop() -> None:
    lane = Lab(breaker=(1, 10)).lane
    replayed = replay(lane, [(0, events(b"a", range(50), "boom"))])
    assert replayed.counters.dead_letters == len(replayed.outputs[LETTERS]) == 50
