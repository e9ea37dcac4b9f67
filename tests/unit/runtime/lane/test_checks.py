"""Start-up checks say in one line what is wrong with which topic."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from libs.runtime.lane.checks import problems

LANE: Any = SimpleNamespace(
    inbox="things.inbox", dead_letters="things.dead-letters", table=SimpleNamespace(changelog_name="log")
)
GOOD = {"things.inbox": 4, "log": 4, "things.dead-letters": 1}
NO_INBOX = {"log": 4, "things.dead-letters": 1}
COMPACT = ", it must be compact: rows would expire"


def test_topics_that_fit_are_no_problem() -> None:
    assert problems(LANE, 4, GOOD, "compact") == []


@pytest.mark.parametrize(
    ("counts", "policy", "sentence"),
    [
        (
            {"log": 4, "things.dead-letters": 1},
            "compact",
            "inbox things.inbox does not exist; create it with 4 partitions",
        ),
        ({**GOOD, "things.inbox": 8}, "compact", "inbox things.inbox has 8 partitions, the installation has 4"),
        ({**GOOD, "log": 1}, "compact", "changelog log has 1 partitions, the installation has 4"),
        ({"things.inbox": 4, "log": 4}, "compact", "dead-letter topic things.dead-letters does not exist"),
        (
            GOOD,
            "compact,delete",
            f"changelog log has cleanup.policy=compact,delete{COMPACT}",
        ),
    ],
)
def test_each_problem_names_its_topic(counts: dict[str, int], policy: str | None, sentence: str) -> None:
    assert problems(LANE, 4, counts, policy) == [sentence]


def test_all_problems_are_told_at_once() -> None:
    assert len(problems(LANE, 4, {}, None)) == 3
