"""The mosquitto that reads our files: found by its pid file, told by SIGHUP."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAM: Final = "mosquitto"
_CAUGHT: Final = 1 << (signal.SIGHUP - 1)


class Process(msgspec.Struct, frozen=True):
    pid: int
    started: int
    """Clock ticks since the machine's start: process ids come again."""


class Broker:
    """``pid_file``: mosquitto's. It needs the same process namespace, and the right to signal."""

    def __init__(self, pid_file: Path, kill: Callable[[int, int], None] = os.kill) -> None:
        self._pid_file, self._kill = pid_file, kill

    def find(self) -> Process | None:
        """Return the broker that takes SIGHUPs; None where none does, or not yet: at its start one would end it."""
        try:
            pid = int(self._pid_file.read_text())
            proc = Path("/proc") / str(pid)
            name, _, rest = (proc / "stat").read_text().partition(" (")[2].rpartition(") ")
            caught = next(line for line in (proc / "status").read_text().splitlines() if line.startswith("SigCgt:"))
        except (FileNotFoundError, ProcessLookupError, ValueError):  # no file, half of one, or no such process
            return None
        if name != PROGRAM or not int(caught.partition(":")[2], 16) & _CAUGHT:
            return None
        return Process(pid, int(rest.split()[19]))

    def reload(self, process: Process) -> bool:
        """Return whether it was there to be told. Raises PermissionError where we may not signal it."""
        try:
            self._kill(process.pid, signal.SIGHUP)
        except ProcessLookupError:
            return False
        return True
