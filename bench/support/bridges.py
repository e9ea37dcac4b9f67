"""The bridges that are compared, as processes: ingest, and the plain loop."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Self

import mqtt5

from bench.support.process import cpu_seconds
from devstack.environment import process_environment
from devstack.ports import HOST
from devstack.stack import CHECKOUT
from libs.topics import names

if TYPE_CHECKING:
    from types import TracebackType

    from devstack.stack import Stack

FILTER = "upload_data/#"
START_TIMEOUT = 30.0


class Bridge:
    """One bridge with a persistent MQTT session of its own; its name is also the product id of its messages.

    The session exists from `keep_session` to the end of the ``with``, so that a backlog can wait for the process.
    """

    def __init__(self, stack: Stack, name: str, command: tuple[str, ...], told: dict[str, str]) -> None:
        self.name = name
        self._stack, self._command, self._environment = stack, command, process_environment(told)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
        self._connect(keep=False)

    @property
    def pid(self) -> int:
        """Raises RuntimeError when the process has ended."""
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"{self.name} does not run; its log is in {self._stack.logs}")
        return self._process.pid

    def keep_session(self) -> None:
        """Make the session that the process will resume; from now on the broker keeps what is published for it."""
        self._connect(keep=True)

    def start(self) -> None:
        with (self._stack.logs / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=CHECKOUT, env=self._environment, stdout=log, stderr=log)

    def await_idle(self) -> float:
        """CPU seconds used once the process has nothing to do for half a second. Raises TimeoutError, RuntimeError."""
        pause, last, still = threading.Event(), -1.0, 0
        deadline = time.monotonic() + START_TIMEOUT
        while still < 5 or last < 0.1:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} does not come to rest")
            pause.wait(0.1)
            now = cpu_seconds(self.pid)
            still = still + 1 if now - last < 0.011 else 0
            last = now
        return last

    def kill(self) -> None:
        """``kill -9``; `start` begins the next process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _connect(self, *, keep: bool) -> None:
        """Begin the session anew, and leave it behind or not."""
        connect = mqtt5.ConnectPacket(self.name, clean_start=True, session_expiry_interval=3600 if keep else 0)
        filters = [mqtt5.TopicFilter(FILTER, max_qos=mqtt5.QoS.AT_LEAST_ONCE)]
        with socket.create_connection((HOST, self._stack.mqtt_internal_port), timeout=30) as connection:
            connection.sendall(connect.write())
            connection.recv(100)
            if keep:
                connection.sendall(mqtt5.SubscribePacket(1, filters).write())
                connection.recv(100)


def ingest(stack: Stack, name: str) -> Bridge:
    """Ingest with one shard, whose session has its number in the name."""
    told = stack.env("ingest") | {"FLEETLOG_CLIENT_ID": name, "FLEETLOG_OPS_PORT": "0"}
    return Bridge(stack, f"{name}-0", (sys.executable, "-m", "services.ingest"), told)


def plain(stack: Stack, name: str) -> Bridge:
    arguments = (HOST, str(stack.mqtt_internal_port), name, FILTER, stack.kafka, names.DEVICE_TELEMETRY)
    return Bridge(stack, name, (sys.executable, "-m", "bench.plain_bridge", *arguments), {})
