"""What the demo says of commands: what happened, whether or not it should have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from demo.thermometer import called, cancelled, counted, probed, returned

if TYPE_CHECKING:
    from demo.access import Check

COUNTS = {"members": 3, "replied": 1, "queued": 2, "open": 2, "cancelled": 0}
REPLY = {"reply": {"payload": {"interval": 1.0}}}
PROBLEM = {"code": "device_offline"}


def test_what_should_have_happened_is_told() -> None:
    told = [
        returned("queued", {"state": "replied"}, 1.26),
        called(200, REPLY, 0.0312),
        probed(200, {"verdict": "reachable", "rtt_ms": 12}),
        counted(COUNTS),
        cancelled({"cancelled": 2}, {**COUNTS, "queued": 0, "open": 0, "cancelled": 2}),
    ]
    assert [check.held for check in told] == [True] * 5
    assert [check.told for check in told] == [
        "a command to a thermometer that is off waits, and is replied to 1.3 s after its start",
        "a call is answered by the device's own reply 31 ms after it began",
        "a probe reaches it, there and back in 12 ms",
        "a command to all of a tag, of which one is on: 3 members, 1 replied, 2 queued, 2 open",
        "what waits of it is cancelled: 1 replied, 2 cancelled, 0 open",
    ]


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (returned("accepted", {"state": "replied"}, 1.0), "accepted, then replied"),
        (returned("queued", {"state": "expired"}, 1.0), "queued, then expired"),
        (called(409, PROBLEM, 1.0), "409 {'code': 'device_offline'}"),
        (called(200, {"reply": {"payload": {"error": {}}}}, 1.0), "200"),
        (probed(200, {"verdict": "unreachable", "rtt_ms": None}), "unreachable"),
        (probed(503, PROBLEM), "503"),
        (counted({**COUNTS, "members": 2, "queued": 1, "open": 1}), "2 members, 1 replied, 1 queued, 1 open"),
        (cancelled({"cancelled": 2}, COUNTS), "1 replied, 0 cancelled, 2 open"),
        (cancelled({"cancelled": 1}, {**COUNTS, "open": 0, "cancelled": 2}), "2 cancelled"),
    ],
)
def test_what_should_not_have_happened_is_told_too(check: Check, said: str) -> None:
    assert not check.held
    assert said in check.told
