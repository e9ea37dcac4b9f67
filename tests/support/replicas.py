"""Several processes of ingest that share the shards of one plan, on one stack."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Self

from devstack.environment import process_environment
from devstack.ports import HOST, free_port
from devstack.supervisor import Program, Supervisor
from tests.support.polling import eventually

if TYPE_CHECKING:
    from types import TracebackType

    from devstack.stack import Stack

CHECKOUT = Path(__file__).parents[2]


class Replicas:
    """By name. What ends is started again, as an installation would do it."""

    def __init__(self, stack: Stack, directory: Path, told: dict[str, str]) -> None:
        self._stack, self._directory, self._told = stack, directory, told
        self._supervisor = Supervisor(directory, print)
        self._ports: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._supervisor.close()
        if error is not None:
            for log in sorted(self._directory.glob("*.log")):
                sys.stderr.write(f"--- {log.name}\n" + log.read_text(errors="replace")[-6000:])

    def start(self, name: str, **more: str) -> None:
        port = self._ports.setdefault(name, free_port(frozenset(self._ports.values())))
        told = self._stack.env("ingest") | {"FLEETLOG_INSTANCE_ID": "", "FLEETLOG_OPS_PORT": str(port)}
        self._supervisor.start(
            Program(
                name=name,
                command=(sys.executable, "-m", "services.ingest"),
                environment=process_environment(told | self._told | more),
                directory=CHECKOUT,
                log=self._directory / f"{name}.log",
            )
        )

    def stop(self, name: str) -> None:
        """In order; returns when it has ended."""
        self._supervisor.stop(name)

    def kill(self, name: str, number: int) -> None:
        self._supervisor.kill(name, number)

    def pid(self, name: str) -> int | None:
        return self._supervisor.pid(name)

    def exit_code(self, name: str) -> int | None:
        return self._supervisor.exit_code(name)

    def health(self, name: str) -> tuple[bool, str]:
        """Whether it is ready, and its reason."""
        try:
            with urllib.request.urlopen(f"{self._url(name)}/health/ready", timeout=2) as answer:
                verdict = json.load(answer)
        except urllib.error.HTTPError as error:
            verdict = json.load(error)
        except OSError as error:
            return False, str(error)
        return verdict["ok"], verdict["reason"]

    def metrics(self, name: str) -> dict[str, float]:
        """Samples of ingest, labels included, such as ``settled_total{account="produced",shard="0"}``."""
        with urllib.request.urlopen(f"{self._url(name)}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line.startswith("fleetlog_ingest"))
        return {sample.removeprefix("fleetlog_ingest_"): float(value) for sample, value in pairs}

    def held(self, name: str) -> set[int]:
        """Shards whose sessions are connected and subscribed; none where the process does not answer."""
        try:
            found = self.metrics(name)
        except OSError:
            return set()
        connected = {sample: value for sample, value in found.items() if sample.startswith("connected{")}
        return {int(sample.split('"')[1]) for sample, value in connected.items() if value}

    def holder(self, shard: int, *others: str) -> str:
        """The one of ``others`` that holds the shard, as soon as one does."""

        def found() -> str | None:
            return next((name for name in others if shard in self.held(name)), None)

        return eventually(found, 60, describe=f"one of {others} holds shard {shard}") or ""

    def _url(self, name: str) -> str:
        return f"http://{HOST}:{self._ports[name]}"


def assert_balanced(samples: dict[str, float], shard: int) -> None:
    """Received = all accounts + in flight."""
    label = f'shard="{shard}"'
    settled = [value for name, value in samples.items() if name.startswith("settled_total") and label in name]
    assert samples[f"received_total{{{label}}}"] == sum(settled) + samples[f"in_flight{{{label}}}"], samples
