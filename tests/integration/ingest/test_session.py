"""The session against a broker with certificates, passwords and access rules."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from devstack.mosquitto.server import find
from devstack.ports import HOST, free_port
from libs.runtime.mqtt.client import Client
from libs.runtime.mqtt.options import options
from libs.runtime.mqtt.session import Link, Refused
from libs.runtime.settings import MqttSettings, Secret
from tests.support.mqtt_broker import publish
from tests.support.polling import eventually_async

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mqtt5 import PublishPacket

PASSWORD = "correct horse"


class Taker:
    def __init__(self) -> None:
        self.sessions: list[bool] = []
        self.payloads: list[bytes] = []

    async def prepare(self) -> None:
        """Always ready."""

    async def opened(self, link: Link, *, session_present: bool) -> None:
        self.sessions.append(session_present)

    def receive(self, packets: list[PublishPacket]) -> None:
        self.payloads += [packet.payload for packet in packets]

    async def leaving(self, link: Link) -> None:
        await link.leave(2.0)

    def closed(self) -> None:
        """Nothing is kept."""


def certificate(directory: Path) -> Path:
    """A certificate for the loopback address that is its own authority; its key is beside it."""
    command = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    names = ("-subj", "/CN=broker", "-addext", f"subjectAltName=IP:{HOST}", "-days", "2")
    files = ("-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem"))
    subprocess.run((*command, *names, *files), check=True, capture_output=True, timeout=20)
    return directory / "cert.pem"


def openssl(directory: Path, command: str) -> None:
    subprocess.run(("openssl", *command.split()), cwd=directory, check=True, capture_output=True, timeout=20)


def client_certificate(directory: Path, authority: Path) -> tuple[str, str]:
    """A certificate of the user ``hub``, signed by the authority whose key is beside it, and its key."""
    openssl(
        directory,
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout hub.key -out hub.csr -subj /CN=hub",
    )
    signed = f"-CA {authority} -CAkey {authority.parent}/key.pem -CAcreateserial -days 2 -out hub.pem"
    openssl(directory, f"x509 -req -in hub.csr {signed}")
    return str(directory / "hub.pem"), str(directory / "hub.key")


@pytest.fixture
def certified(tmp_path: Path) -> Iterator[MqttSettings]:
    """A mosquitto that takes nothing but certificates of its own authority, and reads the user's name in them."""
    authority, port, program = certificate(tmp_path), free_port(), find()
    assert program
    cert, key = client_certificate(tmp_path, authority)
    (tmp_path / "acl").write_text("user hub\ntopic readwrite a/#\n")
    (tmp_path / "mosquitto.conf").write_text(
        f"user root\nlistener {port} {HOST}\ncertfile {authority}\nkeyfile {tmp_path}/key.pem\ncafile {authority}\n"
        f"require_certificate true\nuse_identity_as_username true\nacl_file {tmp_path}/acl\n"
    )
    with subprocess.Popen((program, "-c", str(tmp_path / "mosquitto.conf")), stderr=subprocess.PIPE) as broker:
        try:
            yield MqttSettings(host=HOST, port=port, tls_ca_file=str(authority), tls_cert_file=cert, tls_key_file=key)
        finally:
            broker.terminate()
            broker.communicate()


async def test_a_certificate_is_all_that_a_broker_may_ask_for(certified: MqttSettings) -> None:
    taker = Taker()
    client, stop = Client(options(certified, "session", ("a/#",), receive_max=10), taker), asyncio.Event()
    bare = Client(
        options(replace(certified, tls_cert_file="", tls_key_file=""), "b", ("a/#",), receive_max=10), Taker()
    )
    runs = [asyncio.create_task(each.run(stop)) for each in (client, bare)]

    async def subscribed() -> bool:
        return client.subscribed

    await eventually_async(subscribed, 10)
    assert client.link
    client.link.write(publish("a/b", b"mine", None))  # which the ACL allows to the certificate's name alone

    async def came() -> bool:
        return taker.payloads == [b"mine"]

    await eventually_async(came, 10)
    assert bare.connections == 0, "without a certificate nobody gets in"
    stop.set()
    await asyncio.gather(*runs)


