"""What processes use of the machine, from ``/proc``."""

from __future__ import annotations

import os
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process. Raises FileNotFoundError when it has ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_mb(pid: int) -> int:
    """Resident memory now, in MiB. Raises FileNotFoundError when it has ended."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def peak_rss_mb(pid: int) -> float:
    """Most memory ever resident, in MB. Raises FileNotFoundError when it has ended."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024 / 1e6


def busy_seconds() -> float:
    """CPU time of the whole machine that was not idle, of all cores, since it started."""
    fields = [int(field) for field in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICKS


class Foreign:
    """What programs that have no part in a benchmark use of the machine, from the making of this object on."""

    def __init__(self, *pids: int) -> None:
        """``pids``: the programs that have a part; the calling process is one."""
        self._pids = (os.getpid(), *pids)
        self._began, self._idle = time.monotonic(), self._others()

    def cores(self) -> float:
        """On average. Raises FileNotFoundError when a program with a part has ended."""
        return max(0.0, (self._others() - self._idle) / (time.monotonic() - self._began))

    def _others(self) -> float:
        return busy_seconds() - sum(map(cpu_seconds, self._pids))
