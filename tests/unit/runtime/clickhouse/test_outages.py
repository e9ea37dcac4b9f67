from __future__ import annotations

import threading

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, DataError, OperationalError, ProgrammingError

from libs.runtime.clickhouse import outages
from libs.runtime.clickhouse.outages import Abandoned, is_outage, outlast


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "FIRST_DELAY", 0.001)
    monkeypatch.setattr(outages, "LONGEST_DELAY", 0.004)


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (OperationalError("connection refused"), True),
        (DatabaseError("HTTP driver received HTTP status 502"), True),
        (DatabaseError("too many parts", code=252), True),
        (DatabaseError("unknown table", code=60), False),
        (DatabaseError("cannot parse", code=27), False),
        (DataError("column lengths differ"), False),
        (ProgrammingError("no such column"), False),
        (OverflowError("int too large"), False),
    ],
)
def test_only_what_may_succeed_later_is_an_outage(error: Exception, passes: bool) -> None:
    assert is_outage(error) is passes


class Flaky:
    """Raises each error in turn, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def __call__(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "stored"


def test_an_outage_is_waited_out_with_growing_pauses_up_to_a_limit() -> None:
    told: list[float] = []
    action = Flaky(*(OperationalError(str(n)) for n in range(5)))
    assert outlast(action, threading.Event(), lambda _error, delay: told.append(delay)) == "stored"
    assert told == [0.001, 0.002, 0.004, 0.004, 0.004]


def test_an_error_that_would_come_again_is_raised_at_once() -> None:
    action = Flaky(DatabaseError("cannot parse", code=27), DatabaseError("never reached", code=27))
    with pytest.raises(DatabaseError, match="cannot parse"):
        outlast(action, threading.Event(), lambda *_: None)
    assert len(action.errors) == 1


def test_waiting_ends_when_it_is_abandoned() -> None:
    stop = threading.Event()
    action = Flaky(*(OperationalError("away") for _ in range(3)))
    with pytest.raises(Abandoned):
        outlast(action, stop, lambda *_: stop.set())
    assert len(action.errors) == 2
