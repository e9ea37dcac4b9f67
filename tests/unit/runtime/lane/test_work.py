"""What one slice does to rows: what is recorded, what is refused, what leaves no trace."""

from __future__ import annotations

import msgspec
import pytest

from libs.runtime.lane import passage
from libs.runtime.lane.model import ANY_PARTITION, At, Output, reply, send
from libs.runtime.lane.rows import Dead, Row
from libs.topics.identity import BROADCAST_KEY
from tests.unit.runtime.lane.lab import OUT, Event, Lab, Record, Thing, World, broadcast, event, events


def test_events_fold_in_order_and_each_says_its_output() -> None:
    lab = Lab()
    lab.feed(*events(b"k", range(3)))
    assert lab.counts() == {b"k": 3}
    assert lab.outputs() == [b"things.inbox-0-0-0 1 0", b"things.inbox-0-1-0 2 0", b"things.inbox-0-2-0 3 0"]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_a_slice_is_folded_chunk_by_chunk_and_acknowledged_once(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [*events(b"k", range(3)), broadcast(3, "everything"), *events(b"j", range(4, 7))]
    whole = Lab()
    whole.feed(*records)
    monkeypatch.setattr(passage, "CHUNK", size)
    lab = Lab()
    lab.feed(*records)
    assert lab.outputs() == whole.outputs()
    lab.deliver()
    assert lab.counts() == whole.counts()
    assert lab.acknowledged == [7]


def test_an_answer_goes_to_the_partition_of_who_asked() -> None:
    def step(row: Thing | None, event: Event, at: At, _world: World) -> tuple[Thing | None, tuple[Output, ...]]:
        return row, (send(OUT, at.key, b"said"), reply("api.replies", event.now, b"correlation", b"yes"))

    lab = Lab(step=step)
    lab.feed(event(b"k", 0, now=5), event(b"k", 1, now=3), event(b"k", 2, now=5))
    sent = lab.producer.sent
    assert [one.partition for one in sent if one.topic == OUT] == [ANY_PARTITION] * 3
    assert sorted(one.partition for one in sent if one.topic == "api.replies") == [3, 5, 5]


def test_an_event_at_or_before_the_recorded_offset_is_a_replay() -> None:
    lab = Lab()
    lab.feed(*events(b"k", range(3)))
    lab.feed(*events(b"k", range(4)))
    assert lab.counts() == {b"k": 4}
    assert lab.lane.counters.skipped == 3


def test_an_event_without_effect_leaves_no_trace() -> None:
    lab = Lab()
    lab.feed(event(b"k", 0, "look"))
    assert lab.deliver() == []
    assert b"k" not in lab.part.rows


def test_an_output_without_a_row_is_recorded_in_a_tombstone() -> None:
    lab = Lab()
    lab.feed(event(b"k", 0, "ask"))
    assert isinstance(lab.row(b"k"), Dead)
    assert lab.row(b"k").offset == 0
    lab.feed(event(b"k", 0, "ask"))
    assert len(lab.outputs()) == 1


def test_an_output_without_a_change_is_recorded_in_the_row() -> None:
    lab = Lab()
    lab.feed(event(b"k", 0), event(b"k", 1, "ask"))
    assert lab.row(b"k").offset == 1
    assert lab.counts() == {b"k": 1}


def test_a_row_that_a_step_returns_for_many_keys_stays_as_the_author_made_it() -> None:
    constant = _Constant()
    lab = Lab(row=_Constant, step=lambda *_: (constant, ()), terms=None, deadline=None)
    lab.feed(event(b"a", 0), event(b"b", 1))
    assert (lab.row(b"a").offset, lab.row(b"b").offset) == (0, 1)
    assert (constant.offset, constant.revision) == (-1, 0)


class _Constant(Row, kw_only=True):
    count: int = 0


def test_a_poisoned_event_is_recorded_and_the_row_unchanged() -> None:
    lab = Lab()
    lab.feed(event(b"k", 0), event(b"k", 1, "boom"), event(b"new", 2, "boom"))
    assert lab.counts() == {b"k": 1}
    assert (lab.row(b"k").offset, lab.row(b"new").offset) == (1, 2)
    lab.feed(event(b"k", 1, "boom"), event(b"new", 2, "boom"))
    assert lab.reasons() == ["poison", "poison"]


def test_an_invalid_message_is_recorded_and_dead_lettered() -> None:
    lab = Lab()
    lab.feed(Record(b"k", b"{", 0), Record(b"k", None, 1))
    assert lab.reasons() == ["invalid_message", "invalid_message"]
    assert lab.row(b"k").offset == 1


def test_an_unknown_kind_is_counted_and_leaves_no_trace() -> None:
    lab = Lab()
    lab.feed(Record(b"k", b"newer than this version", 0), Record(BROADCAST_KEY, b"newer", 1), event(b"k", 2))
    assert lab.lane.counters.unknown == 2
    assert lab.letters() == []
    assert lab.lane.shared_of(lab.part).offset == -1
    assert lab.counts() == {b"k": 1}


@pytest.mark.parametrize("key", [None, b"", b"\0shared", b"\0broadcast "])
def test_a_missing_empty_or_reserved_key_is_refused(key: bytes | None) -> None:
    lab = Lab()
    lab.feed(event(b"k", 0), event(key, 1), event(b"k", 2))
    assert lab.reasons() == ["bad_key"]
    assert lab.counts() == {b"k": 2}


def test_the_row_limit_refuses_exactly_the_event_that_breaks_it() -> None:
    lab = Lab(max_row=200)
    lab.feed(event(b"k", 0), event(b"j", 1), event(b"k", 2, text="x" * 300), event(b"j", 3), event(b"k", 4))
    assert lab.counts() == {b"k": 2, b"j": 2}
    assert [(letter["reason"], letter["origin"]) for letter in lab.letters()] == [
        ("row_too_large", "kafka:things.inbox-0-2")
    ]
    assert len(lab.outputs()) == 4


def test_a_row_that_is_too_large_only_between_two_events_of_a_slice_is_refused_like_in_any_other_slice() -> None:
    large, small = event(b"k", 0, text="x" * 300), event(b"k", 1, text="")
    together, apart = Lab(max_row=200), Lab(max_row=200)
    together.feed(large, small)
    apart.feed(large)
    apart.feed(small)
    assert together.reasons() == apart.reasons() == ["row_too_large"]
    assert together.outputs() == apart.outputs()


def test_an_output_that_its_topic_would_reject_is_refused_with_its_event() -> None:
    lab = Lab(max_output=1000)
    lab.feed(event(b"k", 0), event(b"k", 1, "flood"), event(b"k", 2))
    assert lab.reasons() == ["output_too_large"]
    assert lab.counts() == {b"k": 2}


def test_a_stored_row_that_cannot_be_read_is_no_fault_of_the_event() -> None:
    lab = Lab()
    lab.part.rows[b"k"] = bytes(8) + b"not msgpack"
    with pytest.raises(msgspec.DecodeError):
        lab.feed(event(b"k", 0))
    assert lab.letters() == []


def test_an_event_under_the_broadcast_key_never_reaches_a_row() -> None:
    lab = Lab()
    lab.feed(event(b"k", 0), broadcast(1, "none"), event(b"k", 2))
    assert lab.counts() == {b"k": 2}
    assert lab.outputs() == [b"things.inbox-0-0-0 1 0", b"things.inbox-0-2-0 2 1"]
