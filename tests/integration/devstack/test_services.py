"""A stack's services, killed, stopped and started again."""

from __future__ import annotations

import signal
import urllib.request
from typing import TYPE_CHECKING

import pytest

from devstack.errors import StackError
from devstack.places import OPEN
from tests.support.polling import eventually

if TYPE_CHECKING:
    from devstack.stack import Stack


@pytest.mark.parametrize("service", OPEN)
def test_a_killed_service_comes_back(stack: Stack, service: str) -> None:
    before = stack.restarts(service)
    pid = stack.pid(service)
    stack.kill(service, signal.SIGKILL)
    eventually(lambda: stack.restarts(service) == before + 1, describe="a restart")
    stack.wait_ready()
    assert stack.pid(service) not in {None, pid}


def test_a_stopped_service_stays_stopped_until_it_is_started(stack: Stack) -> None:
    stack.stop_service("timeseries")
    assert stack.pid("timeseries") is None
    assert not stack.is_ready("timeseries")
    stack.start_service("timeseries")
    stack.wait_ready()
    with urllib.request.urlopen(stack.ops_url("timeseries") + "/health/ready", timeout=5) as answer:
        assert answer.status == 200


def test_a_service_that_refuses_its_settings_is_named(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    told = stack.env
    stack.stop_service("presence")
    with monkeypatch.context() as patch:
        patch.setattr(stack, "env", lambda service: {**told(service), "FLEETLOG_NO_SUCH_SETTING": "1"})
        stack.start_service("presence")
    with pytest.raises(StackError, match=r"presence ended with exit code 78; the end of(.*\n)*.*NO_SUCH_SETTING"):
        stack.wait_ready()
    stack.start_service("presence")
    stack.wait_ready()
