"""Connections of clients that nobody here wrote, as presence hears of them."""

from __future__ import annotations

import signal
import socket
import struct
import subprocess
from typing import TYPE_CHECKING, Any

import mqtt5
import pytest

from devstack.ports import HOST
from libs.topics import names
from libs.topics.identity import BROADCAST_KEY
from tests.support.devices import connected, publish
from tests.support.names import unique
from tests.support.polling import eventually
from tests.support.records import Record, read_all

if TYPE_CHECKING:
    from devstack.stack import Stack


def events(stack: Stack, device: str) -> list[dict[str, Any]]:
    found = read_all(stack.kafka, names.PRESENCE_INBOX, key=device.encode())
    return [record.message for record in found if record.message["type"] == "connection_observed"]


def await_events(stack: Stack, device: str, count: int) -> list[dict[str, Any]]:
    def enough() -> list[dict[str, Any]]:
        found = events(stack, device)
        assert len(found) >= count, found
        return found

    found = eventually(enough, 30, describe=f"{count} events of {device}")
    assert len(found) == count, found
    return found


def brief(found: list[dict[str, Any]]) -> list[tuple[str, str | None, bool, bool]]:
    return [(event["event"], event["reason"], event["goodbye"], event["takeover"]) for event in found]


CONNECT = ("connect", None, False, False)
GOODBYE = ("tcpclean", "disconnected", True, False)
GONE = ("tcpclean", "closed its connection", False, False)


def raw(port: int, client_id: str, user: str | None, keepalive: int = 30) -> socket.socket:
    """A bare MQTT 5 connection; the broker has answered."""
    connection = socket.create_connection((HOST, port), timeout=10)
    connection.sendall(mqtt5.ConnectPacket(client_id, username=user, keep_alive=keepalive, clean_start=True).write())
    connection.recv(100)
    return connection


def test_a_command_line_client_connects_and_says_goodbye(stack: Stack) -> None:
    device = f"{unique()}/d1"
    command = ("mosquitto_pub", "-h", HOST, "-p", str(stack.mqtt_port), "-u", device, "-q", "1")
    subprocess.run((*command, "-t", f"upload_data/{device}/t/m1", "-m", "{}"), check=True, timeout=20)
    opened, closed = await_events(stack, device, 2)
    assert brief([opened, closed]) == [CONNECT, GOODBYE]
    assert (opened["protocol"], opened["client_ip"], opened["source"]) == (4, HOST, "mosquitto:main")
    seconds, address = opened["channel_id"].split("-")
    assert int(seconds) * 1000 == opened["time"]
    assert address.startswith(f"{HOST}:")


def test_a_second_connection_takes_the_first_one_over(stack: Stack) -> None:
    device = f"{unique()}/d1"
    with raw(stack.mqtt_port, "a", device):
        with connected(stack.mqtt_port, device):
            pass
        found = await_events(stack, device, 4)
    assert brief(found) == [
        CONNECT,
        ("tcpclean", "already connected, closing old connection", False, True),
        CONNECT,
        GOODBYE,
    ]
    assert found[0]["channel_id"] != found[2]["channel_id"]


def test_a_reset_and_a_silent_client_end_their_channels(stack: Stack) -> None:
    reset, silent = f"{unique()}/d1", f"{unique()}/d1"
    quiet = raw(stack.mqtt_port, "a", silent, keepalive=1)
    loud = raw(stack.mqtt_port, "b", reset)
    loud.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    loud.close()
    assert brief(await_events(stack, reset, 2)) == [CONNECT, GONE]
    with quiet:
        assert brief(await_events(stack, silent, 2)) == [
            CONNECT,
            ("tcpclean", "has exceeded timeout, disconnecting", False, False),
        ]


