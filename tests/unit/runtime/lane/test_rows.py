"""Frames: revisions order the versions of a row, whoever wrote them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from libs.runtime.lane.rows import Codec, Dead, is_dead, prefix, prefix_of, revision_of
from tests.unit.runtime.lane.lab import Lab, Record, Thing, World, event, events

REVISIONS = st.integers(0, 2**62)


@given(st.tuples(REVISIONS, REVISIONS), st.tuples(st.booleans(), st.booleans()))
def test_prefixes_compare_like_revisions(revisions: tuple[int, int], dead: tuple[bool, bool]) -> None:
    one, other = (prefix(revision, dead=d) for revision, d in zip(revisions, dead, strict=True))
    assert revisions[0] == revisions[1] or (one < other) == (revisions[0] < revisions[1])
    assert (revision_of(one), is_dead(one)) == (revisions[0], dead[0])


@given(revision=REVISIONS, offset=st.integers(-1, 2**62), text=st.text(max_size=20))
def test_a_row_comes_back_as_it_was(revision: int, offset: int, text: str) -> None:
    codec = Codec(Thing, World)
    for row in (Thing(revision=revision, offset=offset, text=text), Dead(revision=revision, offset=offset)):
        framed = prefix_of(row) + codec.encode(row)
        assert codec.thaw(framed) == row
        assert codec.thaw(framed).__class__ is row.__class__


def test_the_late_row_of_a_worker_that_lost_its_partition_is_refused() -> None:
    successor = Lab()
    successor.feed(*events(b"k", range(3)), generation=4)
    zombie = Lab()
    for n in range(50):
        zombie.feed(event(b"k", n), generation=3)
    late = zombie.deliver()[-1]
    assert Lab([*successor.deliver(), late]).counts() == {b"k": 3}


def test_revisions_rise_also_when_a_groups_generations_begin_anew() -> None:
    lab = Lab()
    lab.feed(event(b"k", 0), generation=7)
    before = lab.deliver()
    again = Lab(before)
    again.feed(event(b"k", 1), generation=1)
    assert Lab([*again.deliver(), *before]).counts() == {b"k": 2}


def test_a_changelog_may_hold_a_key_many_times_and_records_of_others() -> None:
    lab = Lab()
    changelog: list[Record] = []
    for n in range(5):
        lab.feed(event(b"a", 2 * n), event(b"b", 2 * n + 1, "delete" if n == 4 else "add"))
        changelog += lab.deliver()
    recovered = Lab([Record(None, b"not ours", 0), *changelog])
    assert recovered.rows() == lab.rows()
    assert recovered.counts() == {b"a": 5}


def test_fields_that_a_later_version_appends_get_their_defaults() -> None:
    old = Codec(Thing, World).encode(Thing(revision=1, offset=4, count=2))
    assert Codec(_Grown, World).thaw(prefix(1) + old) == _Grown(revision=1, offset=4, count=2)


class _Grown(Thing, kw_only=True):
    note: str = "none"
