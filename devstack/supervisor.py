"""Runs programs: starts them, restarts the ones that end, stops them in order.

One thread does every fork, because a child dies with the thread that forked it (see `devstack.launch`), and waits for
ends on the children's pidfds. Callers in other threads hand it functions.
"""

from __future__ import annotations

import os
import queue
import selectors
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, wait
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from devstack.errors import StackError
from devstack.processes import MARK, mark

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

LAUNCH = Path(__file__).with_name("launch.py")
FIRST_DELAY, LONGEST_DELAY = 0.2, 5.0
"""Seconds between an end and the restart: doubled each time."""
STEADY = 10.0
"""Seconds after which a program counts as started well, and its next restart is quick again."""
MISCONFIGURED = 78
"""EX_CONFIG of sysexits.h: started again it would end the same way."""


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What to run. ``environment`` is all of it; output is appended to ``log``; ``patience`` in seconds."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    directory: Path
    log: Path
    patience: float = 15.0


class _Child:
    """A program and its present process."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.process: subprocess.Popen[bytes] | None = None
        self.pidfd = -1
        self.wanted = True
        self.restarts = 0
        self.delay = FIRST_DELAY
        self.started = 0.0
        self.due: float | None = None
        self.exit_code: int | None = None
        self.gone = threading.Event()

    def spawn(self, state: Path) -> None:
        launcher = (sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()))
        with self.program.log.open("ab") as log:
            self.process = subprocess.Popen(
                (*launcher, *self.program.command),
                cwd=self.program.directory,
                env={**self.program.environment, MARK: mark(state, self.program.name)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is for the supervisor, which stops in order
            )
        self.pidfd = os.pidfd_open(self.process.pid)
        self.started, self.due = time.monotonic(), None
        self.gone.clear()


class Supervisor:
    """Call `close` at the end; every method may be called from any thread."""

    def __init__(self, state: Path, report: Callable[[str], None]) -> None:
        """``state`` marks every process (see `devstack.processes`); ``report`` takes sentences for the log."""
        self._state = state
        self._report = report
        self._children: dict[str, _Child] = {}
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._selector = selectors.DefaultSelector()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._thread.start()

    # -- what others call

    def start(self, program: Program) -> None:
        """Start it, and start it again whenever it ends, except with `MISCONFIGURED`. Running already: nothing."""
        self._do(lambda: self._start(program))

    def stop(self, *names: str) -> None:
        """SIGTERM to all, SIGKILL where the patience is over; returns when all have ended. Not running: nothing."""
        children = [self._children[name] for name in names if name in self._children]
        for child in children:
            self._do(partial(self._ask_to_end, child))
        for child in children:
            if child.gone.wait(child.program.patience):
                continue
            self._report(f"{child.program.name} did not end within {child.program.patience:.0f} s and is killed")
            self._do(partial(self._signal, child, signal.SIGKILL))
            if not child.gone.wait(child.program.patience):
                raise StackError(f"{child.program.name} did not end after SIGKILL")

    def kill(self, name: str, number: int) -> None:
        """Send a signal. Raises `StackError` where there is no process."""
        child = self._child(name)
        if not self._do(lambda: self._signal(child, number)):
            raise StackError(f"{name} is not running")

    def pid(self, name: str) -> int | None:
        """The process id now; None between an end and the restart."""
        child = self._child(name)
        return self._do(lambda: child.process.pid if child.process else None)

    def restarts(self, name: str) -> int:
        """How often it was started again since `start`."""
        return self._child(name).restarts

    def exit_code(self, name: str) -> int | None:
        """Of its last process that ended; None when none has. Negative: the number of the signal."""
        return self._child(name).exit_code

    def is_given_up(self, name: str) -> bool:
        """Whether it ended as misconfigured and will not be started again."""
        child = self._child(name)
        return child.process is None and child.due is None

    def names(self) -> tuple[str, ...]:
        """Of the programs that were started and not stopped, in order of their starts."""
        return tuple(name for name, child in self._children.items() if child.wanted)

    def close(self) -> None:
        """Stop all and end the thread."""
        self.stop(*self._children)
        self._do(self._finish)
        self._thread.join()
        self._selector.close()
        os.close(self._bell)

    # -- in the supervisor's thread

    def _run(self) -> None:
        while not self._closing:
            for key, _ in self._selector.select(self._until_next_restart()):
                if key.data is None:
                    os.eventfd_read(self._bell)
                else:
                    self._ended(key.data)
            while not self._calls.empty():
                self._calls.get()()
            for child in self._children.values():
                if child.due is not None and child.due <= time.monotonic():
                    self._restart(child)

    def _until_next_restart(self) -> float | None:
        due = [child.due for child in self._children.values() if child.due is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _start(self, program: Program) -> None:
        child = self._children.get(program.name)
        if child is not None and child.wanted and (child.process or child.due is not None):
            return
        self._children.pop(program.name, None)  # the order of stopping follows the latest start
        self._children[program.name] = child = _Child(program)
        self._spawn(child)

    def _restart(self, child: _Child) -> None:
        try:
            self._spawn(child)
        except OSError as error:  # no memory, no file left, no directory: all may pass
            self._report(f"{child.program.name} cannot be started: {error}")
            child.due = time.monotonic() + LONGEST_DELAY
        else:
            child.restarts += 1

    def _spawn(self, child: _Child) -> None:
        child.spawn(self._state)
        self._selector.register(child.pidfd, selectors.EVENT_READ, child)

    def _ended(self, child: _Child) -> None:
        assert child.process is not None
        self._selector.unregister(child.pidfd)
        os.close(child.pidfd)
        child.exit_code = child.process.wait()
        child.process = None
        how = f"{child.program.name} {describe_exit(child.exit_code)}"
        if not child.wanted:
            child.gone.set()
        elif child.exit_code == MISCONFIGURED:
            self._report(f"{how}: it refuses its settings and is not started again")
            child.gone.set()
        else:
            if time.monotonic() - child.started > STEADY:
                child.delay = FIRST_DELAY
            self._report(f"{how} and is started again in {child.delay:.1f} s")
            child.due = time.monotonic() + child.delay
            child.delay = min(child.delay * 2, LONGEST_DELAY)

    def _ask_to_end(self, child: _Child) -> None:
        child.wanted, child.due = False, None
        if not self._signal(child, signal.SIGTERM):
            child.gone.set()
        self._signal(child, signal.SIGCONT)  # a test may have frozen it

    def _signal(self, child: _Child, number: int) -> bool:
        if child.process is None:
            return False
        child.process.send_signal(number)
        return True

    def _finish(self) -> None:
        self._closing = True

    # -- between the threads

    def _child(self, name: str) -> _Child:
        child = self._children.get(name)
        if child is None:
            raise StackError(f"{name} was never started")
        return child

    def _do(self, function: Callable[[], T]) -> T:
        """Run ``function`` in the supervisor's thread and return what it returns or raise what it raises."""
        future: Future[T] = Future()

        def call() -> None:
            try:
                future.set_result(function())
            except BaseException as error:  # noqa: BLE001 - handed to the caller, whoever it is
                future.set_exception(error)

        self._calls.put(call)
        os.eventfd_write(self._bell, 1)
        while not wait([future], timeout=1).done:
            if not self._thread.is_alive():
                raise StackError("the supervisor has ended, and with it all its programs")
        return future.result()


def describe_exit(code: int | None) -> str:
    """How a process ended, for a person."""
    if code is None:
        return "has not ended"
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
