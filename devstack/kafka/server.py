"""One real Kafka broker, KRaft, combined mode, on loopback."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from devstack.errors import StackError
from devstack.kafka import jars
from devstack.ports import HOST
from devstack.supervisor import Program

if TYPE_CHECKING:
    from collections.abc import Mapping

CLUSTER = "fleetlogDevStackClusterA"
"""22 characters or more of URL-safe base64: the form that Kafka gives cluster ids."""

LOG4J = Path(__file__).with_name("log4j2.properties")
PROBE = "devstack-probe"
"""A group that never exists."""

HEAP = ("-Xmx512m", "-XX:+UseSerialGC", "-Djava.awt.headless=true")


def properties(directory: Path, port: int, controller_port: int, extra: Mapping[str, str]) -> str:
    """The text of ``server.properties``. ``extra`` replaces or adds settings (SASL, TLS, more listeners)."""
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "log.dirs": str(directory / "log"),
        # topics come from the catalog alone
        "auto.create.topics.enable": "false",
        # a single broker can neither replicate nor profit from many partitions of internal topics
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        # a test's consumer waits for nobody
        "group.initial.rebalance.delay.ms": "0",
        # 128 MB of a 512 MB heap otherwise
        "log.cleaner.dedupe.buffer.size": "16777216",
    }
    return "".join(f"{key}={value}\n" for key, value in (settings | dict(extra)).items())


def classes(cache: Path) -> Path:
    """Where `devstack.kafka.classes` keeps them, beside the jars."""
    return cache / "classes.jsa"


def _quick_start(cache: Path) -> tuple[str, ...]:
    """Options of java. It passes over classes that do not fit, and says nothing of that."""
    kept = classes(cache)
    return (f"-XX:SharedArchiveFile={kept}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off") if kept.exists() else ()


def prepare(directory: Path, port: int, controller_port: int, extra: Mapping[str, str]) -> tuple[str, ...]:
    """Write the configuration, format the log directory the first time; returns the command that runs the broker."""
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / "server.properties"
    config.write_text(properties(directory, port, controller_port, extra))
    cache = jars.ensure()
    java = (jars.java(), *HEAP, *_quick_start(cache), f"-Dlog4j2.configurationFile={LOG4J}", "-cp", f"{cache}/*")
    if not (directory / "log" / "meta.properties").exists():
        tool = ("kafka.tools.StorageTool", "format", "--config", str(config), "--cluster-id", CLUSTER)
        done = subprocess.run((*java, *tool), check=False, capture_output=True, text=True, timeout=60, cwd=directory)
        if done.returncode != 0:
            raise StackError(f"Kafka could not format {directory / 'log'}:\n{done.stdout}{done.stderr}")
    return (*java, "kafka.Kafka", str(config))


def program(directory: Path, port: int, controller_port: int, extra: Mapping[str, str], log: Path) -> Program:
    return Program(
        name="kafka",
        command=prepare(directory, port, controller_port, extra),
        environment=dict(os.environ),
        directory=directory,
        log=log,
        patience=30.0,
    )


def answers(bootstrap: str) -> bool:
    """Whether a group could be joined now: the first question about one makes the broker set up its coordinator."""
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0, "socket.timeout.ms": 2000})
    try:
        if not client.list_topics(timeout=2).brokers:
            return False
        client.describe_consumer_groups([PROBE], request_timeout=2)[PROBE].result()
    except KafkaException:
        return False
    return True