def test_a_certificate_without_its_key_is_refused_before_anything_is_asked(
    certified: MqttSettings, tmp_path: Path
) -> None:
    openssl(tmp_path, "genpkey -algorithm RSA -out other.key")
    with pytest.raises(ssl.SSLError):
        options(replace(certified, tls_key_file=str(tmp_path / "other.key")), "s", ("a/#",), receive_max=10)
    with pytest.raises(FileNotFoundError):
        options(replace(certified, tls_cert_file="nowhere.pem"), "s", ("a/#",), receive_max=10)


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[MqttSettings]:
    """A mosquitto with TLS, the user ``hub`` and a rule that lets it read ``a/#`` only; how to reach it."""
    authority, port, program = certificate(tmp_path), free_port(), find()
    assert program
    (tmp_path / "passwords").write_text(f"hub:{PASSWORD}\n")
    subprocess.run(("mosquitto_passwd", "-U", str(tmp_path / "passwords")), check=True, timeout=20)
    (tmp_path / "acl").write_text("user hub\ntopic readwrite a/#\n")
    (tmp_path / "mosquitto.conf").write_text(
        f"user root\nlistener {port} {HOST}\ncertfile {authority}\nkeyfile {tmp_path}/key.pem\n"
        f"password_file {tmp_path}/passwords\nacl_file {tmp_path}/acl\nallow_anonymous false\n"
    )
    with subprocess.Popen((program, "-c", str(tmp_path / "mosquitto.conf")), stderr=subprocess.PIPE) as broker:
        try:
            yield MqttSettings(
                host=HOST, port=port, username="hub", password=Secret(PASSWORD), tls_ca_file=str(authority)
            )
        finally:
            broker.terminate()
            broker.communicate()


async def test_a_session_survives_its_connections_under_tls_and_password(secured: MqttSettings) -> None:
    taker = Taker()
    for number in range(2):
        client, stop = Client(options(secured, "session", ("a/#",), receive_max=10), taker), asyncio.Event()
        run = asyncio.create_task(client.run(stop))

        async def subscribed(client: Client = client) -> bool:
            return client.subscribed

        await eventually_async(subscribed, 10)
        assert client.link
        client.link.write(publish("a/b", b"%d" % number, None))  # QoS 0: no PUBACK, which a session does not expect

        async def came(expected: int = number + 1) -> bool:
            return len(taker.payloads) >= expected

        await eventually_async(came, 10)
        stop.set()
        await run
    assert taker.sessions == [False, True]
    assert set(taker.payloads) == {b"0", b"1"}


async def test_a_wrong_password_is_a_matter_of_configuration(secured: MqttSettings) -> None:
    wrong = MqttSettings(
        host=secured.host, port=secured.port, username="hub", password=Secret("x"), tls_ca_file=secured.tls_ca_file
    )
    client = Client(options(wrong, "session", ("a/#",), receive_max=10), Taker())
    with pytest.raises(Refused) as caught:
        await asyncio.wait_for(client.run(asyncio.Event()), 20)
    assert caught.value.misconfigured


async def test_a_broker_that_another_authority_signed_is_never_spoken_to(secured: MqttSettings, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stranger = MqttSettings(
        host=secured.host,
        port=secured.port,
        username="hub",
        password=secured.password,
        tls_ca_file=str(certificate(tmp_path / "other")),
    )
    client, stop = Client(options(stranger, "session", ("a/#",), receive_max=10), Taker()), asyncio.Event()
    run = asyncio.create_task(client.run(stop))
    good = Client(options(secured, "other", ("a/#",), receive_max=10), Taker())
    other = asyncio.create_task(good.run(stop))

    async def subscribed() -> bool:
        return good.subscribed

    await eventually_async(subscribed, 10)  # so the broker is up, and the stranger has had its turns
    assert client.connections == 0
    stop.set()
    await asyncio.gather(run, other)
