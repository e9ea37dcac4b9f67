"""Logs of shadows that are as they should be, and logs that are spoilt in every way: what `verify` says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cli.verify.survey import Shown, Side, Survey, position, shown
from tests.unit.cli.lives import Life

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cli.verify.track import Difference
    from libs.topics.messages.shadow_changes import ShadowChanged, ShadowDocument

LONG = 70
"""Versions: two checkpoints beside the first one."""


def surveyed(events: Iterable[ShadowChanged], *, complete: bool = True) -> tuple[Survey, Side]:
    side = Side("table")
    survey = Survey((side,), complete=lambda _: complete)
    for event in events:
        survey.take(event)
    return survey, side


def seen(document: ShadowDocument | None) -> Shown | None:
    return None if document is None else shown(document)


def lived(count: int = LONG) -> Life:
    life = Life()
    life.many(count)
    return life


def found(events: Iterable[ShadowChanged], *, complete: bool = True) -> list[Difference]:
    return surveyed(events, complete=complete)[0].faults()


CHANGES = st.lists(st.sampled_from(["desire", "report", "clear", "delete"]), max_size=80)


@given(CHANGES, st.data())
def test_a_log_as_it_should_be_agrees_with_what_everybody_shows(changes: list[str], data: st.DataObject) -> None:
    life = Life()
    for number, change in enumerate(changes):
        value: dict[str, Any] = {data.draw(st.sampled_from("ab")): data.draw(st.sampled_from([1, None, {"c": number}]))}
        getattr(life, change)(**value if change in ("desire", "report") else {})
    survey, side = surveyed(life.events)
    assert survey.faults() == []
    side.put(survey.track("p/d"), seen(life.public()))
    assert (side.alike, side.open, side.differences) == ({"p/d"}, {}, {})


@given(st.lists(st.integers(0, LONG - 1), max_size=5))
def test_a_repetition_counts_once(places: list[int]) -> None:
    life, events = lived(), list[Any]()
    for place, event in enumerate(life.events):
        events.append(event)
        if place in places:  # the worker died here, and its successor began a little earlier
            events += life.events[max(0, place - 3) : place + 1]
    survey, side = surveyed(events)
    assert survey.faults() == []
    assert survey.repeated == len(events) - LONG
    side.put(survey.track("p/d"), seen(life.public()))
    assert side.alike == {"p/d"}


def drop(place: int) -> Callable[[list[ShadowChanged]], list[ShadowChanged]]:
    return lambda events: events[:place] + events[place + 1 :]


def spoil(place: int, **fields: Any) -> Callable[[list[ShadowChanged]], list[ShadowChanged]]:
    return lambda events: [*events[:place], replace(events[place], **fields), *events[place + 1 :]]


def swap(events: list[ShadowChanged]) -> list[ShadowChanged]:
    return [*events[:20], events[21], events[20], *events[22:]]


def twice(events: list[ShadowChanged]) -> list[ShadowChanged]:
    """Two workers that both took themselves for the owner: another cause makes a version again."""
    other = replace(events[20], id="shadow.inbox-0-43-0", desired=None, reported={"level": -1})
    return [*events[:21], other, *events[21:]]


def other_checkpoint(events: list[ShadowChanged]) -> list[ShadowChanged]:
    event = events[63]
    assert event.checkpoint is not None
    return spoil(63, checkpoint=replace(event.checkpoint, updated_at=1))(events)


SPOILT: list[tuple[str, Callable[[list[ShadowChanged]], list[ShadowChanged]], str, int, int]] = [
    ("an event is missing", drop(20), "missing_events", 21, 0),
    ("the first is missing", drop(0), "missing_events", 1, 0),
    ("all up to a checkpoint are missing", lambda events: events[31:], "missing_events", 31, 0),
    ("one with a checkpoint is missing", drop(31), "missing_events", 32, 0),
    ("the delta is another", spoil(20, delta={"level": -1}), "delta", 21, 0),
    ("the delta is forgotten", spoil(21, delta=None), "delta", 22, 0),
    ("true is not 1", spoil(21, delta={"level": True}), "delta", 22, 0),
    ("what was desired is another", spoil(21, desired={"level": -1}), "delta", 22, 0),
    ("what was reported is another, and no delta tells", spoil(62, reported={"at": -1}), "checkpoint", 63, 31),
    ("another time since when they differ", spoil(21, pending_since=1), "pending_since", 22, 0),
    ("the desired version is another", spoil(20, desired_version=3), "section_versions", 21, 0),
    ("the reported version is another", spoil(20, reported_version=3), "section_versions", 21, 0),
    ("a version is jumped", spoil(20, version=22), "miscounted", 22, 0),
    ("the moment is another", spoil(62, at=1), "checkpoint", 63, 31),
    ("the checkpoint is another", other_checkpoint, "checkpoint", 63, 31),
    ("two are the wrong way round", swap, "missing_events", 21, 0),
    ("one version is made twice", twice, "version_taken", 21, 0),
    ("another life in the middle", spoil(20, created_at=1), "missing_events", 21, 0),
    ("the id names no cause", spoil(20, id="nothing"), "unreadable_id", 21, 0),
    ("an earlier cause", spoil(20, id="shadow.inbox-0-1-0"), "out_of_order", 21, 0),
]


@pytest.mark.parametrize(("spoil_it", "kind", "version", "sound"), [s[1:] for s in SPOILT], ids=[s[0] for s in SPOILT])
def test_a_spoilt_log_is_told_with_the_first_version_that_differs(
    spoil_it: Callable[[list[ShadowChanged]], list[ShadowChanged]], kind: str, version: int, sound: int
) -> None:
    (fault,) = found(spoil_it(lived().events))
    assert (fault.device, fault.shadow, fault.where) == ("p/d", None, "shadow.events")
    assert (fault.kind, fault.version, fault.sound_version) == (kind, version, sound), fault


def test_each_shadow_has_a_log_of_its_own() -> None:
    lives = [Life(), Life(shadow="night"), Life("p/e")]
    for life in lives:
        life.many(5)
    events = [replace(life.events[n], id=f"shadow.inbox-0-{n}-{m}") for n in range(5) for m, life in enumerate(lives)]
    del events[7]
    (fault,) = found(events)
    assert (fault.device, fault.shadow, fault.version) == ("p/d", "night", 3)


def test_a_shadow_that_begins_anew_goes_on_from_the_one_before() -> None:
    life = lived(3)
    life.delete()
    life.many(3)
    assert life.events[-1].version == 7
    assert found(life.events) == []
    (fault,) = found(drop(4)(life.events))
    assert (fault.kind, fault.version) == ("missing_events", 5)


def test_a_log_that_is_read_from_later_on_is_founded_by_a_checkpoint() -> None:
    life = lived()
    survey, side = surveyed(life.events[10:], complete=False)
    assert survey.faults() == []
    side.put(survey.track("p/d"), seen(life.public()))
    assert side.alike == {"p/d"}

    survey, side = surveyed(life.events[65:], complete=False)
    side.put(survey.track("p/d"), seen(life.public()))
    assert (survey.faults(), side.moving(survey.tracks)) == ([], [])
    side.close(survey.tracks)
    assert (side.unfounded, side.differences) == (1, {})


@pytest.mark.parametrize(
    ("what", "kind", "version"),
    [
        (lambda life: replace(life.public(), updated_at=1), "content", 10),
        (lambda _: None, "missing", 10),
        (lambda _: lived(8).public(), "stale", 9),
        (lambda _: lived(12).public(), "missing_events", 11),
        (lambda life: replace(life.public(), created_at=1), "stale", 11),
    ],
)
def test_a_side_that_differs_in_the_end_is_told(
    what: Callable[[Life], ShadowDocument | None], kind: str, version: int
) -> None:
    life = lived(10)
    survey, side = surveyed(life.events)
    side.put(survey.track("p/d"), seen(what(life)))
    side.close(survey.tracks)
    assert [(one.where, one.kind, one.version) for one in side.differences.values()] == [("table", kind, version)]


def test_a_deleted_shadow_is_shown_by_nobody() -> None:
    life = lived(3)
    was = life.public()
    life.delete()
    for document, kinds in ((None, []), (was, ["not_deleted"])):
        survey, side = surveyed(life.events)
        side.put(survey.track("p/d"), seen(document))
        side.close(survey.tracks)
        assert [one.kind for one in side.differences.values()] == kinds


def test_a_document_that_the_log_never_told_of() -> None:
    survey, side = surveyed([])
    side.put(survey.track("p/d"), seen(lived(3).public()))
    side.close(survey.tracks)
    assert [(one.kind, one.version) for one in side.differences.values()] == [("missing_events", 1)]


def test_what_moved_meanwhile_is_compared_at_the_version_that_is_shown() -> None:
    life = lived(10)
    survey, side = surveyed(life.events)
    life.many(3)
    side.put(survey.track("p/d"), seen(life.public()))
    life.many(3)
    assert (side.moving(survey.tracks), side.stale(survey.tracks)) == (["p/d"], [])
    for event in life.events[10:]:
        survey.take(event)
    assert side.alike == {"p/d"}, "three versions ago"


def test_what_is_shown_late_must_be_looked_at_again() -> None:
    life = lived(10)
    survey, side = surveyed(life.events)
    side.put(survey.track("p/d"), seen(lived(9).public()))
    assert side.stale(survey.tracks) == ["p/d"]
    side.put(survey.track("p/d"), seen(life.public()))
    assert (side.open, side.alike) == ({}, {"p/d"})


def test_the_position_of_a_cause() -> None:
    assert position("shadow.inbox-3-1234-5", "p/d") == ("shadow.inbox-3", 1234, 5)
    assert position("shadow.inbox-3-1234-p-1/d-2-0", "p-1/d-2") == ("shadow.inbox-3", 1234, 0)
    for text in ("", "a-b", "a-1", "a-1-b", "-", "shadow.inbox-3-1234-p/other-0"):
        assert position(text, "p/d") is None
