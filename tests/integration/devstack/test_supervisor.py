from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devstack import processes
from devstack.errors import StackError
from devstack.supervisor import Program, Supervisor
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).parents[3]


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, reports: list[str]) -> Iterator[Supervisor]:
    running = Supervisor(tmp_path, reports.append)
    yield running
    running.close()


def program(directory: Path, name: str, code: str, patience: float = 10.0) -> Program:
    return Program(
        name=name,
        command=(sys.executable, "-c", code),
        environment=dict(os.environ),
        directory=directory,
        log=directory / f"{name}.log",
        patience=patience,
    )


WAIT = "import signal; print('up', flush=True); signal.pause()"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAIT}"


def is_up(directory: Path, name: str) -> bool:
    log = directory / f"{name}.log"
    return log.exists() and "up" in log.read_text()


def test_a_program_runs_until_it_is_stopped(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(program(tmp_path, "a", WAIT))
    eventually(lambda: is_up(tmp_path, "a"))
    pid = supervisor.pid("a")
    assert processes.find(tmp_path) == {pid: "a"}
    supervisor.stop("a")
    assert supervisor.pid("a") is None
    assert supervisor.exit_code("a") == -signal.SIGTERM
    assert processes.find(tmp_path) == {}


def test_a_second_start_changes_nothing(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(program(tmp_path, "a", WAIT))
    pid = supervisor.pid("a")
    supervisor.start(program(tmp_path, "a", WAIT))
    assert supervisor.pid("a") == pid


def test_what_ends_is_started_again_after_growing_pauses(
    supervisor: Supervisor, tmp_path: Path, reports: list[str]
) -> None:
    supervisor.start(program(tmp_path, "a", "import sys; sys.exit(3)"))
    eventually(lambda: len(reports) >= 3, describe="three ends")
    assert reports[:3] == [f"a ended with exit code 3 and is started again in {pause} s" for pause in (0.2, 0.4, 0.8)]
    assert supervisor.restarts("a") >= 2
    supervisor.stop("a")
    count = supervisor.restarts("a")
    assert not supervisor.names()
    supervisor.start(program(tmp_path, "b", WAIT))  # the thread goes on, and leaves the stopped one alone
    assert supervisor.restarts("a") == count


def test_what_is_killed_is_started_again(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(program(tmp_path, "a", WAIT))
    pid = supervisor.pid("a")
    supervisor.kill("a", signal.SIGKILL)
    eventually(lambda: supervisor.restarts("a") == 1, describe="a restart")
    assert supervisor.pid("a") not in {None, pid}
    assert supervisor.exit_code("a") == -signal.SIGKILL


def test_what_refuses_its_settings_is_not_started_again(
    supervisor: Supervisor, tmp_path: Path, reports: list[str]
) -> None:
    supervisor.start(program(tmp_path, "a", "import sys; sys.exit(78)"))
    eventually(lambda: supervisor.is_given_up("a"), describe="it is given up")
    assert reports == ["a ended with exit code 78: it refuses its settings and is not started again"]
    assert supervisor.restarts("a") == 0
    with pytest.raises(StackError, match="a is not running"):
        supervisor.kill("a", signal.SIGTERM)


def test_what_ignores_the_request_to_end_is_killed(supervisor: Supervisor, tmp_path: Path, reports: list[str]) -> None:
    supervisor.start(program(tmp_path, "a", STUBBORN, patience=0.3))
    eventually(lambda: is_up(tmp_path, "a"))
    supervisor.stop("a")
    assert supervisor.exit_code("a") == -signal.SIGKILL
    assert reports == ["a did not end within 0 s and is killed"]


def test_a_frozen_program_can_be_stopped(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(program(tmp_path, "a", WAIT))
    eventually(lambda: is_up(tmp_path, "a"))
    supervisor.kill("a", signal.SIGSTOP)
    supervisor.stop("a")
    assert supervisor.exit_code("a") == -signal.SIGTERM


def test_a_program_outlives_the_thread_that_asked_for_it(supervisor: Supervisor, tmp_path: Path) -> None:
    asking = threading.Thread(target=supervisor.start, args=(program(tmp_path, "a", WAIT),))
    asking.start()
    asking.join()
    eventually(lambda: is_up(tmp_path, "a"))
    assert supervisor.restarts("a") == 0
    assert supervisor.pid("a") is not None


def test_a_program_that_was_never_started_has_no_process(supervisor: Supervisor) -> None:
    supervisor.stop("a")
    with pytest.raises(StackError, match="a was never started"):
        supervisor.pid("a")


def test_a_program_that_cannot_be_started_ends_and_says_so(supervisor: Supervisor, tmp_path: Path) -> None:
    missing = Program(
        name="a", command=("/no/such/program",), environment={}, directory=tmp_path, log=tmp_path / "a.log"
    )
    supervisor.start(missing)
    eventually(lambda: supervisor.exit_code("a") == 1, describe="the launcher ends")
    assert "cannot start /no/such/program: No such file or directory\n" in (tmp_path / "a.log").read_text()


def test_a_restart_that_is_impossible_now_is_tried_again(
    supervisor: Supervisor, tmp_path: Path, reports: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devstack.supervisor.LONGEST_DELAY", 0.3)
    directory = tmp_path / "work"
    directory.mkdir()
    supervisor.start(program(directory, "a", WAIT))
    eventually(lambda: is_up(directory, "a"))
    directory.rename(tmp_path / "away")
    supervisor.kill("a", signal.SIGKILL)
    eventually(lambda: any("a cannot be started: " in report for report in reports), describe="a failed restart")
    (tmp_path / "away").rename(directory)
    eventually(lambda: supervisor.restarts("a") == 1, describe="a restart")


def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    script = f"""
import os, signal, sys
from pathlib import Path
from devstack.supervisor import Program, Supervisor
supervisor = Supervisor(Path({str(tmp_path)!r}), print)
for name, code in (("a", {WAIT!r}), ("b", {STUBBORN!r})):
    supervisor.start(Program(name=name, command=(sys.executable, "-c", code), environment=dict(os.environ),
                             directory=Path({str(tmp_path)!r}), log=Path({str(tmp_path)!r}) / (name + ".log")))
signal.pause()
"""
    with subprocess.Popen((sys.executable, "-c", script), cwd=CHECKOUT) as parent:
        eventually(lambda: is_up(tmp_path, "a") and is_up(tmp_path, "b"), describe="both run")
        assert sorted(processes.find(tmp_path).values()) == ["a", "b"]
        parent.kill()
    eventually(lambda: not processes.find(tmp_path), timeout=5, describe="nothing is left")


def test_stopping_several_takes_as_long_as_the_slowest(supervisor: Supervisor, tmp_path: Path) -> None:
    slow = (
        "import select,signal; signal.signal(signal.SIGTERM, lambda *_: (select.select((), (), (), 1), exit())); "
        + WAIT
    )
    for name in "abc":
        supervisor.start(program(tmp_path, name, slow))
    eventually(lambda: all(is_up(tmp_path, name) for name in "abc"), describe="all run")
    begun = time.monotonic()
    supervisor.stop(*"abc")
    assert 1 <= time.monotonic() - begun < 2.5
