"""``python -m devstack up|down|status|programs``."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from devstack import lock, overview, processes
from devstack.errors import StackError
from devstack.follow import Follower
from devstack.kafka import classes, jars
from devstack.mosquitto import server as mosquitto
from devstack.places import SERVICES, Choice, Places
from devstack.stack import CHECKOUT, START_TIMEOUT, Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

STATE = Path(".fleetlog")
PATIENCE = 90.0
"""Seconds that `down` gives the supervisor: it gives each program time of its own."""
POLL = 0.1
NOT_RUNNING = 3
"""Exit status of `status`, as that of service managers."""

INTERRUPTED = 130
"""Exit status of a command that Ctrl-C ended, as shells report it."""

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="devstack", description="The whole hub on this machine, on loopback.")
    parser.add_argument("--state", type=Path, default=STATE, help="directory of data, ports and logs (%(default)s)")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start everything and return when it is ready")
    up.add_argument("--foreground", action="store_true", help="stay, show all logs, stop everything on Ctrl-C")
    supervised = commands.add_parser("supervise")  # what `up` leaves running
    for command in (up, supervised):
        command.add_argument("--tls", action="store_true", help="let devices come by TLS and WebSocket too")
        command.add_argument(
            "--services",
            type=_services,
            default=SERVICES,
            metavar="A,B",
            help=f"only these of {_listed(SERVICES)}; without guard, devices need no credentials",
        )
    commands.add_parser("down", help="stop everything that up started")
    commands.add_parser("status", help="what runs, and where")
    commands.add_parser("programs", help="fetch Kafka's jars and mosquitto where they are missing")
    options = parser.parse_args(arguments)
    state: Path = options.state.absolute()
    choice = Choice(options.services, options.tls) if options.command in {"up", "supervise"} else Choice()
    run: dict[str, Callable[[], int]] = {
        "up": lambda: up_foreground(state, choice) if options.foreground else up_detached(state, choice),
        "down": lambda: down(state),
        "status": lambda: status(state),
        "programs": programs,
        "supervise": lambda: supervise(state, choice),
    }
    try:
        return run[options.command]()
    except (StackError, OSError) as error:  # OSError: the state directory cannot be used
        print(f"fleetlog: {error}", file=sys.stderr)
        return 1


def programs() -> int:
    """Look for all of them before giving up, so that a user installs what is missing in one go."""
    missing = []
    for ensure in (jars.java, jars.ensure, classes.ensure, mosquitto.ensure):
        try:
            ensure()
        except StackError as error:
            missing.append(str(error))
    for line in dict.fromkeys(missing):  # two may miss the same
        print(f"fleetlog: {line}", file=sys.stderr)
    return 1 if missing else 0


def up_foreground(state: Path, choice: Choice) -> int:
    stack = Stack(state, choice.services, tls=choice.tls)
    with lock.StateLock(state), Follower(stack.logs):
        return _run_until_told(stack, announce=lambda: _show("is up", stack))


def supervise(state: Path, choice: Choice) -> int:
    stack = Stack(state, choice.services, tls=choice.tls)
    with lock.StateLock(state):
        return _run_until_told(stack, announce=lambda: _ready_file(state).write_text(str(os.getpid())))


def up_detached(state: Path, choice: Choice) -> int:
    running = lock.holder(state)
    if running is not None:
        _show(f"is running already (process {running})", Places.of_running(state))
        return 0
    log = state / "logs" / "supervisor.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        supervisor = subprocess.Popen(
            (sys.executable, "-m", "devstack", "--state", str(state), "supervise", *_as_arguments(choice)),
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        in_time = _wait(lambda: _ready(state) == supervisor.pid or supervisor.poll() is not None, 3 * START_TIMEOUT)
    except KeyboardInterrupt:
        supervisor.terminate()
        supervisor.wait(PATIENCE)
        return INTERRUPTED
    if not in_time:
        supervisor.terminate()
        raise StackError(f"not ready in time; see {log}")
    if supervisor.poll() is not None:
        raise StackError(log.read_text(errors="replace").strip().removeprefix("fleetlog: "))
    _show("is up", Places.of_running(state))
    return 0


def down(state: Path) -> int:
    """Ask the supervisor, then make sure: whatever still carries the mark of this state directory is killed."""
    running = lock.holder(state)
    if running is not None:
        os.kill(running, signal.SIGTERM)
        if not _wait(lambda: lock.holder(state) is None, PATIENCE):
            os.kill(running, signal.SIGKILL)
    if _wait(lambda: not processes.find(state), POLL * 10):
        print("fleetlog has stopped" if running is not None else "fleetlog was not running")
        return 0
    for pid, name in processes.find(state).items():
        print(f"fleetlog: {name} (process {pid}) was left over and is killed", file=sys.stderr)
        os.kill(pid, signal.SIGKILL)
    return 0 if _wait(lambda: not processes.find(state), PATIENCE) else 1


def status(state: Path) -> int:
    running = lock.holder(state)
    if running is None:
        print("fleetlog is not running")
        return NOT_RUNNING
    stack = Places.of_running(state)
    pids = {name: pid for pid, name in processes.find(state).items()}
    _show(f"is running (process {running})", stack)
    print()
    ready = {name: stack.is_ready(name) for name in stack.programs}
    for name, answers in ready.items():
        process = f"process {pids[name]}" if name in pids else "no process"
        print(f"  {name:<12} {'ready' if answers else 'not ready':<10} {process}")
    return 0 if all(ready.values()) else 1


def _services(text: str) -> tuple[str, ...]:
    """Raises `argparse.ArgumentTypeError`. In the order in which they are started, whatever the order given."""
    given = set(filter(None, text.split(",")))
    if unknown := given - set(SERVICES):
        raise argparse.ArgumentTypeError(
            f"no such service: {', '.join(sorted(unknown))}; there are {_listed(SERVICES)}"
        )
    return tuple(service for service in SERVICES if service in given)


def _as_arguments(choice: Choice) -> tuple[str, ...]:
    return (*(("--tls",) if choice.tls else ()), "--services", _listed(choice.services))


def _listed(services: Sequence[str]) -> str:
    return ",".join(services)


def _run_until_told(stack: Stack, announce: Callable[[], object]) -> int:
    """Run the stack until one of `ENDS` comes, also while it starts."""

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        for number in ENDS:
            signal.signal(number, signal.SIG_IGN)  # stopping in order is under way
        raise KeyboardInterrupt

    for number in ENDS:
        signal.signal(number, end)
    try:
        with stack:
            announce()
            while True:
                signal.pause()
    except KeyboardInterrupt:
        return 0


def _show(how: str, stack: Places) -> None:
    print(f"fleetlog {how}\n{overview.describe(stack)}", flush=True)


def _ready_file(state: Path) -> Path:
    """Holds the process id of the supervisor that was ready last: one that crashed cannot vouch for the next."""
    return state / "ready"


def _ready(state: Path) -> int | None:
    file = _ready_file(state)
    text = file.read_text() if file.exists() else ""
    return int(text) if text else None


def _wait(check: Callable[[], bool], timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not check():
        if time.monotonic() > deadline:
            return False
        pause.wait(POLL)
    return True
