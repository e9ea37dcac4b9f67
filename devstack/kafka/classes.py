"""Kafka's classes, loaded and verified once and mapped by every start after that.

A broker starts in less than half of the time with them (class data sharing, JEP 350), and a test session starts many.
"""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from pathlib import Path

import msgspec

from devstack.errors import StackError
from devstack.kafka import jars, server
from devstack.ports import HOST, free_port
from devstack.supervisor import Supervisor

START_TIMEOUT = 120.0
POLL = 0.1
"""Seconds."""


def ensure() -> None:
    """Let a broker that starts and ends write down the classes that it loaded; once for these jars and this Java.

    Raises `StackError` where the jars are missing, or where the broker does not start.
    """
    directory = jars.ensure()
    if _fit(directory):
        return
    print("fleetlog: keeping Kafka's classes for quicker starts (ten seconds, once)", flush=True)
    server.classes(directory).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix="kafka-classes-") as scratch:
        fresh = Path(scratch) / "classes.jsa"
        _rehearse(Path(scratch), fresh)
        if fresh.exists():
            fresh.replace(server.classes(directory))  # only a complete one ever stands there
        else:
            print("fleetlog: this Java keeps no classes; Kafka starts without them", flush=True)


def _fit(directory: Path) -> bool:
    """Whether there are classes and the JVM takes them: not those of another Java or of other jars."""
    kept = server.classes(directory)
    if not kept.exists():
        return False
    use = ("-Xshare:on", f"-XX:SharedArchiveFile={kept}", "-cp", f"{directory}/*", "--dry-run", "kafka.Kafka")
    return subprocess.run((jars.java(), *use), check=False, capture_output=True, timeout=30).returncode == 0


def _rehearse(directory: Path, classes: Path) -> None:
    """Run a broker until it answers; as it ends it writes ``classes``."""
    port, log = free_port(), directory / "kafka.log"
    program = server.program(directory, port, free_port(), {}, log)
    java, *arguments = program.command
    supervisor = Supervisor(directory, lambda _: None)
    try:
        supervisor.start(
            msgspec.structs.replace(program, command=(java, f"-XX:ArchiveClassesAtExit={classes}", *arguments))
        )
        deadline, pause = time.monotonic() + START_TIMEOUT, threading.Event()
        while not server.answers(f"{HOST}:{port}"):
            if time.monotonic() > deadline:
                raise StackError(f"Kafka did not start:\n{log.read_text(errors='replace')[-2000:]}")
            pause.wait(POLL)
        supervisor.stop(program.name)
    finally:
        supervisor.close()
