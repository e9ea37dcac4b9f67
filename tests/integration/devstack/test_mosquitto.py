"""What the hub relies on in mosquitto as the dev stack configures it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from devstack.mosquitto import server
from devstack.ports import HOST, free_port
from devstack.supervisor import Supervisor
from tests.support import devices
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

ALLOWED = [
    "upload_data/p/d/climate/1",
    "upload_data/p/d/$shadow_updated/1",
    "update_status/p/d/1",
    "cmd_resp/p/d/blink/r1/1",
    "rpc_resp/p/d/blink/r1/1",
    "get/p/d/$ntp/1",
    "update_ota_status/p/d/1",
    "/shadow/p/d/update",
    "/shadow/update/p/d",
    "/sys/p/d/rrpc/response/1",
]
FORBIDDEN = [
    "upload_data/p/other/climate/1",
    "upload_data/other/d/climate/1",
    "upload_data/p/d/climate",
    "upload_data/p/d/climate/1/2",
    "cmd/p/d/blink/plain/r1",
    "m2m/p/other/d/1",  # only in products that allow it, and the guard writes those
    "$SYS/broker/log/N",
    "anything",
]
READABLE = [
    "cmd/p/d/blink/plain/r1",
    "cmd/p/d/blink/plain/r1/1700000000",
    "rpc/p/d/blink/plain/r1/1700000000",
    "/shadow/p/d/get",
    "/shadow/get/p/d",
    "/sys/p/d/rrpc/request/1",
    "a/p2p/p/d",
    "a/b/c/d/p2p/p/d",
]
UNREADABLE = [
    "m2m/p/d/other/1",
    "cmd/p/other/blink/plain/r1",
    "a/p2p/p/other",
    "tags/p/red/cmd/blink/plain/r1",
    "upload_data/p/d/climate/1",
]


class Broker:
    """mosquitto alone, as the stack configures it."""

    def __init__(self, directory: Path) -> None:
        self.device_port, self.internal_port = free_port(), free_port()
        self.supervisor = Supervisor(directory, print)
        log = directory / "mosquitto.log"
        listeners = server.Listeners(device=self.device_port, internal=self.internal_port)
        self._program = server.program(directory / "data", listeners, log)

    def start(self) -> None:
        self.supervisor.start(self._program)
        eventually(lambda: server.answers(self.internal_port), describe="mosquitto accepts connections")


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with tempfile.TemporaryDirectory(prefix="fleetlog-mosquitto-") as directory:
        running = Broker(Path(directory))
        running.start()
        yield running
        running.supervisor.close()


def test_a_device_publishes_what_the_protocol_lets_it(broker: Broker) -> None:
    with devices.subscribed(broker.internal_port, ["#"]) as received:
        devices.publish(broker.device_port, "p/d", [(topic, b"{}") for topic in [*ALLOWED, "update_status/p/d/last"]])
        found = [message.topic for message in received.until("update_status/p/d/last")]
    assert found == [*ALLOWED, "update_status/p/d/last"]


@pytest.mark.parametrize("topic", FORBIDDEN)
def test_a_device_publishes_nothing_else(broker: Broker, topic: str) -> None:
    # 2.0.11 acknowledges a forbidden publish and closes the connection
    with devices.subscribed(broker.internal_port, ["#"]) as received:
        devices.publish(broker.device_port, "p/d", [(topic, b"forbidden")])
        devices.publish(broker.device_port, "p/d", [("update_status/p/d/last", b"{}")])
        found = received.until("update_status/p/d/last")
    assert [message.topic for message in found] == ["update_status/p/d/last"]


def test_a_device_receives_what_is_for_it(broker: Broker) -> None:
    with devices.subscribed(broker.device_port, ["#"], "p/d") as received:
        topics = [*UNREADABLE, *READABLE]
        devices.publish(broker.internal_port, None, [(topic, b"{}") for topic in topics])
        assert [message.topic for message in received.until(READABLE[-1])] == READABLE


def test_a_device_without_a_user_name_is_refused(broker: Broker) -> None:
    with pytest.raises(ConnectionRefusedError, match="Not authorized"), devices.connected(broker.device_port, None):
        pass


def test_a_device_is_called_as_its_user_whatever_id_it_sends(broker: Broker) -> None:
    with devices.subscribed(broker.internal_port, ["$SYS/broker/log/N"]) as received:
        with devices.connected(broker.device_port, "p/d", client_id="p/other"):
            pass
        lines = [received.next().payload.decode()]
        while not lines[-1].endswith(": Client p/d disconnected."):
            lines.append(received.next().payload.decode())
    assert any(" as p/d (p2, c1, k30, u'p/d')." in line for line in lines)
    assert not any("p/other" in line for line in lines)


@pytest.mark.parametrize("ends_by", ["SIGTERM", "SIGKILL"])
def test_the_start_of_the_broker_reaches_a_session_that_outlived_it(tmp_path: Path, ends_by: str) -> None:
    """What ingest concludes from: after this line every earlier connection is closed."""
    broker = Broker(tmp_path)
    broker.start()
    try:
        leave_a_session(broker.internal_port, "$SYS/broker/log/#")
        saved = tmp_path / "data" / "mosquitto.db"
        eventually(lambda: saved.exists() and b"watcher" in saved.read_bytes(), describe="autosave has the session")
        if ends_by == "SIGTERM":
            broker.supervisor.stop("mosquitto")
            broker.start()
        else:
            broker.supervisor.kill("mosquitto", 9)
            eventually(lambda: broker.supervisor.restarts("mosquitto") == 1, describe="a restart")
            broker.start()
        lines = resume_session(broker.internal_port, ": mosquitto version 2.0.11 running")
        assert any(line.endswith(": mosquitto version 2.0.11 starting") for line in lines)
    finally:
        broker.supervisor.close()


def leave_a_session(port: int, topics: str) -> None:
    client = Client(CallbackAPIVersion.VERSION2, client_id="watcher", clean_session=False)
    inbox = devices.Inbox()
    client.on_message = lambda _client, _data, message: inbox.put(message)
    client.connect(HOST, port)
    client.loop_start()
    client.subscribe(topics, 1)
    inbox.next()  # its own line: the subscription stands
    client.disconnect()
    client.loop_stop()


def resume_session(port: int, end: str) -> list[str]:
    """The log lines that waited, up to the one with this end."""
    inbox = devices.Inbox()
    client = Client(CallbackAPIVersion.VERSION2, client_id="watcher", clean_session=False)
    client.on_message = lambda _client, _data, message: inbox.put(message)
    client.connect(HOST, port)
    client.loop_start()
    lines = [inbox.next().payload.decode()]
    while not lines[-1].endswith(end):
        lines.append(inbox.next().payload.decode())
    client.disconnect()
    client.loop_stop()
    return lines
