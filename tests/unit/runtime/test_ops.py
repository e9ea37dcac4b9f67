from __future__ import annotations

import json
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from libs.runtime import metrics
from libs.runtime.health import Verdict
from libs.runtime.ops import Ops, application
from libs.runtime.settings import OpsSettings


def ask(path: str, live: bool | Verdict = True, ready: bool | Verdict = True, method: str = "GET") -> tuple[int, bytes]:
    environ: dict[str, Any] = {"PATH_INFO": path, "REQUEST_METHOD": method, "QUERY_STRING": "", "SCRIPT_NAME": ""}
    setup_testing_defaults(environ)
    started: list[str] = []

    def start(status: str, headers: Any, exc_info: Any = None) -> Any:
        started.append(status)

    answer = validator(application(lambda: live, lambda: ready))(environ, start)
    body = b"".join(answer)
    answer.close()  # type: ignore[attr-defined]  # the validator's iterator insists on it
    return int(started[0].split()[0]), body


@pytest.mark.parametrize(
    ("path", "live", "ready", "status", "body"),
    [
        ("/health/live", True, False, 200, {"ok": True, "reason": ""}),
        ("/health/live", False, True, 503, {"ok": False, "reason": "not live"}),
        ("/health/ready", False, True, 200, {"ok": True, "reason": ""}),
        ("/health/ready", True, False, 503, {"ok": False, "reason": "not ready"}),
        ("/health/ready", True, Verdict(ok=False, reason="recovering"), 503, {"ok": False, "reason": "recovering"}),
    ],
)
def test_health_is_a_status_and_a_reason(
    path: str, live: bool | Verdict, ready: bool | Verdict, status: int, body: dict[str, Any]
) -> None:
    found, text = ask(path, live, ready)
    assert (found, json.loads(text)) == (status, body)


def test_metrics_are_served_as_text() -> None:
    metrics.gauge("test_served", "Served by this test.").set(3)
    status, body = ask("/metrics")
    assert status == 200
    assert b"fleetlog_test_served 3.0" in body


@pytest.mark.parametrize("path", ["/", "/health", "/health/live/", "/metrics/x", "/../etc/passwd"])
def test_other_paths_are_not_found(path: str) -> None:
    assert ask(path)[0] == 404


@pytest.mark.parametrize("method", ["HEAD", "POST", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(method: str) -> None:
    assert ask("/health/live", method=method)[0] == 405


def test_there_is_no_port_before_the_start() -> None:
    with pytest.raises(RuntimeError, match="not started"):
        _ = Ops(OpsSettings(), lambda: True, lambda: True).port


def test_stopping_what_never_started_does_nothing() -> None:
    Ops(OpsSettings(), lambda: True, lambda: True).stop()
