"""What devices may do at a guarded mosquitto: the list of the protocol, and nothing else."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from devstack.ports import HOST
from libs.topics.messages.registry import AclRule, ProductDefaults
from tests.support import devices
from tests.support.guarded import Guest, await_entry, lets_in
from tests.support.names import unique
from tests.support.polling import eventually

if TYPE_CHECKING:
    from bench.support.documents import Documents
    from devstack.stack import Stack

SECRET = "correct-horse"

PUBLISHED = [
    "upload_data/{}/climate/1",
    "upload_data/{}/$shadow_updated/1",
    "update_status/{}/1",
    "cmd_resp/{}/blink/r1/1",
    "rpc_resp/{}/blink/r1/1",
    "get/{}/$ntp/1",
    "update_ota_status/{}/1",
    "/shadow/{}/update",
    "/shadow/update/{}",
    "/sys/{}/rrpc/response/1",
]
RECEIVED = [
    "cmd/{}/blink/plain/r1",
    "cmd/{}/blink/plain/r1/1700000000",
    "rpc/{}/blink/plain/r1/1700000000",
    "/shadow/{}/get",
    "/shadow/get/{}",
    "/sys/{}/rrpc/request/1",
    "a/p2p/{}",
    "a/b/c/d/p2p/{}",
]
NOBODY_S = [
    "$SYS/broker/log/N",
    "fleetlog/connections/emqx-rule/x",
    "register/p/d/0123456789012345678901",
    "registered/p/d/0123456789012345678901",
    "anything",
    "",
]


def of(user: str, topics: list[str]) -> list[str]:
    return [topic.format(user) for topic in topics]


@pytest.fixture(scope="module")
def product(guarded: Stack) -> str:
    return unique("p")


@pytest.fixture(scope="module")
def a_device(guarded: Stack, documents: Documents, product: str) -> str:
    user = f"{product}/d"
    documents.product(product)
    documents.device(product, "d", SECRET)
    documents.device(product, "other", SECRET)
    await_entry(guarded, user, SECRET)
    return user


def test_a_device_publishes_on_the_protocol_s_topics_and_on_no_other(
    guarded: Stack, a_device: str, product: str
) -> None:
    foreign = [of(other, PUBLISHED)[0] for other in (f"{product}/other", "other/d", f"{product}/d/d", f"{product}x/d")]
    others = of(f"{product}/other", PUBLISHED)
    wrong = [f"upload_data/{a_device}/climate", f"upload_data/{a_device}/a/b/c", f"m2m/{product}/other/d/1"]
    wrong += [f"cmd_resp/{a_device}/p2p/other/d", f"rpc_resp/{a_device}/p2p/other/d"]  # other/d may read them
    forbidden = [*foreign, *others, *of(a_device, RECEIVED), *wrong, *filter(None, NOBODY_S)]
    allowed = of(a_device, PUBLISHED)
    assert Guest(guarded, a_device, SECRET).passed_on(*forbidden, *allowed) == allowed


def test_a_device_receives_what_is_for_it_whatever_it_subscribes_to(
    guarded: Stack, a_device: str, product: str
) -> None:
    allowed = of(a_device, RECEIVED)
    forbidden = [
        *of(f"{product}/other", RECEIVED),
        *of("other/d", RECEIVED),
        *of(a_device, PUBLISHED),
        f"tags/{product}/red/cmd/blink/plain/r1",
        f"m2m/{a_device}/other/1",
        *NOBODY_S[1:-1],
    ]
    device = Guest(guarded, a_device, SECRET)
    assert device.receives(["#", "/#", "$SYS/#"], *forbidden, *allowed) == allowed
    assert device.receives(["+/+/+/+/+/+", "+/+/+/+", "/+/+/+", "+/+/+"], *forbidden, allowed[0]) == allowed[:1]


def test_rules_of_a_product_hold_for_its_devices_and_in_it_only(guarded: Stack, documents: Documents) -> None:
    talking, silent = unique("p"), unique("p")
    rules = (AclRule("publish", "logs/{product}/{device}/#"), AclRule("subscribe", "news/{product}/+"))
    documents.product(talking, ProductDefaults(device_to_device=True, acl=rules))
    documents.product(silent)
    for product in (talking, silent):
        for device in ("a", "b"):
            documents.device(product, device, SECRET)
    access = guarded.guard_directory / "access"
    eventually(lambda: f"user {talking}/a\n" in access.read_text(), describe="the rules are in the file")
    documents.device(silent, "last", SECRET)  # whoever lets it in has read the file
    for user in (f"{silent}/last", f"{talking}/a", f"{silent}/a"):
        await_entry(guarded, user, SECRET)

    def attempts(product: str) -> list[str]:
        return [
            f"m2m/{product}/b/a/1",
            f"m2m/{product}/b/b/1",  # another's name as the sender's
            f"m2m/{silent}/b/a/1" if product == talking else f"m2m/{talking}/b/a/1",
            f"logs/{product}/a/x/y",
            f"logs/{product}/b/x",
        ]

    talker, other = Guest(guarded, f"{talking}/a", SECRET), Guest(guarded, f"{silent}/a", SECRET)
    passed = talker.passed_on(*attempts(talking), f"update_status/{talking}/a/1")
    assert passed[:-1] == [f"m2m/{talking}/b/a/1", f"logs/{talking}/a/x/y"]
    assert other.passed_on(*attempts(silent), f"update_status/{silent}/a/1")[:-1] == []
    seen = [f"m2m/{talking}/b/a/1", f"news/{silent}/x", f"m2m/{talking}/a/b/1", f"news/{talking}/x"]
    assert talker.receives(["#"], *seen) == seen[2:]


def test_who_registers_itself_may_do_that_alone(guarded: Stack, documents: Documents) -> None:
    product, closed = unique("p"), unique("p")
    documents.product(product, ProductDefaults(dynamic_registration=True), secret=SECRET)
    documents.product(closed, secret=SECRET)
    user = f"{product}/$register"
    await_entry(guarded, user, SECRET)
    assert not lets_in(guarded.mqtt_port, f"{closed}/$register", SECRET)
    assert not lets_in(guarded.mqtt_port, f"{product}/d", SECRET)

    asked, answered = f"register/{product}/d/m", f"registered/{product}/d/m"
    forbidden = [*of(user, PUBLISHED), *of(f"{product}/d", PUBLISHED), f"register/{closed}/d/m", answered]
    guest = Guest(guarded, user, SECRET)
    assert guest.passed_on(*forbidden, asked) == [asked]
    forbidden = [*of(user, RECEIVED), *of(f"{product}/d", RECEIVED), f"registered/{closed}/d/m", asked]
    assert guest.receives(["#"], *forbidden, answered) == [answered]


HOSTILE = [
    "{p}",
    "{p}/",
    "/d",
    "{p}/d/",
    "{p}/d/d",
    "{p}//d",
    "{p}/+",
    "+/d",
    "+/+",
    "#",
    "{p}/#",
    "$SYS",
    "{p}/$register",
    " {p}/d",
    "{p}/d ",
    "{p}/d\n",
    "{p}/d:",
    "{p}/\uff44",  # a full-width d
    "{p}/d\u200b",
    "{P}/d",
    "{p}/" + 65 * "d",
    "%u",
    "%c",
    "{p}/d as {p}/d (p2, c1, k60, u'{p}/d').",
]


def test_a_name_that_is_not_a_registered_device_is_not_let_in(guarded: Stack, a_device: str, product: str) -> None:
    """And as a client id it changes nothing: the broker calls a device by its user name."""
    names = [name.replace("{p}", product).replace("{P}", product.upper()) for name in HOSTILE]
    assert [name for name in names if lets_in(guarded.mqtt_port, name, SECRET)] == []
    with devices.subscribed(guarded.mqtt_internal_port, ["$SYS/broker/log/N"]) as log:
        for name in names:
            if "\n" in name:
                continue  # MQTT lets a broker end a connection whose client id has control characters; mosquitto does
            with devices.connected(guarded.mqtt_port, a_device, SECRET, client_id=name):
                line = log.next().payload.decode()
                while "New client connected" not in line:
                    line = log.next().payload.decode()
                assert line.endswith(f" as {a_device} (p2, c1, k30, u'{a_device}').")


def test_a_name_with_a_nul_ends_the_connection(guarded: Stack, a_device: str) -> None:
    for user in (f"{a_device}\0".encode(), f"{a_device}\0/x".encode()):
        text = SECRET.encode()
        body = b"\x00\x04MQTT\x04\xc2\x00\x3c\x00\x00"
        for field in (user, text):
            body += len(field).to_bytes(2, "big") + field
        with socket.create_connection((HOST, guarded.mqtt_port), timeout=devices.TIMEOUT) as raw:
            raw.sendall(bytes((0x10, len(body))) + body)
            assert raw.recv(4) in {b"", b"\x20\x02\x00\x04", b"\x20\x02\x00\x05"}


def test_devices_come_by_tls_and_websocket(guarded: Stack, a_device: str) -> None:
    authority = guarded.certificates.authority
    with devices.subscribed(guarded.mqtt_internal_port, [f"update_status/{a_device}/+"]) as received:
        ways: list[tuple[int, devices.Transport, str | None]] = [
            (guarded.mqtt_port, "tcp", None),
            (guarded.mqtt_tls_port, "tcp", authority),
            (guarded.mqtt_websocket_port, "websockets", None),
            (guarded.mqtt_websocket_tls_port, "websockets", authority),
        ]
        for number, (port, transport, ca) in enumerate(ways):
            with devices.connected(port, a_device, SECRET, transport=transport, authority=ca) as client:
                client.publish(f"update_status/{a_device}/{number}", b"{}", 1).wait_for_publish(devices.TIMEOUT)
                assert received.next().topic == f"update_status/{a_device}/{number}"
            for user, secret in ((a_device, "wrong"), (a_device, None), (None, None)):
                with (
                    pytest.raises(ConnectionRefusedError, match=r"[Nn]ot authori[sz]ed"),
                    devices.connected(port, user, secret, transport=transport, authority=ca),
                ):
                    pass
