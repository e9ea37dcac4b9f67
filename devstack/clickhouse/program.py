"""The embedded ClickHouse as a program of the stack."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

from devstack.supervisor import Program

CHECKOUT = Path(__file__).parents[2]


def program(directory: Path, port: int, log: Path) -> Program:
    directory.mkdir(parents=True, exist_ok=True)
    return Program(
        name="clickhouse",
        command=(sys.executable, "-m", "devstack.clickhouse", "--path", str(directory), "--port", str(port)),
        environment={**os.environ, "PYTHONUNBUFFERED": "1"},
        directory=CHECKOUT,
        log=log,
        patience=30.0,
    )


def answers(url: str) -> bool:
    """Whether the engine's server is up: it listens only when the path is open."""
    try:
        with urllib.request.urlopen(f"{url}/ping", timeout=2) as response:  # noqa: S310 - our own http URL
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
