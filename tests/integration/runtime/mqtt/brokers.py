"""Two real brokers that have nothing in common: mosquitto and, embedded in a class of forty lines, HiveMQ CE."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Self

from devstack.kafka.jars import java
from devstack.mosquitto.server import answers, find
from devstack.ports import HOST, free_port
from tests.support.polling import eventually

if TYPE_CHECKING:
    from types import TracebackType

HERE = Path(__file__).parent
CACHE = HERE.parents[3] / ".cache" / "hivemq-2025.5"
JVM = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
LARGEST = 100_000
"""Bytes of a packet that the brokers take."""
START, FETCH = 90.0, 600.0
"""Seconds; a busy machine starts a JVM in 20."""


class Broker(ABC):
    """A broker on a port of its own, which keeps its sessions over a restart.

    As a context manager: started, and ended at the end.
    """

    def __init__(self, directory: Path) -> None:
        self.directory, self.port = directory, free_port()
        self.name = ""
        """Client id of the session under test, and first level of its topics."""
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> tuple[str, ...]:
        """Write the configuration; returns what runs the broker."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(signal.SIGKILL)

    def start(self) -> None:
        with (self.directory / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(self.command(), cwd=self.directory, stdout=log, stderr=log)
        eventually(lambda: answers(self.port), START, describe=f"{type(self).__name__} on port {self.port}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(START)
            self._process = None


class Mosquitto(Broker):
    def command(self) -> tuple[str, ...]:
        program = find()
        assert program is not None
        (self.directory / "mosquitto.conf").write_text(
            f"user root\nlistener {self.port} {HOST}\nallow_anonymous true\nset_tcp_nodelay true\n"
            f"max_queued_messages 0\nmax_inflight_messages 0\nmax_packet_size {LARGEST}\n"
            f"persistence true\npersistence_location {self.directory}/\n"
        )
        return (program, "-c", str(self.directory / "mosquitto.conf"))


class HiveMQ(Broker):
    def command(self) -> tuple[str, ...]:
        conf = self.directory / "conf"
        conf.mkdir(exist_ok=True)
        (conf / "config.xml").write_text(
            f"<hivemq><listeners><tcp-listener><port>{self.port}</port><bind-address>{HOST}</bind-address>"
            "</tcp-listener></listeners><mqtt><receive-maximum><server-receive-maximum>1000</server-receive-maximum>"
            f"</receive-maximum><packets><max-packet-size>{LARGEST}</max-packet-size></packets></mqtt>"
            "<anonymous-usage-statistics><enabled>false</enabled></anonymous-usage-statistics></hivemq>"
        )
        for folder in ("data", "extensions"):
            (self.directory / folder).mkdir(exist_ok=True)
        return (java(), *JVM, "-cp", f"{_hivemq()}/*", str(HERE / "HiveMQ.java"), str(self.directory))


def _hivemq() -> Path:
    """The directory of its jars, fetched once by Maven."""
    if not CACHE.exists():
        maven = shutil.which("mvn")
        assert maven is not None, "the second broker of these tests is fetched by mvn: e.g. `apt-get install maven`"
        CACHE.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE.parent) as fresh:
            jars = Path(fresh) / "jars"
            goal = ("dependency:copy-dependencies", f"-DoutputDirectory={jars}")
            command = (maven, "--quiet", "--batch-mode", "--file", str(HERE / "hivemq.xml"), *goal)
            subprocess.run(command, check=True, capture_output=True, timeout=FETCH)
            jars.rename(CACHE)  # only a complete set ever stands there
    return CACHE
