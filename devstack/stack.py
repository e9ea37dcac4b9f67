"""The whole stack on one machine: Kafka, mosquitto, ClickHouse and the hub's services, supervised, on loopback."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from devstack import api_key
from devstack.clickhouse import program as clickhouse
from devstack.environment import process_environment
from devstack.errors import StackError
from devstack.kafka import server as kafka
from devstack.mosquitto import server as mosquitto
from devstack.places import BROKERS, PARTITIONS, SERVICES, Choice, Places
from devstack.ports import Ports
from devstack.supervisor import Program, Supervisor, describe_exit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

__all__ = ["SERVICES", "Stack"]

CHECKOUT = Path(__file__).parents[1]
START_TIMEOUT = 120.0
"""Seconds; a busy machine starts a JVM in 20, and six services in 60."""
POLL = 0.1


class Stack(Places):
    """Start with ``with`` or `start`; everything ends with `stop` or with the process that started it.

    ``state`` keeps data, ports and logs between runs. ``kafka_properties`` are added to Kafka's configuration.
    With ``guard`` among the services, devices need credentials; with ``tls`` they may come by TLS and WebSocket too.
    """

    def __init__(
        self,
        state: Path,
        services: Sequence[str] = SERVICES,
        partitions: int = PARTITIONS,
        kafka_properties: Mapping[str, str] | None = None,
        *,
        tls: bool = False,
    ) -> None:
        state = state.absolute()
        super().__init__(state, Choice(tuple(services), tls), partitions, Ports(state / "ports.json"))
        self.logs.mkdir(parents=True, exist_ok=True)
        self._kafka_properties = dict(kafka_properties or {})
        self._supervisor: Supervisor | None = None

    # -- start and stop

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start brokers, create topics, start services; returns when all are ready. Raises `StackError`."""
        if self._supervisor is not None:
            raise StackError("the stack runs already")
        self._begin_logs()
        Choice.file(self.state).write_bytes(msgspec.json.encode(self.choice))
        self._supervisor = Supervisor(self.state, self._report)
        try:
            for program in self._brokers():
                self._supervisor.start(program)
            self._await(BROKERS, START_TIMEOUT)
            if self.services:
                self.create_topics()
            for service in self.services:
                self.start_service(service)
            self._await(self.services, START_TIMEOUT)
            if {"registry", "api"} <= set(self.services):
                api_key.ensure(self)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop services, then brokers; returns when nothing runs."""
        if self._supervisor is not None:
            supervisor, self._supervisor = self._supervisor, None
            try:
                supervisor.stop(*(name for name in supervisor.names() if name not in BROKERS))
            finally:
                supervisor.close()
        self._ports.release()

    def create_topics(self) -> None:
        """Create the topics of the catalog that are missing."""
        done = subprocess.run(
            (sys.executable, "-m", "services.topics"),
            check=False,
            cwd=CHECKOUT,
            env=process_environment(self.env("topics")),
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT,
        )
        (self.logs / "topics.log").write_text(done.stdout + done.stderr)
        if done.returncode != 0:
            raise StackError(f"the topics could not be created:\n{done.stdout}{done.stderr}")

    def wait_ready(self, timeout: float = START_TIMEOUT) -> None:
        """Return when every started program is ready. Raises `StackError`, with the end of its log, when one is not."""
        self._await(self._running().names(), timeout)

    # -- single programs

    def start_service(self, service: str) -> None:
        """Start it, and start it again whenever it ends (unless it refuses its settings). Does not wait."""
        self._running().start(
            Program(
                name=service,
                command=(sys.executable, "-m", f"services.{service}"),
                environment=process_environment(self.env(service)),
                directory=CHECKOUT,
                log=self.logs / f"{service}.log",
            )
        )

    def stop_service(self, service: str) -> None:
        """Stop a service or a broker and leave it stopped; returns when it has ended."""
        self._running().stop(service)

    def start_mosquitto(self) -> None:
        """Start the broker again that `stop_service` has stopped. Does not wait."""
        self._running().start(self._mosquitto())

    def kill(self, name: str, number: int) -> None:
        """Send a signal to a service, "kafka", "mosquitto" or "clickhouse"; what ends is started again."""
        self._running().kill(name, number)

    def pid(self, name: str) -> int | None:
        """Process id; None while it waits for its restart."""
        return self._running().pid(name)

    def restarts(self, name: str) -> int:
        """How often it was started again."""
        return self._running().restarts(name)

    # -- inside

    def _brokers(self) -> tuple[Program, ...]:
        controller = self._ports.claim("kafka-controller")
        log = self.logs / "kafka.log"
        return (
            kafka.program(self.state / "kafka", self._ports.claim("kafka"), controller, self._kafka_properties, log),
            self._mosquitto(),
            clickhouse.program(
                self.state / "clickhouse", self._ports.claim("clickhouse"), self.logs / "clickhouse.log"
            ),
        )

    def _mosquitto(self) -> Program:
        directory, log = self.state / "mosquitto", self.logs / "mosquitto.log"
        return mosquitto.program(directory, self._listeners(), log, guarded=self.choice.guarded)

    def _listeners(self) -> mosquitto.Listeners:
        secure = None
        if self.choice.tls:
            secure = mosquitto.Secure(
                tls=self.mqtt_tls_port,
                websocket=self.mqtt_websocket_port,
                websocket_tls=self.mqtt_websocket_tls_port,
                certificates=self.certificates,
            )
        return mosquitto.Listeners(device=self.mqtt_port, internal=self.mqtt_internal_port, secure=secure)

    def _running(self) -> Supervisor:
        if self._supervisor is None:
            raise StackError("the stack does not run")
        return self._supervisor

    def _begin_logs(self) -> None:
        """Each start begins new logs and keeps those of the start before as ``*.log.1``."""
        for log in self.logs.glob("*.log"):
            if log.name != "supervisor.log":
                log.rename(log.with_suffix(".log.1"))

    def _report(self, sentence: str) -> None:
        with (self.logs / "stack.log").open("a") as log:
            log.write(f"{datetime.now(UTC):%H:%M:%S} {sentence}\n")

    def _await(self, names: Sequence[str], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        pause = threading.Event()
        for name in names:
            while not self.is_ready(name):
                supervisor = self._running()
                if supervisor.is_given_up(name):
                    raise StackError(f"{name} {describe_exit(supervisor.exit_code(name))}{self._end_of_log(name)}")
                if time.monotonic() > deadline:
                    raise StackError(f"{name} was not ready within {timeout:.0f} s{self._end_of_log(name)}")
                pause.wait(POLL)

    def _end_of_log(self, name: str, lines: int = 15) -> str:
        file = self.logs / f"{name}.log"
        if not file.exists():
            return ""
        end = file.read_text(errors="replace").splitlines()[-lines:]
        return f"; the end of {file}:\n" + "\n".join(f"  {line}" for line in end)
