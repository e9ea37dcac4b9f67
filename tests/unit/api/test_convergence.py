"""A patch has converged when all that it set is reported, and is superseded when that cannot be any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from libs.shadow import document, trees
from services.api.convergence import Convergence
from services.api.shadow_documents import Shadow
from tests.support.shadow_log import ShadowLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from libs.topics.messages.shadow_changes import ShadowChanged

AT = 1_760_000_000_000
KEYS = st.sampled_from(["a", "b", "c"])
LEAVES = st.none() | st.booleans() | st.integers(0, 2) | st.just([1])
TREES = st.recursive(LEAVES, lambda inner: st.dictionaries(KEYS, inner, max_size=2))
PATCHES = st.dictionaries(KEYS, TREES, max_size=3)


def new() -> ShadowLog:
    return ShadowLog("p", "d", AT)


def begun(patch: dict[str, Any], log: ShadowLog) -> Convergence:
    log.desire(AT, patch)
    return Convergence(patch, shown(log))


def shown(log: ShadowLog) -> Shadow:
    return msgspec.convert(document.public("p", "d", log.shadow, log.document), Shadow, from_attributes=True)


def test_all_fields_of_the_patch_must_be_reported_and_no_others() -> None:
    log = new()
    log.desire(AT, {"other": 1})
    waiting = begun({"a": {"b": 1, "c": True}, "gone": None}, log)
    assert waiting.verdict() == "pending"
    assert waiting.take(log.report(AT, {"a": {"b": 1, "c": 1}}))
    assert waiting.verdict() == "pending"  # 1 is not true
    assert waiting.take(log.report(AT, {"a": {"c": True}}))
    assert waiting.verdict() == "converged"


def test_what_sets_nothing_has_converged_at_once() -> None:
    for patch in ({}, {"a": None}):
        assert begun(patch, new()).verdict() == "converged"


def test_it_is_superseded_by_another_desire_and_by_taking_it_back() -> None:
    others: list[Callable[[ShadowLog], ShadowChanged]] = [
        lambda log: log.desire(AT, {"a": 2}),
        lambda log: log.desire(AT, {"a": None}),
        lambda log: log.clear(AT, "desired"),
        lambda log: log.delete(AT),
    ]
    for other in others:
        log = new()
        waiting = begun({"a": 1, "b": 1}, log)
        waiting.take(other(log))
        assert waiting.verdict() == "superseded"


def test_a_device_that_reports_and_clears_what_was_desired_has_converged() -> None:
    log = new()
    waiting = begun({"a": 1, "b": 1}, log)
    waiting.take(log.report(AT, {"a": 1}))
    waiting.take(log.desire(AT, {"a": None}))
    assert waiting.verdict() == "pending"  # a is so, b is still desired
    waiting.take(log.report(AT, {"b": 1}))
    waiting.take(log.clear(AT, "desired"))
    assert waiting.verdict() == "converged"


def test_a_missing_event_is_noticed_and_a_repeated_one_changes_nothing() -> None:
    log = new()
    waiting = begun({"a": 1}, log)
    first, second, third = [log.report(AT, said) for said in ({"b": 1}, {"b": 2}, {"a": 1})]
    assert waiting.take(first)
    assert waiting.take(first)
    assert not waiting.take(third)
    waiting.begin(shown(log))
    assert waiting.verdict() == "converged"
    assert waiting.take(second)
    assert waiting.verdict() == "converged"


@given(PATCHES, st.lists(st.tuples(st.booleans(), PATCHES), max_size=6))
def test_following_the_events_finds_what_the_documents_show(
    patch: dict[str, Any], changes: list[tuple[bool, dict[str, Any]]]
) -> None:
    log = new()
    waiting = begun(patch, log)
    said = [path for path, _ in trees.fields(trees.merge({}, {}, patch, 0)[0])]
    wanted = {path: trees.find(log.document.desired, path) for path in said}
    for desires, change in changes:
        assert waiting.take(log.desire(AT, change) if desires else log.report(AT, change))
        reported = all(trees.agrees(value, trees.find(log.document.reported, path)) for path, value in wanted.items())
        assert (waiting.verdict() == "converged") is reported
