from __future__ import annotations

import io
import json
import logging
import sys
import threading
import warnings
from typing import Any

import pytest

from libs.runtime import logs
from libs.runtime.settings import LogSettings, MqttSettings, Secret


@pytest.fixture
def out(own_logging: None) -> io.StringIO:
    """What is written."""
    return io.StringIO()


def records(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def configure(out: io.StringIO, **settings: Any) -> None:
    logs.configure(LogSettings(**settings), "presence", out)


def test_a_record_is_one_json_object_with_the_common_fields_first(out: io.StringIO) -> None:
    configure(out)
    logs.get("here").info("device connected", device="a/b", n=2)
    (record,) = records(out)
    assert list(record) == ["time", "level", "service", "logger", "event", "device", "n"]
    assert record["time"].endswith("Z")
    assert [record[name] for name in list(record)[1:]] == ["info", "presence", "here", "device connected", "a/b", 2]


def test_records_of_the_standard_library_look_alike(out: io.StringIO) -> None:
    configure(out)
    logging.getLogger("aiokafka").warning("lost %s of %d", "node", 3, extra={"node": 1})
    (record,) = records(out)
    assert (record["logger"], record["event"], record["node"]) == ("aiokafka", "lost node of 3", 1)


def test_a_line_break_from_outside_begins_no_record(out: io.StringIO) -> None:
    configure(out)
    logging.getLogger("x").error("bad topic %s", 'a\n{"level": "forged"}')
    logs.get("x").error('a\r\n{"level": "forged"}')
    assert [record["level"] for record in records(out)] == ["error", "error"]


def test_a_line_break_from_outside_begins_no_line_for_people_either(out: io.StringIO) -> None:
    configure(out, format="console")
    logging.getLogger("x").error("bad topic %s", "a\r\n2026 forged")
    assert len(out.getvalue().splitlines()) == 1


def test_values_that_json_has_no_word_for_are_shown_as_python_would(out: io.StringIO) -> None:
    configure(out)
    logs.get("x").info("y", key=b"a/b", mqtt=MqttSettings(password=Secret("geheim")))
    (record,) = records(out)
    assert record["key"] == "b'a/b'"
    assert "geheim" not in out.getvalue()


def test_below_the_level_nothing_is_written(out: io.StringIO) -> None:
    configure(out, level="warning")
    logging.getLogger("x").info("a")
    logs.get("x").info("b")
    logs.get("x").warning("c")
    assert [record["event"] for record in records(out)] == ["c"]


def test_configured_again_nothing_is_written_twice(out: io.StringIO) -> None:
    configure(out)
    configure(out)
    logs.get("x").info("a")
    assert len(records(out)) == 1


def test_a_traceback_stays_within_its_record(out: io.StringIO) -> None:
    configure(out)
    try:
        _ = 1 // 0
    except ZeroDivisionError:
        logs.get("x").exception("division failed")
    (record,) = records(out)
    assert record["exception"].endswith("ZeroDivisionError: integer division or modulo by zero")


def test_a_traceback_for_people_shows_no_local_variables(out: io.StringIO) -> None:
    configure(out, format="console")
    password = "geheim"
    try:
        _ = 1 // (len(password) - 6)
    except ZeroDivisionError:
        logs.get("x").exception("division failed")
    assert "ZeroDivisionError" in out.getvalue()
    assert "'geheim'" not in out.getvalue().replace('password = "geheim"', "")


def test_warnings_are_records(out: io.StringIO) -> None:
    configure(out)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        logging.captureWarnings(True)
        warnings.warn("old thing", stacklevel=1)
    (record,) = records(out)
    assert (record["level"], record["logger"]) == ("warning", "py.warnings")


def test_uncaught_exceptions_are_records(out: io.StringIO) -> None:
    configure(out)
    error = ValueError("no")
    sys.excepthook(ValueError, error, None)
    (record,) = records(out)
    assert (record["level"], record["exception"]) == ("critical", "ValueError: no")


def test_uncaught_exceptions_of_threads_are_records_too(out: io.StringIO) -> None:
    configure(out)

    # called directly: pytest puts its own hook in the place of ours while a test runs
    thread = threading.Thread(name="worker-1")
    threading.excepthook(threading.ExceptHookArgs((ValueError, ValueError("no"), None, thread)))
    threading.excepthook(threading.ExceptHookArgs((ValueError, None, None, None)))
    (record,) = records(out)
    assert record["event"] == "uncaught exception in thread worker-1"


def said(filter_: logs.Repetitions, message: str, at: float) -> bool:
    record = logging.LogRecord("librdkafka", logging.ERROR, __file__, 1, "%s", (message,), None)
    record.created = at
    return bool(filter_.filter(record))


def test_a_repeated_message_is_said_once_in_its_time() -> None:
    filter_ = logs.Repetitions(30.0)
    assert [said(filter_, "refused", at) for at in (0.0, 1.0, 29.9, 30.0, 31.0)] == [True, False, False, True, False]


def test_only_a_duration_makes_no_other_message() -> None:
    filter_ = logs.Repetitions(30.0)
    assert said(filter_, "host 1 refused (after 12ms)", 0.0)
    assert not said(filter_, "host 1 refused (after 7ms)", 1.0)
    assert said(filter_, "host 2 refused (after 7ms)", 1.0)


def test_the_oldest_messages_are_forgotten() -> None:
    filter_ = logs.Repetitions(30.0)
    assert all(said(filter_, f"message {chr(65 + n)}", 0.0) for n in range(logs.Repetitions.KEPT + 1))
    assert said(filter_, "message A", 1.0)
    assert not said(filter_, f"message {chr(65 + logs.Repetitions.KEPT)}", 1.0)
