"""Shadows' events as rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.topics import catalog, examples
from libs.topics.codec import encode
from libs.topics.messages.shadow_changes import (
    FieldConverged,
    ShadowChangeRefused,
    StatusChanged,
    TaggedPatchApplied,
)
from services.timeseries.shadows import ShadowRows
from tests.support.shadow_log import ShadowLog
from tests.unit.timeseries.fakes import NOW, Fake

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.topics.messages.base import Message

OWNERS = ("product_id", "device_id", "shadow")


def rows_of(events: Iterable[Message | bytes]) -> ShadowRows:
    rows = ShadowRows("shadow.events", 3)
    for offset, event in enumerate(events):
        rows.add(Fake(offset, event if isinstance(event, bytes) else encode(event)))
    return rows


def written(rows: ShadowRows) -> dict[str, list[dict[str, Any]]]:
    """Rows by table, each as column to value."""
    return {
        table.name: [
            dict(zip((name for name, _ in table.columns), row, strict=True)) for row in zip(*columns, strict=True)
        ]
        for table, columns in rows.tables()
    }


def log(device: str = "d1", shadow: str | None = None) -> ShadowLog:
    return ShadowLog("p1", device, NOW, shadow)


def test_every_event_of_the_catalog_is_one_row_with_what_it_says() -> None:
    values = [value for kind in catalog.get("shadow.events").types for value in examples.values(kind).values()]
    rows = rows_of(values)
    assert (rows.dead_letters, rows.unknown) == ([], 0)
    tables = written(rows)
    found = {
        row["offset"]: row for name in ("shadow_events", "status_events", "shadow_patches") for row in tables[name]
    }
    assert sorted(found) == list(range(len(values)))
    for offset, value in enumerate(values):
        said, row = json.loads(value), found[offset]
        assert (row["topic"], row["partition"], row["id"], row["at"]) == ("shadow.events", 3, said["id"], said["at"])
        for name in row.keys() & said.keys() - {"status", "partition", "converged"}:
            assert row[name] == ("" if said[name] is None and name in ("shadow", "patch_id") else said[name])
    assert {row["event"] for row in tables["shadow_events"]} < set(values)
    assert [json.loads(row["status"]) for row in tables["status_events"]] == [
        json.loads(value)["status"] for value in values if b'"status_changed"' in value
    ]


@pytest.mark.parametrize("shadow", [None, "night"])
def test_a_change_tells_whether_they_agree_and_since_when_not(shadow: str | None) -> None:
    one = log(shadow=shadow)
    one.desire(NOW, {"a": 1, "b": {"c": [2]}})
    one.report(NOW + 50, {"a": 1})
    one.report(NOW + 90, {"b": {"c": [2]}})
    tables = written(rows_of(one.events))
    facts = [
        (row["version"], row["converged"], row["pending_since"], row["has_checkpoint"])
        for row in tables["shadow_events"]
    ]
    assert facts == [(1, False, NOW, True), (2, False, NOW, False), (3, True, None, False)]
    assert [[row[name] for name in OWNERS] for row in tables["shadow_events"]] == [["p1", "d1", shadow or ""]] * 3
    assert [
        (row["offset"], row["path"], row["since"], row["converged_at"], row["ms"], row["drifted"], row["version"])
        for row in tables["shadow_convergence"]
    ] == [(1, "/a", NOW, NOW + 50, 50, False, 2), (2, "/b/c", NOW, NOW + 90, 90, False, 3)]


def test_a_difference_that_a_report_began_is_marked() -> None:
    one = log()
    one.desire(NOW, {"a": 1})
    one.report(NOW + 10, {"a": 1})
    one.report(NOW + 20, {"a": 2})
    one.report(NOW + 50, {"a": 1})
    found = written(rows_of(one.events))["shadow_convergence"]
    assert [(row["ms"], row["drifted"]) for row in found] == [(10, False), (30, True)]


def test_clocks_that_contradict_each_other_give_no_negative_time() -> None:
    one = log()
    one.desire(NOW, {"a": 1})
    one.report(NOW - 5, {"a": 1})
    [row] = written(rows_of(one.events))["shadow_convergence"]
    assert (row["since"], row["converged_at"], row["ms"]) == (NOW, NOW - 5, 0)


def test_a_block_tells_of_each_shadow_how_far_it_is_once() -> None:
    own, night, other = log(), log(shadow="night"), log("d2")
    own.desire(NOW, {"a": 1})
    night.desire(NOW + 1, {"b": 1})
    other.desire(NOW + 2, {"c": 1})
    own.report(NOW + 3, {"a": 2})
    other.delete(NOW + 4)
    events = sorted([*own.events, *night.events, *other.events], key=lambda event: event.at)
    found = {(row["device_id"], row["shadow"]): row for row in written(rows_of(events))["shadow_current"]}
    assert len(found) == 3
    assert {place: (row["version"], row["deleted"], row["converged"]) for place, row in found.items()} == {
        ("d1", ""): (2, False, False),
        ("d1", "night"): (1, False, False),
        ("d2", ""): (2, True, True),
    }
    assert (found["d1", ""]["delta"], found["d1", ""]["pending_since"]) == (b'{"a":1}', NOW)
    assert (found["d2", ""]["delta"], found["d2", ""]["pending_since"]) == (b"", None)


def test_a_large_delta_is_kept_whole() -> None:
    one = log()
    desired = {f"key {n:03}": {"text": "ü" * 40, "list": list(range(20)), "big": 10**25} for n in range(150)}
    one.desire(NOW, desired)
    tables = written(rows_of(one.events))
    assert json.loads(tables["shadow_current"][0]["delta"]) == desired
    assert json.loads(tables["shadow_events"][0]["event"])["delta"] == desired


def test_what_a_patch_by_tag_did_to_a_device_is_found_under_the_patch() -> None:
    one = log()
    one.report(NOW, {"c": {"x": 3, "y": 4}})
    one.desire(NOW, {"d": 5})
    one.desire(NOW, {"a": 1, "b": None, "c": {"x": 3, "y": 5}}, patch_id="patch-1")
    refused = ShadowChangeRefused(
        "i", "p1", "d2", None, "tag", "ops", "document_too_large", "", None, 7, "patch-1", NOW + 1
    )
    elsewhere = msgspec.structs.replace(refused, patch_id=None, device_id="d3")
    found = written(rows_of([*one.events, refused, elsewhere]))["shadow_patch_members"]
    assert [(row["patch_id"], row["device_id"], row["code"], row["version"], row["created_at"]) for row in found] == [
        ("patch-1", "d1", "", 3, NOW),
        ("patch-1", "d2", "document_too_large", 7, None),
    ]
    assert [row["pending"] for row in found] == [["/a", "/c/y"], []]


def test_what_a_partition_answered_to_a_patch_is_a_row_of_that_partition() -> None:
    applied = TaggedPatchApplied("i", "patch-1", 7, "p1", "line-3", "night", 5, 3, 2, "ops", NOW)
    [row] = written(rows_of([applied]))["shadow_patches"]
    assert (row["partition"], row["answered_by"]) == (3, 7)
    assert (row["matched"], row["changed"], row["refused"], row["shadow"]) == (5, 3, 2, "night")


LATE = 10**15
CHANGED = log().desire(NOW, {"a": 1})
REFUSED = ShadowChangeRefused("i", "p1", "d1", None, "api", "ops", "version_conflict", "", 1, 2, None, NOW)
STATUS = StatusChanged("i", "p1", "d1", {"battery": 1}, "m1", NOW)
APPLIED = TaggedPatchApplied("i", "patch-1", 0, "p1", "line-3", None, 1, 1, 0, "ops", NOW)


@pytest.mark.parametrize(
    ("event", "field", "value"),
    [
        *((event, "at", LATE) for event in (CHANGED, REFUSED, STATUS, APPLIED)),
        (CHANGED, "created_at", -1),
        (CHANGED, "pending_since", LATE),
        (CHANGED, "converged", (FieldConverged("/a", LATE, drifted=False),)),
        *((CHANGED, name, -1) for name in ("version_before", "version", "desired_version", "reported_version")),
        (CHANGED, "version", 1 << 64),
        (REFUSED, "version", -1),
        *((APPLIED, name, -1) for name in ("matched", "changed", "refused", "partition")),
        (APPLIED, "partition", 1 << 16),
    ],
)
def test_what_no_column_can_hold_is_a_dead_letter(event: Message, field: str, value: Any) -> None:
    rows = rows_of([msgspec.structs.replace(event, **{field: value})])
    [letter] = rows.dead_letters
    assert ("since" if field == "converged" else field) in letter.error
    assert (rows.size, rows.offsets) == (0, [])


def test_a_kind_of_tomorrow_is_counted_and_skipped() -> None:
    rows = rows_of([b'{"type":"shadow_dreamt"}', STATUS])
    assert (rows.unknown, rows.dead_letters, rows.offsets) == (1, [], [1])


changes = st.tuples(
    st.sampled_from(("d1", "d2")),
    st.sampled_from((None, "night")),
    st.sampled_from(("desire", "report")),
    st.dictionaries(st.sampled_from("abc"), st.none() | st.integers(0, 2), max_size=2),
    st.sampled_from((None, "patch-1")),
)


@given(st.lists(changes, max_size=30))
def test_rows_are_counted_as_they_are_written_and_the_newest_change_is_how_far_a_shadow_is(steps: list[Any]) -> None:
    logs = {(device, shadow): log(device, shadow) for device in ("d1", "d2") for shadow in (None, "night")}
    events = []
    for at, (device, shadow, verb, patch, patch_id) in enumerate(steps, NOW):
        one = logs[device, shadow]
        events.append(one.desire(at, patch, patch_id=patch_id) if verb == "desire" else one.report(at, patch))
    rows = rows_of(events)
    tables = written(rows)
    assert rows.size == sum(map(len, tables.values()))
    assert {(row["device_id"], row["shadow"]): row["version"] for row in tables["shadow_current"]} == {
        (device, shadow or ""): one.document.version for (device, shadow), one in logs.items() if one.events
    }
    assert [row["version"] for row in tables["shadow_events"]] == [event.version for event in events]
    assert len(tables["shadow_convergence"]) == sum(len(event.converged) for event in events)
