"""The hub under the benchmarks of commands, and the CPU time of its processes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import uvloop

from bench.support.process import cpu_seconds
from devstack import api_key
from devstack.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

PRODUCT: Final = "bench"
SERVICES: Final = ("registry", "ingest", "presence", "commands", "downlink", "api")
PARTITIONS: Final = 4


def with_hub(measure: Callable[[Stack, api_key.Access], Coroutine[Any, Any, dict[str, Any]]]) -> dict[str, Any]:
    """Return what is measured on a hub of its own, with the right to ask it anything."""
    with (
        tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as state,
        Stack(Path(state), services=SERVICES, partitions=PARTITIONS) as stack,
    ):
        stack.wait_ready()
        access = msgspec.json.decode(api_key.file(stack.state).read_bytes(), type=api_key.Access)
        return uvloop.run(measure(stack, access))


class Spent:
    """CPU seconds since now, of the hub's processes and the ``others`` by name."""

    def __init__(self, stack: Stack, **others: int) -> None:
        self.pids = {name: pid for name in ("kafka", "mosquitto", *SERVICES) if (pid := stack.pid(name))} | others
        self._before = {name: cpu_seconds(pid) for name, pid in self.pids.items()}

    def seconds(self) -> dict[str, float]:
        return {name: cpu_seconds(pid) - self._before[name] for name, pid in self.pids.items()}
