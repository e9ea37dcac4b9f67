"""The service in docs/lane.md is one: it folds what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from libs.runtime.lane.lane import Lane
from libs.runtime.lane.replay import replay
from libs.topics.identity import BROADCAST_KEY

PAGE = Path(__file__).parents[2] / "docs" / "lane.md"


class Record(NamedTuple):
    key: bytes | None
    value: bytes | None
    offset: int
    timestamp: int = 0


@pytest.fixture
def lane() -> Lane:
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    service: dict[str, Any] = {"__name__": "doors"}
    exec(compile(found[1], str(PAGE), "exec"), service)
    made = service["app"].lanes["doors"]
    assert isinstance(made, Lane)
    return made


def records(*events: tuple[bytes, int, dict[str, Any]]) -> list[Record]:
    return [Record(key, msgspec.json.encode(event), n, time) for n, (key, time, event) in enumerate(events)]


def test_a_door_left_open_raises_one_alarm(lane: Lane) -> None:
    inbox = records(
        (b"front", 1000, {"kind": "opened"}),
        (b"back", 2000, {"kind": "opened"}),
        (BROADCAST_KEY, 3000, {"kind": "tick", "now": 3000}),
        (b"back", 4000, {"kind": "closed"}),
        (BROADCAST_KEY, 70_000, {"kind": "tick", "now": 70_000}),
        (BROADCAST_KEY, 80_000, {"kind": "tick", "now": 80_000}),
        (b"side", 80_001, {"kind": None}),
    )
    replayed = replay(lane, [(0, inbox)])
    assert [(key, msgspec.json.decode(value or b"")) for _, key, value, _ in replayed.outputs["doors.alarms"]] == [
        (b"front", {"id": "doors.inbox-0-4-front-0", "since": 1000, "tick": 2})
    ]
    assert list(replayed.rows[0]) == [b"front"]
    assert replayed.shared[0].state == 3
    [(_, _, letter, _)] = replayed.outputs["doors.dead-letters"]
    assert msgspec.json.decode(letter or b"")["reason"] == "poison"
    assert lane.table.changelog_name == "doors-doors-changelog"
