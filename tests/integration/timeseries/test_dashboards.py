"""Every panel about shadows and every question of the documentation, on the real engine, with known answers."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from libs.topics import names
from tests.support import shadow_scene
from tests.support.boards import STEP, asked, board, expanded, questions
from tests.support.shadow_scene import OTHER, PATCH, PRODUCT
from tests.support.stored import store

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

BOARD = board("shadow")
PANELS: list[dict[str, Any]] = BOARD["panels"]
QUESTIONS = [
    question
    for question in questions("docs/analysts.md", "docs/shadow-history.md")
    if not re.search(r"command|probe|fanout", question)
]
"""Those about commands: `test_command_dashboard.py`."""

HOUR = 3_600_000
BASE = (int(time.time() * 1000) // HOUR - 2) * HOUR
"""Between two and three hours ago."""
MINUTE = STEP
FIRST, SECOND = BASE // 1000, BASE // 1000 + MINUTE


@pytest.fixture(scope="module")
def told(client: Client) -> Client:
    events = shadow_scene.events(BASE)
    store(client, names.SHADOW_EVENTS, events)
    return client


SHOWN: dict[str, list[tuple[Any, ...]]] = {
    "Changes per second": [
        (FIRST * 1000, OTHER, 1 / 60),
        (FIRST * 1000, PRODUCT, 6 / 60),
        (SECOND * 1000, PRODUCT, 4 / 60),
    ],
    "Refusals by code": [(FIRST * 1000, "version_conflict", 2), (SECOND * 1000, "document_too_large", 1)],
    "Time to convergence": [(FIRST * 1000, PRODUCT, 4_000, 4_000), (SECOND * 1000, PRODUCT, 10_000, 10_000)],
    "Changes of status per second": [
        (FIRST * 1000, OTHER, 1 / 60),
        (FIRST * 1000, PRODUCT, 2 / 60),
        (SECOND * 1000, PRODUCT, 1 / 60),
    ],
    "Not converged, by product": [(OTHER, 1, BASE + 2_000), (PRODUCT, 1, BASE + 60_000)],
    "Not converged, the oldest first": [
        (OTHER, "door-0042", "", BASE + 2_000, 1, '{"bolt":"open"}'),
        (PRODUCT, "seattle-017", "", BASE + 60_000, 4, '{"led":"on"}'),
    ],
}
SECONDS = {"Not converged, by product": 3, "Not converged, the oldest first": 4}
"""The column with an age, which grows while the test runs."""


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_shows_what_happened(told: Client, panel: dict[str, Any]) -> None:
    [target] = panel["targets"]
    found = asked(told, expanded(target["rawSql"], FIRST, SECOND + MINUTE, (PRODUCT, OTHER)))
    if (column := SECONDS.get(panel["title"])) is not None:
        assert all(2 * HOUR / 1000 - MINUTE <= row[column] <= time.time() - FIRST for row in found)
        found = [row[:column] + row[column + 1 :] for row in found]
    assert found == SHOWN[panel["title"]]


def test_products_can_be_chosen(told: Client) -> None:
    [choice] = [variable for variable in BOARD["templating"]["list"] if variable["name"] == "product"]
    assert asked(told, choice["query"]) == [(OTHER,), (PRODUCT,)]


SEATTLE = shadow_scene.seattle(BASE).events
ANSWERS: dict[str, list[tuple[Any, ...]]] = {
    "SELECT version, at, cause": [(1, BASE), (2, BASE + 4_000), (3, BASE + 60_000), (4, BASE + 70_000)],
    "SELECT event FROM shadow_replay": [(event.version,) for event in SEATTLE],
    "SELECT argMax(version": [(3,)],
    "SELECT code, via": [
        ("version_conflict", "native", 2, BASE + 11_000),
        ("document_too_large", "tag", 1, BASE + 62_000),
    ],
    "SELECT begin, fields": [(BASE, 4, 5_000, 10_000)],
    "SELECT path": [("/interval", 3, 10_000), ("/dim", 1, 1_000)],
    "SELECT device_id, shadow, since": [("seattle-017", "", BASE + 60_000, 4, '{"led":"on"}')],
    "SELECT partitions": [(2, 2, 1, 1, 1)],
    "SELECT device_id, code": [("tacoma-002", "document_too_large")],
    "SELECT partition, max(offset)": [(0, len(shadow_scene.events(BASE)) - 1)],
    "SELECT device_id, shadow, created_at": [],
    "SELECT count() - uniqExact(id)": [(0,)],
    "SELECT table, sum(rows)": [
        ("shadow_convergence", 5),
        ("shadow_current", 4),
        ("shadow_events", 14),
        ("shadow_patch_members", 2),
        ("shadow_patches", 2),
    ],
    "SELECT at, status": [
        (BASE + after, f'{{"battery":{level}}}') for after, level in ((1000, 87), (2000, 86), (61000, 85))
    ],
}
"""By the question's beginning."""


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_documented_question_is_answered(told: Client, question: str) -> None:
    moment = datetime.fromtimestamp(BASE / 1000 + 65, UTC).strftime("%Y-%m-%d %H:%M:%S")
    found = asked(told, question.replace("2026-01-31 12:00:00", moment))
    if "shadow" not in question and "status_events" not in question:
        assert found == []  # nobody came or went, nobody was registered
        return
    [begin] = [begin for begin in ANSWERS if question.startswith(begin)]
    if begin in ("SELECT version, at, cause", "SELECT table, sum(rows)"):
        found = [row[:2] for row in found]
    if begin == "SELECT event FROM shadow_replay":
        found = [(json.loads(event)["version"],) for (event,) in found]
    assert found == ANSWERS[begin]


def test_every_answer_has_its_question() -> None:
    assert all(any(question.startswith(begin) for question in QUESTIONS) for begin in ANSWERS)
    assert SHOWN.keys() == {panel["title"] for panel in PANELS}
    assert any(PATCH in question for question in QUESTIONS)
