"""One ledger of its own on the shared brokers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.integration.lane.ledger import inbox
from tests.integration.lane.load import Load
from tests.integration.lane.process import Worker
from tests.integration.lane.topics import committed, ends
from tests.support.names import unique
from tests.support.polling import eventually

if TYPE_CHECKING:
    from pathlib import Path


class Scene:
    """Starts workers and loads, and ends what is left of them."""

    def __init__(self, bootstrap: str, directory: Path) -> None:
        self.bootstrap, self.directory, self.service = bootstrap, directory, unique("ledger")
        self._workers: list[Worker] = []
        self._loads: list[Load] = []

    def worker(self, name: str = "a", **settings: Any) -> Worker:
        """``settings`` as FLEETLOG_ variables, in lower case and without the prefix."""
        worker = Worker(self.bootstrap, self.service, self.directory, name=name, **settings)
        self._workers.append(worker)
        return worker

    def worker_after_worker(self, *names: str, **settings: Any) -> dict[str, Worker]:
        """Start workers in turn, so that each finds a group at rest; returns them ready, by name."""
        workers = {}
        for name in names:
            workers[name] = self.worker(name, **settings)
            workers[name].wait_ready()
        return workers

    def load(self, rate: int = 2000, accounts: int = 1000) -> Load:
        load = Load(self.bootstrap, self.service, rate, accounts)
        self._loads.append(load)
        return load

    def count(self, topic: str) -> int:
        """How many records the topic has taken."""
        return sum(ends(self.bootstrap, topic).values())

    def committed(self) -> dict[int, int]:
        return committed(self.bootstrap, self.service)

    def settle(self, *workers: Worker, timeout: float = 60) -> None:
        """Wait until the workers are ready and the whole inbox is committed."""
        for worker in workers:
            worker.wait_ready()

        def nothing_left() -> bool:
            for worker in workers:
                worker.assert_running()
            end, done = ends(self.bootstrap, inbox(self.service)), self.committed()
            assert end == done, f"offsets by partition: {done} committed of {end}"
            return True

        eventually(nothing_left, timeout, describe="the inbox to be folded and committed")

    def close(self) -> None:
        for load in self._loads:
            load.stop()
        for worker in self._workers:
            worker.kill()
