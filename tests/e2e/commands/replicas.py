"""A second process of a service, beside the stack's own or in its place."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import urllib.request
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devstack.environment import process_environment
from devstack.ports import HOST, free_port
from devstack.readiness import is_ready
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from devstack.stack import Stack

CHECKOUT: Final = Path(__file__).parents[3]
PATIENCE: Final = 60.0


class Replica:
    """A process that is at work; ``ops``: where its health and metrics are."""

    def __init__(self, process: subprocess.Popen[bytes], ops: str) -> None:
        self.process, self.ops = process, ops

    async def end(self, number: int) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return await asyncio.to_thread(self.process.wait, PATIENCE)


@asynccontextmanager
async def replica(stack: Stack, service: str, **told: str) -> AsyncIterator[Replica]:
    """Start one more process of a service; it is killed at the end. ``told``: settings of its own, by their names.

    One without the name of a replica leaves its group when it ends; what a named one has is kept for it for a while.
    """
    made = _started(stack, service, told)
    try:
        await asyncio.to_thread(eventually, lambda: is_ready(made.ops), PATIENCE, describe=f"another {service} at work")
        yield made
    finally:
        made.process.kill()
        made.process.wait()


def _started(stack: Stack, service: str, told: Mapping[str, str]) -> Replica:
    port = free_port()
    environment = stack.env(service) | {"FLEETLOG_OPS_PORT": str(port)}
    environment |= {f"FLEETLOG_{name.upper()}": value for name, value in told.items()}
    with (stack.logs / f"{service}-of-test.log").open("ab") as log:
        process = subprocess.Popen(
            (sys.executable, "-m", f"services.{service}"),
            cwd=CHECKOUT,
            env=process_environment(environment),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    return Replica(process, f"http://{HOST}:{port}")


def metric(ops: str, name: str) -> float:
    """The sum of all samples of a metric whose text begins so, labels included."""
    with urllib.request.urlopen(f"{ops}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))
