"""Laws of a document: the log makes it again from any checkpoint, and fields converge when they are as desired."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.shadow import document, trees
from libs.shadow.document import CHECKPOINT, Unfounded, digest, public
from libs.topics.messages.shadow_changes import FieldPending, ShadowDocument
from tests.support.shadow.asking import clear, delete, patch, replace_desired, report
from tests.support.shadow.hub import Hub
from tests.unit.shadow.test_trees import PATCHES

LAW = settings(max_examples=80, deadline=None)

KEPT: st.SearchStrategy[Any] = st.one_of(
    st.builds(patch, PATCHES),
    st.builds(replace_desired, PATCHES),
    st.builds(report, PATCHES, st.uuids().map(str)),
    st.builds(clear),
)
CHANGES: st.SearchStrategy[Any] = st.one_of(KEPT, st.builds(delete))


def lived(changes: list[Any]) -> Hub:
    hub = Hub()
    for change in changes:
        hub.time += 10
        hub.write(change)
    return hub


@given(changes=st.lists(CHANGES, max_size=12))
@LAW
def test_the_log_makes_the_document_again(changes: list[Any]) -> None:
    hub = lived(changes)
    folded: document.Document | None = None
    for event in hub.events():
        folded = document.fold(folded, event)
        assert document.fold(folded, event) is folded or folded is None, "met again it changes nothing"
        assert event.pending_since == (None if folded is None else document.pending_since(folded))
    assert folded == hub.row.classic


@given(changes=st.lists(KEPT, min_size=CHECKPOINT, max_size=40))
@settings(max_examples=20, deadline=None)
def test_a_replay_may_begin_at_any_checkpoint(changes: list[Any]) -> None:
    hub = lived(changes)
    events = hub.events()
    starts = [n for n, event in enumerate(events) if event.checkpoint is not None]
    assert [events[n].version for n in starts] == [1, *range(CHECKPOINT, len(events) + 1, CHECKPOINT)][: len(starts)]
    for start in starts:
        folded = None
        for event in events[start:]:
            folded = document.fold(folded, event)
        assert folded == hub.row.classic
    if len(events) > 1:
        with pytest.raises(Unfounded):
            document.fold(None, events[1])


@given(changes=st.lists(CHANGES, max_size=12))
@LAW
def test_what_is_shown_follows_from_the_sections(changes: list[Any]) -> None:
    hub = lived(changes)
    for event in hub.events():
        assert event.version == event.version_before + 1
    known = hub.row.classic
    if known is None:
        assert hub.documents() == {}
        return
    shown = hub.documents()[b"p1/d1"]
    assert trees.same(shown.delta, trees.difference(known.desired, known.reported))
    assert set(known.pending) == {path for path, _ in trees.fields(known.delta)}
    assert shown.pending_since == min([one.since for one in known.pending.values()], default=None)
    assert shown == msgspec.convert(msgspec.to_builtins(public("p1", "d1", None, known)), ShadowDocument)
    assert digest(shown) == digest(public("p1", "d1", None, known))


SECTIONS = st.one_of(st.none(), PATCHES)


@given(changes=st.lists(st.tuples(SECTIONS, SECTIONS, st.sampled_from([(), ("desired",), ("reported",)])), max_size=8))
@LAW
def test_a_field_pends_since_it_was_desired_so_or_else_since_it_differs(changes: list[Any]) -> None:
    before = document.empty(0)
    for at, (desired, reported, cleared) in enumerate(changes, 1):
        after, _ = document.change(before, at, desired=desired, reported=reported, cleared=cleared)
        wanted = {}
        for path, value in trees.fields(after.delta):
            unchanged = trees.same(value, trees.find(before.desired, path))
            fresh = FieldPending(at, drifted=unchanged)
            wanted[path] = before.pending.get(path, fresh) if unchanged else fresh
        assert after.pending == wanted
        assert trees.same(after.delta, trees.difference(after.desired, after.reported))
        before = after


def test_a_field_converges_when_it_is_reported_as_it_was_desired() -> None:
    hub = Hub()
    begun = hub.time
    hub.write(patch({"color": "green", "motor": {"rpm": 5, "on": True}}))
    hub.time += 1000
    hub.write(report({"color": "green", "motor": {"on": True}}))
    hub.time += 1000
    hub.write(report({"motor": {"rpm": 5}}))
    converged = [[(one.path, one.since, one.drifted) for one in event.converged] for event in hub.events()]
    assert converged == [[], [("/color", begun, False), ("/motor/on", begun, False)], [("/motor/rpm", begun, False)]]


def test_a_field_that_is_desired_otherwise_begins_anew_and_one_that_drifts_says_so() -> None:
    hub = Hub()
    hub.write(patch({"color": "green"}))
    hub.time += 1000
    hub.write(patch({"color": "blue"}))
    hub.time += 1000
    hub.write(report({"color": "blue"}))
    hub.time += 1000
    hub.write(report({"color": "red"}))
    drifted = hub.classic.pending["/color"]
    hub.time += 1000
    hub.write(report({"color": "blue"}))
    begun = hub.time
    converged = [[(one.since, one.drifted) for one in event.converged] for event in hub.events()]
    assert converged == [[], [], [(begun - 3000, False)], [], [(begun - 1000, True)]]
    assert drifted.drifted


def test_what_is_desired_no_more_has_not_converged() -> None:
    hub = Hub()
    hub.write(patch({"color": "green", "x": 1}))
    hub.write(patch({"color": None}))
    hub.write(clear())
    assert [event.converged for event in hub.events()] == [(), (), ()]
    assert hub.classic.pending == {}
