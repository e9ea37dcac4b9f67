"""What the demo says of ``fleetlog shadow verify``."""

from __future__ import annotations

import json

from demo.lamp import verdict

REPORT = {
    "documents": 41,
    "alike_in_topic": 42,
    "alike_in_table": 42,
    "unfounded": 0,
    "unanswered": 0,
    "events": 1234,
    "repeated": 0,
    "differences": [],
    "unreadable": [],
}


def test_shadows_that_are_verified() -> None:
    check = verdict(0, json.dumps(REPORT).encode(), b"")
    assert check.held
    assert check.told == (
        "the log of 1,234 changes, folded again, makes the documents (41): "
        "42 in Kafka and 42 at their owner are the same"
    )


def test_shadows_that_differ() -> None:
    check = verdict(1, json.dumps({**REPORT, "differences": [{}, {}], "unreadable": ["r"]}).encode(), b"")
    assert not check.held
    assert check.told.endswith("; faults: 3, exit status 1")


def test_a_verification_that_said_nothing() -> None:
    check = verdict(5, b"", b"error: Kafka does not answer\n")
    assert (check.held, check.told) == (False, "`fleetlog shadow verify` ended with 5: error: Kafka does not answer")
