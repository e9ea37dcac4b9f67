"""Every panel and every documented question about commands, on the real engine, with known answers."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from libs.topics import names
from tests.support import command_scene
from tests.support.boards import STEP, asked, board, expanded, questions
from tests.support.command_scene import CALL, FANOUT, LOCKS, REQUEST, WEATHER
from tests.support.stored import store

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

BOARD = board("commands")
PANELS: list[dict[str, Any]] = BOARD["panels"]
QUESTIONS = [
    question
    for question in questions("docs/analysts.md", "docs/command-history.md")
    if re.search(r"command|probe|fanout", question)
]

HOUR = 3_600_000
BASE = (int(time.time() * 1000) // HOUR - 2) * HOUR
"""Between two and three hours ago."""
FIRST, SECOND = BASE // 1000, BASE // 1000 + STEP


@pytest.fixture(scope="module")
def told(client: Client) -> Client:
    """Half of the events are stored in a block of their own: most commands are in two rows."""
    events = command_scene.events(BASE)
    half = len(events) // 2
    store(client, names.COMMANDS_EVENTS, events[:half])
    store(client, names.COMMANDS_EVENTS, events[half:], first=half)
    return client


SHOWN: dict[str, list[tuple[Any, ...]]] = {
    "Commands per second": [
        (FIRST * 1000, LOCKS, 4 / 60),
        (FIRST * 1000, WEATHER, 1 / 60),
        (SECOND * 1000, WEATHER, 3 / 60),
    ],
    "Ends by outcome": [
        (FIRST * 1000, "replied", 3),
        (SECOND * 1000, "cancelled", 1),
        (SECOND * 1000, "expired", 1),
        (SECOND * 1000, "rejected", 1),
        (SECOND * 1000, "timed_out", 1),
    ],
    "Time to reply": [(FIRST * 1000, LOCKS, 1_000, 1_000), (FIRST * 1000, WEATHER, 95, 95)],
    "Time to reply, by command": [
        (LOCKS, "reboot", "cmd", 1, 1_000, 1_000),
        (LOCKS, "unlock", "cmd", 1, 180, 180),
        (WEATHER, "read", "rpc", 1, 95, 95),
    ],
    "Open now": [(LOCKS, "cmd", "queued", 1, BASE + 20)],
    "Late replies": [(SECOND * 1000, LOCKS, 1)],
    "Never answered, the newest first": [
        (WEATHER, "seattle-017", "read", "rpc", 1, BASE + 60_000, BASE + 65_000, "5d0b77e1ab"),
    ],
    "Probes by verdict": [
        (FIRST * 1000, "reachable", 1),
        (FIRST * 1000, "unreachable", 1),
        (SECOND * 1000, "reachable", 1),
    ],
    "Fan-outs, the newest first": [(LOCKS, "line-3", BASE + 20, 4, 1, 1, 1, 1, 1, FANOUT)],
}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_shows_what_happened(told: Client, panel: dict[str, Any]) -> None:
    [target] = panel["targets"]
    found = asked(told, expanded(target["rawSql"], FIRST, SECOND + STEP, (WEATHER, LOCKS)))
    assert found == SHOWN[panel["title"]]


def test_products_can_be_chosen(told: Client) -> None:
    [choice] = [variable for variable in BOARD["templating"]["list"] if variable["name"] == "product"]
    assert asked(told, choice["query"]) == [(LOCKS,), (WEATHER,)]


UNLOCK = (REQUEST, "unlock", "cmd", "replied", 1, BASE, BASE + 30_000, BASE + 30_180, "", '"done"', None)
REBOOT = (
    FANOUT, "reboot", "cmd", "expired", 1, BASE + 20, BASE + 25, BASE + 61_000, "because", "", BASE + 63_500
)  # fmt: skip
EVENTS = command_scene.events(BASE)
ANSWERS: dict[str, list[tuple[Any, ...]]] = {
    "SELECT at, type, state": [
        (BASE, "command_accepted", "accepted", 0),
        (BASE, "command_queued", "queued", 0),
        (BASE + 30_000, "command_sent", "sent", 1),
        (BASE + 30_180, "command_replied", "replied", 0),
    ],
    "SELECT request_id, command, mode": [UNLOCK, REBOOT],
    "SELECT product_id, device_id, command, state": [(WEATHER, "seattle-017", "read", "replied")],
    "SELECT device_id, request_id, attempts": [],
    "SELECT command, mode, state, commands": [
        ("blink", "cmd", "cancelled", 1),
        ("read", "rpc", "replied", 1),
        ("read", "rpc", "rejected", 1),
        ("read", "rpc", "timed_out", 1),
    ],
    "SELECT command, mode, begin": [("read", "rpc", BASE, 1, 95, 95)],
    "SELECT device_id, command, mode, attempts": [("seattle-017", "read", "rpc", 1, BASE + 65_000)],
    "SELECT device_id, command, state, late_at": [("door-0042", "reboot", "expired", BASE + 63_500, 2_500)],
    "SELECT mode, state, count()": [("cmd", "queued", 1, BASE + 20)],
    "SELECT partitions, members": [(2, 4, 1, 1, 1, 2, 1, 0, 0, 1, 0, 0, 1)],
    "SELECT begin, reachable": [(BASE, 2, 1, 1, 50, 50)],
    "SELECT partition, max(offset)": [(0, len(EVENTS) - 1)],
    "SELECT product_id, device_id, request_id, uniqExactIf": [],
    "SELECT product_id, count() AS overdue": [],
    "SELECT count() - uniqExact(id) AS repeated_steps": [(4,)],
}
"""By the question's beginning."""


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_documented_question_is_answered(told: Client, question: str) -> None:
    moment = datetime.fromtimestamp(FIRST, UTC).strftime("%Y-%m-%d %H:%M:%S")
    [begin] = [begin for begin in ANSWERS if question.startswith(begin)]
    found = asked(told, question.replace("2026-01-31 12:00:00", moment))
    if begin == "SELECT at, type, state":
        found = [row[:4] for row in found]
    assert found == ANSWERS[begin]


def test_every_answer_has_its_question() -> None:
    assert all(any(question.startswith(begin) for question in QUESTIONS) for begin in ANSWERS)
    assert SHOWN.keys() == {panel["title"] for panel in PANELS}
    assert all(any(known in question for question in QUESTIONS) for known in (REQUEST, CALL, FANOUT))
