"""Clients that nobody here wrote are devices: mosquitto's command line tools and plain paho, invited or not."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from devstack.ports import HOST
from fleet.addresses import access_to
from fleet.admission import knock
from fleet.link import Endpoint
from fleet.registration import Registry
from tests.support import clickhouse, records
from tests.support.devices import MQTTv5, MQTTv311, connected, publish, subscribed
from tests.support.names import unique
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.stack import Stack


def raw_events(stack: Stack, product: str) -> list[tuple[Any, ...]]:
    client = clickhouse.client(stack.clickhouse_url, "fleetlog")
    try:
        sql = """SELECT device_id, type, data_type, message_id, encoding, payload FROM raw_events
                 WHERE product_id = {product:String} ORDER BY partition, offset"""
        return [tuple(row) for row in client.query(sql, {"product": product}).result_rows]
    finally:
        client.close()


def metric(stack: Stack, product: str, key: str) -> list[float]:
    client = clickhouse.client(stack.clickhouse_url, "fleetlog")
    try:
        sql = "SELECT value FROM metrics WHERE product_id = {product:String} AND key = {key:String} ORDER BY offset"
        return [value for (value,) in client.query(sql, {"product": product, "key": key}).result_rows]
    finally:
        client.close()


def session(stack: Stack, product: str, device: str) -> dict[str, Any]:
    """The session in the newest presence document, empty before there is one."""
    found = records.read_all(stack.kafka, "presence.state", key=f"{product}/{device}".encode())
    return dict(found[-1].message["session"]) if found else {}


def causes(stack: Stack, product: str, device: str) -> list[str]:
    found = records.read_all(stack.kafka, "presence.transitions", key=f"{product}/{device}".encode())
    return [record.message["cause"] for record in found]


@contextmanager
def listening(stack: Stack, user: str, topic: str) -> Iterator[subprocess.Popen[str]]:
    """mosquitto_sub as a device. Whoever kills it before the end finds it gone."""
    command = ("mosquitto_sub", "-p", str(stack.mqtt_port), "-u", user, "-t", topic, "-q", "1", "-v")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_mosquitto_pub_is_a_device(stack: Stack, version: str) -> None:
    product = unique("shop")
    command = ("mosquitto_pub", "-p", str(stack.mqtt_port), "-u", f"{product}/freezer", "-q", "1", "-V", version)
    topic, payload = f"upload_data/{product}/freezer/climate/m-1", '{"celsius": -18.5, "door": {"open": true}}'
    subprocess.run((*command, "-t", topic, "-m", payload), check=True, timeout=20)

    rows = eventually(lambda: raw_events(stack, product), describe="a row in raw_events")
    assert rows == [("freezer", "data_uploaded", "climate", "m-1", "json", payload)]
    assert eventually(lambda: metric(stack, product, "celsius")) == [-18.5]
    assert eventually(lambda: metric(stack, product, "door.open")) == [1.0]
    gone = eventually(lambda: causes(stack, product, "freezer") == ["connected", "disconnected"] or None)
    assert gone
    assert session(stack, product, "freezer")["state"] == "offline"


def test_mosquitto_sub_is_online_gets_its_commands_and_is_lost_when_it_is_killed(stack: Stack) -> None:
    product = unique("shop")
    topic = f"cmd/{product}/door/unlock/plain/r-1"
    with listening(stack, f"{product}/door", f"cmd/{product}/door/+/+/+/#") as process:
        eventually(lambda: session(stack, product, "door").get("state") == "online", describe="the device is online")
        publish(stack.mqtt_internal_port, None, [(topic, "now")])
        assert process.stdout is not None
        assert process.stdout.readline() == f"{topic} now\n"
        process.send_signal(signal.SIGKILL)
        eventually(lambda: session(stack, product, "door")["state"] == "offline", describe="the device is offline")
    assert causes(stack, product, "door") == ["connected", "connection_lost"]


@pytest.mark.parametrize("version", [MQTTv311, MQTTv5])
def test_paho_is_a_device(stack: Stack, version: int) -> None:
    product = unique("farm")
    user = f"{product}/pump-7"
    payloads = [json.dumps({"rpm": n}).encode() for n in range(20)] + [b"\xff\x00 not json", b""]
    with connected(stack.mqtt_port, user, version=version) as client:
        sent = [client.publish(f"upload_data/{user}/engine/m-{n}", p, qos=1) for n, p in enumerate(payloads)]
        for message in sent:
            message.wait_for_publish(20)
        eventually(lambda: session(stack, product, "pump-7").get("state") == "online", describe="the device is online")
        channel = session(stack, product, "pump-7")["channels"][0]
        assert (channel["client_id"], channel["protocol"]) == (user, {MQTTv311: 4, MQTTv5: 5}[version])
    eventually(lambda: session(stack, product, "pump-7")["state"] == "offline", describe="the device is offline")

    rows = eventually(lambda: len(found := raw_events(stack, product)) == len(payloads) and found, describe="all rows")
    assert rows
    assert [row[3] for row in rows] == [f"m-{n}" for n in range(len(payloads))]
    assert [row[4] for row in rows] == ["json"] * 20 + ["base64"] * 2
    assert metric(stack, product, "rpm") == [float(n) for n in range(20)]


def test_a_second_client_of_the_same_device_takes_the_session_over(stack: Stack) -> None:
    product = unique("farm")
    user = f"{product}/gate"
    with listening(stack, user, f"cmd/{user}/+/+/+/#") as first:
        eventually(lambda: session(stack, product, "gate").get("state") == "online", describe="the first is online")
        before = session(stack, product, "gate")["channels"][0]["channel_id"]
        first.send_signal(signal.SIGSTOP)  # it must not come back by itself while the second one is up
        with connected(stack.mqtt_port, user):
            eventually(lambda: causes(stack, product, "gate") == ["connected", "taken_over"], describe="taken over")
            (channel,) = session(stack, product, "gate")["channels"]
            assert channel["channel_id"] != before
        first.send_signal(signal.SIGKILL)
    eventually(lambda: session(stack, product, "gate")["state"] == "offline", describe="the device is offline")
    assert causes(stack, product, "gate") == ["connected", "taken_over", "disconnected"]


def registered(hub: Stack, device: tuple[str, str]) -> str:
    """The secret of a new device that the broker lets in."""

    async def register() -> str:
        access = access_to(hub)
        assert access is not None
        async with Registry(access) as registry:
            secret = (await registry.enlist([device]))[device]
        await knock(Endpoint(HOST, hub.mqtt_port), device, secret)
        return secret

    return asyncio.run(register())


@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_mosquitto_pub_is_a_device_with_the_secret_that_it_was_given_and_nobody_without(
    hub: Stack, version: str
) -> None:
    product = unique("shop")
    secret = registered(hub, (product, "freezer"))
    command = ("mosquitto_pub", "-p", str(hub.mqtt_port), "-u", f"{product}/freezer", "-q", "1", "-V", version)
    topic = f"upload_data/{product}/freezer/climate"
    for message_id, credentials, lets_in in (("m-1", ("-P", "guessed"), False), ("m-2", ("-P", secret), True)):
        done = subprocess.run(
            (*command, *credentials, "-t", f"{topic}/{message_id}", "-m", "1"),
            check=False,
            capture_output=True,
            timeout=20,
        )
        assert (done.returncode == 0) is lets_in, done.stderr
    rows = eventually(lambda: raw_events(hub, product), describe="a row in raw_events")
    assert [row[3] for row in rows] == ["m-2"]


@pytest.mark.parametrize("version", [MQTTv311, MQTTv5])
def test_paho_is_a_device_with_the_secret_that_it_was_given(hub: Stack, version: int) -> None:
    product = unique("farm")
    user = f"{product}/pump-7"
    secret = registered(hub, (product, "pump-7"))
    with pytest.raises(ConnectionRefusedError), connected(hub.mqtt_port, user, version=version):
        pass
    topic = f"cmd/{user}/start/plain/r-1"
    with subscribed(hub.mqtt_port, [f"cmd/{user}/+/+/+/#"], user, secret) as inbox:
        publish(hub.mqtt_internal_port, None, [(topic, b"now")])
        assert [message.payload for message in inbox.until(topic)] == [b"now"]
    with connected(hub.mqtt_port, user, secret, version=version) as client:
        client.publish(f"upload_data/{user}/engine/m-1", b'{"rpm": 900}', qos=1).wait_for_publish(20)
        eventually(lambda: session(hub, product, "pump-7").get("state") == "online", describe="the device is online")
    assert eventually(lambda: metric(hub, product, "rpm")) == [900.0]
