"""A sweep ends with one summary per partition: how many rows the broadcast named, the same on every replay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from tests.unit.runtime.lane import celled
from tests.unit.runtime.lane.celled import CELLED
from tests.unit.runtime.lane.lab import Event, Lab, Record, Thing, broadcast, event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.runtime.lane.model import At, Output

TEN = [event(b"k%d" % n, n, tag="red" if n % 2 else "blue", due=n + 1) for n in range(10)]


def serve(row: Thing | None, event: Event, at: At, shared: celled.Notes) -> tuple[Thing | None, Sequence[Output]]:
    """A visit takes the row out of what is due."""
    if row is None or not at.swept:
        return celled.step(row, event, at, shared)
    return replace(row, count=row.count + 1, due=0), ()


def summaries(lab: Lab) -> list[bytes]:
    return [output for output in lab.outputs() if b" matched " in output]


@pytest.mark.parametrize(
    ("kind", "fields", "matched"),
    [
        ("everything", {}, 9),
        ("tagged", {"tag": "red"}, 4),
        ("tagged", {"tag": "green"}, 0),
        ("named", {"keys": ("k1", "k2", "k3", "k2", "z", "\0shared")}, 2),
        ("tick", {"now": 5}, 4),
        ("tick", {"now": 0}, 0),
    ],
)
def test_a_summary_counts_the_rows_that_live_among_those_that_are_named(
    kind: str, fields: dict[str, object], matched: int
) -> None:
    lab = Lab(**CELLED)
    lab.feed(*TEN, event(b"k3", 10, "delete"), broadcast(11, kind, **fields))
    assert summaries(lab) == [b"things.inbox-0-11-0 matched %d of 1 []" % matched]
    assert lab.outputs()[-1] == summaries(lab)[0], "it comes last"


def test_a_broadcast_that_names_nothing_has_no_summary() -> None:
    lab = Lab(**CELLED)
    lab.feed(*TEN, broadcast(10, "none"), broadcast(11, "boom"))
    assert summaries(lab) == []


@pytest.mark.parametrize("cut", range(11, 23))
def test_a_resumed_sweep_says_the_same_as_an_undisturbed_one(cut: int) -> None:
    """Visits move rows out of what the broadcast names, later events move others into it."""
    inbox = [*TEN, broadcast(10, "tick", now=100), event(b"new", 11, due=50)]

    def lab(changelog: Sequence[Record] = ()) -> Lab:
        made = Lab(changelog, **{**CELLED, "step": serve})
        made.lane.sweep_slice = 3
        return made

    first = lab()
    first.feed(*inbox)
    changelog = first.deliver()
    assert len(changelog) == 10 + 1 + 10 + 1
    again = lab(changelog[:cut])
    again.feed(*inbox[10:])
    assert summaries(again) == summaries(first) == [b"things.inbox-0-10-0 matched 10 of 1 []"]
    assert again.rows() == first.rows()


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
