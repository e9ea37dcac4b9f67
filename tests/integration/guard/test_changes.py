"""What a change in the registry does to those who are connected, and what the guard's own end does not."""

from __future__ import annotations

import signal
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from libs.topics import names
from tests.support import devices, records
from tests.support.guarded import await_entry, await_refusal, lets_in
from tests.support.names import unique
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from paho.mqtt.client import Client

    from bench.support.documents import Documents
    from devstack.stack import Stack

SECRET, NEW = "correct-horse", "battery-staple"
CROWD = 5_000


@pytest.fixture
def product(documents: Documents) -> str:
    name = unique("p")
    documents.product(name)
    return name


def metric(stack: Stack, name: str) -> float:
    with urllib.request.urlopen(stack.ops_url("guard") + "/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"fleetlog_{name}"))


def cut(client: Client) -> None:
    eventually(lambda: not client.is_connected(), describe="the connection is cut")


HARM: list[Callable[[Path], object]] = [Path.unlink, lambda file: file.write_bytes(b"user\n"), lambda f: f.chmod(0o666)]


def put_right(file: Path, content: bytes) -> None:
    def right() -> bool:
        return file.exists() and file.read_bytes() == content and file.stat().st_mode & 0o777 == 0o600

    eventually(right, describe=f"{file.name} is put right")


def test_a_disabled_device_is_cut_and_stays_out_until_it_is_enabled(
    guarded: Stack, documents: Documents, product: str
) -> None:
    ways: list[tuple[str, int, devices.Transport, str | None]] = [
        ("tcp", guarded.mqtt_port, "tcp", None),
        ("tls", guarded.mqtt_tls_port, "tcp", guarded.certificates.authority),
        ("ws", guarded.mqtt_websocket_port, "websockets", None),
    ]
    for name, port, transport, authority in ways:
        user = f"{product}/{name}"
        documents.device(product, name, SECRET)
        documents.device(product, f"{name}-stays", SECRET)
        await_entry(guarded, user, SECRET)
        with (
            devices.connected(port, f"{user}-stays", SECRET, transport=transport, authority=authority) as other,
            devices.connected(port, user, SECRET, transport=transport, authority=authority) as client,
        ):
            client.reconnect_delay_set(60, 60)
            documents.device(product, name, SECRET, enabled=False)
            cut(client)
            assert other.is_connected()
        assert not lets_in(guarded.mqtt_port, user, SECRET)
        documents.device(product, name, SECRET)
        await_entry(guarded, user, SECRET)


def test_during_its_grace_the_old_secret_is_in_force_and_then_the_new_one(
    guarded: Stack, documents: Documents, product: str
) -> None:
    documents.device(product, "d", SECRET)
    await_entry(guarded, f"{product}/d", SECRET)
    documents.device(product, "d", NEW, old=SECRET)
    documents.device(product, "next", SECRET)
    await_entry(guarded, f"{product}/next", SECRET)
    assert lets_in(guarded.mqtt_port, f"{product}/d", SECRET)
    documents.device(product, "d", NEW)
    await_entry(guarded, f"{product}/d", NEW)
    assert not lets_in(guarded.mqtt_port, f"{product}/d", SECRET)


@pytest.mark.parametrize("again_at_once", [False, True], ids=["later", "at once"])
def test_what_waited_for_a_deleted_device_never_reaches_a_later_one_of_its_name(
    guarded: Stack, documents: Documents, product: str, again_at_once: bool
) -> None:
    user, ended = f"{product}/d", metric(guarded, "guard_sessions_ended_total")
    documents.device(product, "d", SECRET)
    await_entry(guarded, user, SECRET)
    with devices.connected(guarded.mqtt_port, user, SECRET, lasting=True) as client:
        client.subscribe("cmd/#", 1)
        client.publish(f"update_status/{user}/1", b"{}", 1).wait_for_publish(devices.TIMEOUT)
    devices.publish(guarded.mqtt_internal_port, None, [(f"cmd/{user}/unlock/plain/r1", b"for the old one")])
    documents.delete_device(product, "d")
    if not again_at_once:
        await_refusal(guarded, user, SECRET)
    documents.device(product, "d", NEW, created_at=2)
    eventually(lambda: metric(guarded, "guard_sessions_ended_total") == ended + 1, describe="the session has ended")
    await_entry(guarded, user, NEW)

    inbox = devices.Inbox()
    with devices.connected(guarded.mqtt_port, user, NEW, lasting=True) as client:
        client.on_message = lambda _client, _data, message: inbox.put(message)
        client.subscribe("cmd/#", 1)
        devices.publish(guarded.mqtt_internal_port, None, [(f"cmd/{user}/unlock/plain/r2", b"for the new one")])
        assert inbox.next().payload == b"for the new one"
    reasons = {letter.message["reason"] for letter in records.read_all(guarded.kafka, names.dead_letters("ingest"))}
    assert "invalid_client" not in reasons


def test_what_waits_for_the_absent_survives_every_change(guarded: Stack, documents: Documents, product: str) -> None:
    user = f"{product}/d"
    documents.device(product, "d", SECRET)
    await_entry(guarded, user, SECRET)
    with devices.connected(guarded.mqtt_port, user, SECRET, lasting=True) as client:
        client.subscribe("cmd/#", 1)
        client.publish(f"update_status/{user}/1", b"{}", 1).wait_for_publish(devices.TIMEOUT)
    guarded.stop_service("ingest")
    devices.publish(guarded.mqtt_internal_port, None, [(f"cmd/{user}/unlock/plain/r1", b"{}")])
    documents.device(product, "other", SECRET)
    await_entry(guarded, f"{product}/other", SECRET)
    topic = f"upload_data/{product}/other/climate/while-ingest-is-away"
    devices.publish(guarded.mqtt_port, f"{product}/other", [(topic, b"{}")], SECRET)
    for number in range(3):
        documents.device(product, f"more{number}", SECRET)
        await_entry(guarded, f"{product}/more{number}", SECRET)

    guarded.start_service("ingest")

    def arrived() -> bool:
        found = records.read_all(guarded.kafka, names.DEVICE_TELEMETRY)
        return any(record.key == f"{product}/other".encode() for record in found)

    eventually(arrived, timeout=60, describe="what waited for ingest")
    inbox = devices.Inbox()
    with devices.connected(guarded.mqtt_port, user, SECRET, lasting=True, on_message=inbox.put):
        assert inbox.next().topic == f"cmd/{user}/unlock/plain/r1"


def test_files_that_somebody_deletes_or_alters_are_put_right(
    guarded: Stack, documents: Documents, product: str
) -> None:
    documents.device(product, "d", SECRET)
    await_entry(guarded, f"{product}/d", SECRET)
    for name in ("passwords", "access"):
        file = guarded.guard_directory / name
        right = file.read_bytes()
        for harm in HARM:
            harm(file)
            put_right(file, right)
    assert lets_in(guarded.mqtt_port, f"{product}/d", SECRET)


def test_documents_that_are_unfit_leave_their_device_out_and_no_other(
    guarded: Stack, documents: Documents, product: str
) -> None:
    documents.device(product, "bad", SECRET)
    await_entry(guarded, f"{product}/bad", SECRET)
    documents.device(product, "bad", SECRET, secret_hash="plain text\np/x:$7$1$")
    documents.raw(names.REGISTRY_DEVICES, f"{product}/worse".encode(), b"{")
    documents.raw(names.REGISTRY_DEVICES, b"a key\n:", None)
    documents.device(product, "good", SECRET)
    await_entry(guarded, f"{product}/good", SECRET)
    assert not lets_in(guarded.mqtt_port, f"{product}/bad", SECRET)
    assert metric(guarded, 'guard_left_out{reason="invalid_hash"}') == 1
    documents.device(product, "bad", SECRET)
    await_entry(guarded, f"{product}/bad", SECRET)


def test_a_guard_that_is_killed_in_the_middle_of_registrations_loses_none(
    guarded: Stack, documents: Documents, product: str
) -> None:
    for number in range(CROWD):
        documents.device(product, f"d{number}", SECRET)
        if number == CROWD // 2:
            documents.flush()
            guarded.kill("guard", signal.SIGKILL)
    documents.flush()
    eventually(lambda: guarded.pid("guard"), describe="the guard runs again")
    guarded.kill("guard", signal.SIGKILL)
    expected = {f"{product}/d{number}" for number in range(CROWD)}

    def listed() -> list[str]:
        lines = (guarded.guard_directory / "passwords").read_text().splitlines()
        return [user for line in lines if (user := line.partition(":")[0]).startswith(f"{product}/")]

    eventually(lambda: set(listed()) == expected, timeout=60, describe="every device has its line")
    assert len(listed()) == CROWD
    await_entry(guarded, f"{product}/d{CROWD - 1}", SECRET)
    guarded.wait_ready()


def test_a_broker_that_is_away_is_told_when_it_is_back(guarded: Stack, documents: Documents, product: str) -> None:
    guarded.stop_service("mosquitto")
    documents.device(product, "d", SECRET)
    file = guarded.guard_directory / "passwords"
    eventually(lambda: f"{product}/d:".encode() in file.read_bytes(), describe="the file is written")
    assert guarded.is_ready("guard")
    guarded.start_mosquitto()
    guarded.wait_ready()
    await_entry(guarded, f"{product}/d", SECRET)
    reloads = metric(guarded, "guard_reloads_total")
    guarded.kill("mosquitto", signal.SIGKILL)
    eventually(lambda: metric(guarded, "guard_reloads_total") > reloads, describe="the new process is told")
    guarded.wait_ready()
