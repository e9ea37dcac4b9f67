"""One ledger of its own on the shared brokers, or a pair of them in one app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.integration.lane import app, pair
from tests.integration.lane.ledger import inbox
from tests.integration.lane.load import Load
from tests.integration.lane.process import Worker
from tests.integration.lane.topics import committed, ends
from tests.support.names import unique
from tests.support.polling import eventually

if TYPE_CHECKING:
    from pathlib import Path


class Scene:
    """Starts workers and loads, and ends what is left of them. ``names``: of its ledgers."""

    def __init__(self, bootstrap: str, directory: Path, *, two: bool = False) -> None:
        self.bootstrap, self.directory, self.service = bootstrap, directory, unique("ledger")
        self.names: tuple[str, ...] = (self.service, pair.second(self.service)) if two else (self.service,)
        self._module = (pair if two else app).__name__
        self._workers: list[Worker] = []
        self._loads: list[Load] = []

    def worker(self, name: str = "a", **settings: Any) -> Worker:
        """``settings`` as FLEETLOG_ variables, in lower case and without the prefix."""
        told = {"kafka_bootstrap": self.bootstrap, "service": self.service, **settings}
        worker = Worker(self._module, self.directory, name=name, **told)
        self._workers.append(worker)
        return worker

    def worker_after_worker(self, *names: str, **settings: Any) -> dict[str, Worker]:
        """Start workers in turn, so that each finds a group at rest; returns them ready, by name."""
        workers = {}
        for name in names:
            workers[name] = self.worker(name, **settings)
            workers[name].wait_ready()
        return workers

    def load(self, rate: int = 2000, accounts: int = 1000, name: str = "") -> Load:
        load = Load(self.bootstrap, name or self.service, rate, accounts)
        self._loads.append(load)
        return load

    def count(self, topic: str) -> int:
        """How many records the topic has taken."""
        return sum(ends(self.bootstrap, topic).values())

    def committed(self) -> dict[int, int]:
        return committed(self.bootstrap, self.service)

    def settle(self, *workers: Worker, timeout: float = 60) -> None:
        """Wait until the workers are ready and every inbox is committed to its end."""
        for worker in workers:
            worker.wait_ready()

        def nothing_left() -> bool:
            for worker in workers:
                worker.assert_running()
            for name in self.names:
                end, done = ends(self.bootstrap, inbox(name)), committed(self.bootstrap, name, self.service)
                assert end == done, f"{name}, offsets by partition: {done} committed of {end}"
            return True

        eventually(nothing_left, timeout, describe="the inboxes to be folded and committed")

    def close(self) -> None:
        for load in self._loads:
            load.stop()
        for worker in self._workers:
            worker.kill()
