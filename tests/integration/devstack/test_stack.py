from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from devstack import processes
from devstack.errors import StackError
from devstack.places import BROKERS
from devstack.ports import HOST, Ports, free_port
from devstack.stack import Stack
from libs.topics.catalog import TOPICS
from tests.support import clickhouse, records

CHECKOUT = Path(__file__).parents[3]
LISTEN = "0A"
"""State of a listening socket in /proc/net/tcp."""


def listening(pids: set[int]) -> list[tuple[str, int]]:
    """(address as in /proc/net, port) of every TCP socket on which one of the processes listens."""
    inodes = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN and fields[9] in inodes:
                address, port = fields[1].split(":")
                found.append((address, int(port, 16)))
    return found


LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F"}
"""127.0.0.1, plain and as seen by a socket that also speaks IPv6 (Java's)."""


def test_a_stack_starts_twice_in_one_directory_and_leaves_nothing(tmp_path: Path) -> None:
    with Stack(tmp_path, services=()) as stack:
        first = (stack.kafka, stack.mqtt_port, stack.mqtt_internal_port, stack.clickhouse_url)
        records.create_topic(stack.kafka, "kept")
        records.produce(stack.kafka, "kept", [(b"k", b'{"n":1}')])
        with clickhouse.client(stack.clickhouse_url) as client:
            client.command("CREATE TABLE kept (n UInt8) ENGINE = MergeTree ORDER BY n")
        assert sorted(processes.find(tmp_path).values()) == sorted(BROKERS)
    assert processes.find(tmp_path) == {}

    # the second time with another Kafka listener, as tests of SASL and TLS need it
    port = free_port()
    with Stack(tmp_path, services=(), kafka_properties=one_more_listener(tmp_path, port)) as stack:
        assert (stack.kafka, stack.mqtt_port, stack.mqtt_internal_port, stack.clickhouse_url) == first
        for bootstrap in (stack.kafka, f"{HOST}:{port}"):
            assert [record.message for record in records.read_all(bootstrap, "kept")] == [{"n": 1}]
        with clickhouse.client(stack.clickhouse_url) as client:
            assert client.command("EXISTS TABLE kept") == 1
    assert processes.find(tmp_path) == {}


def one_more_listener(state: Path, port: int) -> dict[str, str]:
    ports = Ports(state / "ports.json", in_use=True)
    plain, controller = f"PLAINTEXT://{HOST}:{ports.claim('kafka')}", f"{HOST}:{ports.claim('kafka-controller')}"
    return {
        "listeners": f"{plain},CONTROLLER://{controller},MORE://{HOST}:{port}",
        "advertised.listeners": f"{plain},MORE://{HOST}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,MORE:PLAINTEXT",
    }


def test_everything_listens_on_loopback_below_the_ephemeral_ports(brokers: Stack) -> None:
    sockets = listening(set(processes.find(brokers.state)))
    assert len(sockets) >= 5
    assert {address for address, _ in sockets} <= LOOPBACK
    assert all(port < 32_768 for _, port in sockets)


def test_properties_that_kafka_refuses_are_reported_in_its_words(tmp_path: Path) -> None:
    with pytest.raises(
        StackError, match=r"Kafka could not format (.*\n)+.*Unable to parse nonsense to a broker endpoint"
    ):
        Stack(tmp_path, services=(), kafka_properties={"advertised.listeners": "nonsense"}).start()
    assert processes.find(tmp_path) == {}


def test_a_broker_that_does_not_start_is_reported_with_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devstack.stack.START_TIMEOUT", 6.0)
    stack = Stack(tmp_path, services=())
    with socket.create_server((HOST, int(stack.kafka.rpartition(":")[2]))):  # claimed, then taken by somebody else
        with pytest.raises(StackError, match=r"kafka was not ready within 6 s; the end of .*/kafka\.log:\n"):
            stack.start()
        assert processes.find(tmp_path) == {}


def test_topics_exist_and_creating_them_again_changes_nothing(brokers: Stack) -> None:
    admin = AdminClient({"bootstrap.servers": brokers.kafka})

    def partitions() -> dict[str, int]:
        return {name: len(topic.partitions) for name, topic in admin.list_topics(timeout=10).topics.items()}

    before = partitions()
    brokers.create_topics()
    assert {topic.name: before[topic.name] for topic in TOPICS} == {
        topic.name: topic.partitions or brokers.partitions for topic in TOPICS
    }
    assert partitions().items() >= before.items()


def test_a_test_session_leaves_no_process(tmp_path: Path) -> None:
    test = "tests/integration/devstack/test_brokers.py::test_clickhouse_answers_with_its_own_version"
    done = subprocess.run(
        (sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", f"--basetemp={tmp_path / 'pytest'}", test),
        cwd=CHECKOUT,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path), "HOME": str(Path.home())},
        check=False,
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert list(tmp_path.glob("fleetlog-tests-*")) == []
    assert [state for _, state, _ in processes.marked() if state.is_relative_to(tmp_path)] == []