def test_a_denied_publish_ends_the_connection_and_is_seen(stack: Stack) -> None:
    device = f"{unique()}/d1"
    with raw(stack.mqtt_port, "a", device) as connection:
        connection.sendall(mqtt5.PublishPacket("upload_data/other/d1/t/m", b"").write())
        found = await_events(stack, device, 2)
    assert [event["event"] for event in found] == ["connect", "tcpclean"]


def test_no_user_name_and_no_client_id_can_speak_for_another_device(stack: Stack) -> None:
    victim = f"{unique('victim')}/d1"
    forged = (
        f"{victim} disconnected.",
        f"{victim} (p2, c1, k10, u'{victim}').",
        f"{victim} closed its connection. x",
        f"x as {victim} (p2, c1, k10, u'{victim}').",
        f"{victim}é",
        f"{victim}/x",
    )
    with connected(stack.mqtt_port, victim):
        for user in forged:
            raw(stack.mqtt_port, "a", user).close()
        raw(stack.mqtt_port, f"{unique('victim')}/never-connected", None).close()  # refused: no user name
        publish(stack.mqtt_port, f"{unique()}/witness", [])
    assert brief(await_events(stack, victim, 2)) == [CONNECT, GOODBYE]

    def refused() -> bool:
        found = [record.message for record in read_all(stack.kafka, names.dead_letters("ingest"))]
        mine = [m for m in found if m["reason"] == "invalid_client" and m["received_at"] >= started(stack, victim)]
        assert len(mine) >= 2 * len(forged), len(mine)  # its connect and its close
        return True

    eventually(refused, 30)


def started(stack: Stack, device: str) -> int:
    """When the first event of the device was written."""
    return int(events(stack, device)[0]["ingested_at"])


def test_a_refused_connect_does_not_close_the_device_that_it_names(stack: Stack) -> None:
    """The broker logs the client id that came without a user name; it may be anybody's."""
    named, witness = f"{unique('named')}/d1", f"{unique()}/witness"
    raw(stack.mqtt_port, named, None).close()
    publish(stack.mqtt_port, witness, [])
    await_events(stack, witness, 2)
    assert events(stack, named) == []


def starts(stack: Stack) -> list[Record]:
    """Every start of the source that was told, once per partition."""
    found = read_all(stack.kafka, names.PRESENCE_INBOX, key=BROADCAST_KEY)
    assert all(record.partition == record.message["partition"] for record in found)
    return [record for record in found if record.message["type"] == "source_started"]


def places(records: list[Record]) -> set[tuple[int, int]]:
    return {(record.partition, record.offset) for record in records}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_of_the_broker_is_told_to_every_partition_before_what_follows(
    stack: Stack, number: signal.Signals
) -> None:
    device = f"{unique()}/d1"
    known, process = places(starts(stack)), stack.pid("mosquitto")
    with raw(stack.mqtt_port, "a", device):
        await_events(stack, device, 1)
        stack.kill("mosquitto", number)
        eventually(lambda: stack.pid("mosquitto") not in {None, process}, 30)
    stack.wait_ready()
    with connected(stack.mqtt_port, device):
        await_events(stack, device, 2)
    told = [record for record in starts(stack) if not places([record]) & known]
    assert {record.partition for record in told} == set(range(stack.partitions))
    first, second, *_ = (
        record
        for record in read_all(stack.kafka, names.PRESENCE_INBOX, key=device.encode())
        if record.message["type"] == "connection_observed"
    )
    between = [r for r in told if r.partition == first.partition and first.offset < r.offset < second.offset]
    assert between
    assert first.message["time"] <= between[-1].message["time"] <= second.message["time"]


def test_a_device_is_marked_as_active_at_most_once_in_30_seconds(stack: Stack) -> None:
    device = f"{unique()}/d1"
    publish(stack.mqtt_port, device, [(f"upload_data/{device}/t/m{n}", b"{}") for n in range(20)])
    await_events(stack, device, 2)
    inbox = read_all(stack.kafka, names.PRESENCE_INBOX, key=device.encode())
    assert [record.message["type"] for record in inbox].count("traffic_seen") == 1
