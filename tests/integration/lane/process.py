"""A lane service's process."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError

from devstack.ports import free_port
from tests.integration.lane.topics import PARTITIONS
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[3]


class Worker:
    """One process of a service, started at once. ``left_at``: when it was told to end, by the system's clock."""

    def __init__(self, module: str, directory: Path, *, name: str = "a", **settings: Any) -> None:
        """``settings`` as FLEETLOG_ variables, in lower case and without the prefix."""
        self.name, self.port, self.left_at = name, free_port(), math.inf
        values = {
            "kafka_partitions": PARTITIONS,
            "ops_port": self.port,
            "lane_session_timeout_s": 6,
            "lane_data_dir": directory / name,
            **settings,
        }
        environment = {f"FLEETLOG_{key.upper()}": str(value) for key, value in values.items()}
        self.log = directory / f"{name}.log"
        self._begins = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module],
                cwd=ROOT,
                env={**_clean(os.environ), **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        self._leave()
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        self._leave()
        self.process.send_signal(signal.SIGTERM)
        return self.exit_status()

    def freeze(self) -> None:
        """SIGSTOP: it does nothing until `thaw`."""
        self._leave()
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def _leave(self) -> None:
        self.left_at = min(self.left_at, time.time())

    def exit_status(self, timeout: float = 30) -> int:
        return self.process.wait(timeout)

    def text(self) -> str:
        """The log of this process."""
        return self.log.read_bytes()[self._begins :].decode(errors="replace")

    def by_table(self, metric: str) -> dict[str, float]:
        """Values of one of the lane's metrics, by table; empty where nobody answers."""
        pattern = re.compile(rf'fleetlog_lane_{metric}{{.*table="([^"]*)".*}} (\S+)')
        return {
            found[1]: float(found[2]) for found in map(pattern.fullmatch, self.get("/metrics")[1].splitlines()) if found
        }

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of the ops server's answer; status 0 where nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as refused:
            return refused.code, refused.read().decode()
        except (URLError, TimeoutError, ConnectionError):
            return 0, ""

    def assert_running(self) -> None:
        """Not by assertion: that would mean "not yet" to a poll."""
        if self.process.poll() is not None:
            raise RuntimeError(f"the worker ended with {self.process.returncode}: {self.text()[-3000:]}")

    def wait_ready(self, timeout: float = 40) -> None:
        def ready() -> bool:
            self.assert_running()
            return self.get("/health/ready")[0] == 200

        eventually(ready, timeout, describe="the worker to be ready")


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith("FLEETLOG_")}
