"""A sweep ends with one summary per partition: what came of the visits, the same on every replay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from libs.runtime.lane.rows import SHARED_KEY
from tests.unit.runtime.lane import celled
from tests.unit.runtime.lane.celled import CELLED
from tests.unit.runtime.lane.lab import Event, Lab, Record, Thing, broadcast, event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.runtime.lane.model import At, Output

TEN = [event(b"k%d" % n, n, tag="red" if n % 2 else "blue", due=n + 1) for n in range(10)]


def serve(row: Thing | None, event: Event, at: At, shared: celled.Notes) -> tuple[Thing | None, Sequence[Output]]:
    """A visit takes the row out of what is due, if it does not delete it, refuse it, or spare it."""
    if row is None or not at.swept:
        return celled.step(row, event, at, shared)
    match at.key:
        case b"k0" | b"k9":
            return None, ()
        case b"k1":
            raise ValueError("not this one")
        case b"k2" | b"k3":
            return row, ()
        case _:
            return replace(row, count=row.count + 1, due=0), ()


def summaries(lab: Lab) -> list[bytes]:
    return [output for output in lab.outputs() if b" matched " in output]


@pytest.mark.parametrize(
    ("kind", "fields", "matched", "left"),
    [
        ("everything", {}, 9, b"[2,2,2,2,2,2,2,2,2]"),
        ("tagged", {"tag": "red"}, 4, b"[2,2,2,2]"),
        ("tagged", {"tag": "green"}, 0, b"[]"),
        ("named", {"keys": ("k1", "k2", "k3", "k2", "z", "\0shared")}, 2, b"[2,2]"),
        ("tick", {"now": 5}, 4, b"[2,2,2,2]"),
        ("tick", {"now": 0}, 0, b"[]"),
    ],
)
def test_a_summary_counts_the_rows_that_live_among_those_that_are_named(
    kind: str, fields: dict[str, object], matched: int, left: bytes
) -> None:
    lab = Lab(**CELLED)
    lab.feed(*TEN, event(b"k3", 10, "delete"), broadcast(11, kind, **fields))
    assert summaries(lab) == [b"things.inbox-0-11-0 matched %d of 1, left %s []" % (matched, left)]
    assert lab.outputs()[-1] == summaries(lab)[0], "it comes last"


def test_a_broadcast_that_names_nothing_has_no_summary() -> None:
    lab = Lab(**CELLED)
    lab.feed(*TEN, broadcast(10, "none"), broadcast(11, "boom"))
    assert summaries(lab) == []


@pytest.mark.parametrize("cut", range(11, 24))
def test_a_resumed_sweep_says_the_same_as_an_undisturbed_one(cut: int) -> None:
    """Visits move rows out of what the broadcast names, change, delete, refuse or spare them; later events go on."""
    inbox = [*TEN, broadcast(10, "tick", now=100), event(b"new", 11, due=50), event(b"k4", 12, due=50)]

    def lab(changelog: Sequence[Record] = ()) -> Lab:
        made = Lab(changelog, **{**CELLED, "step": serve})
        made.lane.sweep_slice = 3
        return made

    first = lab()
    first.feed(*inbox)
    changelog = first.deliver()
    assert [record.key for record in changelog[10:]].count(SHARED_KEY) == 2
    assert len(changelog) == 10 + 1 + 8 + 1 + 2
    said = b"things.inbox-0-10-0 matched 10 of 1, left [-1,-1,1,2,2,2,2,2] []"
    assert summaries(first) == [said]
    over = 10 + 1 + 8 + 1  # from here on the changelog tells that it was said
    again = lab(changelog[:cut])
    again.feed(*inbox[10:])
    assert summaries(again) == ([said] if cut < over else [])
    assert again.rows() == first.rows()
    assert first.reasons() == ["poison"]
    assert again.deliver() == [] or cut < len(changelog)


def test_a_summary_that_fails_is_refused_with_the_whole_broadcast_once() -> None:
    lab = Lab(**CELLED)
    lab.feed(*TEN, broadcast(10, "tagged", tag="blue"))
    assert [(letter["reason"], letter["origin"]) for letter in lab.letters()] == [("poison", "kafka:things.inbox-0-10")]
    assert sum(lab.counts().values()) == 15, "the visits count"


def test_a_summary_is_bounded_like_any_output() -> None:
    lab = Lab(**CELLED, max_output=30)
    lab.feed(broadcast(0, "everything"))
    assert lab.reasons() == ["output_too_large"]
    assert lab.outputs() == []
