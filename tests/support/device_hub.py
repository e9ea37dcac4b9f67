"""A hub of one broker for tests of the device SDK: guarded listeners in front, and the test itself behind."""

from __future__ import annotations

import asyncio
import os
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from devstack.mosquitto import server
from devstack.ports import HOST, free_port
from devstack.supervisor import Program, Supervisor
from libs.runtime.secrets import SALT_BYTES, hash_secret
from libs.topics.access import DEVICE
from services.guard import files
from services.guard.model import Device, Login, Product, Roll
from tests.support.polling import eventually, eventually_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SECRETS = {"p/d": "secret of d", "p/e": "secret of e", "q/f": "secret of f", "p/$register": "secret of p"}
TAGS = """
user p/d
topic read tags/p/red/cmd/+/+/+/#
topic read tags/p/blue/cmd/+/+/+/#
"""
"""What another broker grants for tags, of which the guard's files for mosquitto say nothing."""


def roll() -> Roll:
    """Devices of product ``p``, which may talk to each other and join, and of ``q``, which may not."""
    made = Roll()
    between = tuple(rule for rule in DEVICE if rule.when == "device_to_device")
    made.put_product("p", Product(between, login("p/$register")))
    made.put_product("q", Product())
    for product, device in (("p", "d"), ("p", "e"), ("q", "f")):
        made.put_device(product, device, Device(0, login(f"{product}/{device}")))
    return made


def login(user: str) -> Login:
    return Login(user, hash_secret(SECRETS[user], os.urandom(SALT_BYTES)))


def authority(directory: Path) -> Path:
    """A certificate for the loopback address that is its own authority; its key is beside it."""
    command = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    names = ("-subj", "/CN=broker", "-addext", f"subjectAltName=IP:{HOST}", "-days", "2")
    files = ("-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem"))
    subprocess.run((*command, *names, *files), check=True, capture_output=True, timeout=20)
    return directory / "cert.pem"


class GuardedBroker:
    """mosquitto with the guard's files on TCP, TLS and WebSocket, and an internal listener that is open."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port, self.tls_port, self.websocket_port, self.internal_port = (free_port() for _ in range(4))
        self.ca = authority(directory)
        self._supervisor = Supervisor(directory, print)
        registered = roll()
        (directory / "passwords").write_bytes(files.passwords(registered.logins()))
        (directory / "acl").write_bytes(files.access(registered)[0] + TAGS.encode())
        (directory / "mosquitto.conf").write_text(self._configuration())
        program = server.find()
        assert program, "mosquitto is not installed"
        self._program = Program(
            name="mosquitto",
            command=(program, "-c", str(directory / "mosquitto.conf")),
            environment={},
            directory=directory,
            log=directory / "mosquitto.log",
        )

    def _configuration(self) -> str:
        guarded = f"allow_anonymous false\npassword_file {self.directory}/passwords\nacl_file {self.directory}/acl\n"
        return (
            "per_listener_settings true\nset_tcp_nodelay true\nuser root\n"
            f"persistence true\npersistence_location {self.directory}/\nmax_packet_size 65536\n"
            f"listener {self.port} {HOST}\nuse_username_as_clientid true\n{guarded}"
            f"listener {self.tls_port} {HOST}\nuse_username_as_clientid true\n{guarded}"
            f"cafile {self.ca}\ncertfile {self.ca}\nkeyfile {self.directory}/key.pem\n"
            f"listener {self.websocket_port} {HOST}\nprotocol websockets\nuse_username_as_clientid true\n{guarded}"
            f"listener {self.internal_port} {HOST}\nallow_anonymous true\n"
        )

    def start(self) -> None:
        self._supervisor.start(self._program)
        eventually(lambda: server.answers(self.internal_port), describe="mosquitto accepts connections")

    def stop(self) -> None:
        self._supervisor.stop("mosquitto")

    def close(self) -> None:
        self._supervisor.close()


class Hub:
    """The hub's side: hears everything, says what the test wants."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client
        self.heard: list[tuple[str, bytes]] = []

    async def listen(self) -> None:
        async for message in self._client.messages:
            self.heard.append((message.topic.value, bytes(message.payload)))

    async def say(
        self, topic: str, payload: bytes | str = b"", *, expiry: int | None = None, name: bytes | None = None
    ) -> None:
        """``expiry``: MQTT's, in s. ``name``: the correlation data."""
        properties = Properties(PacketTypes.PUBLISH)
        if expiry is not None:
            properties.MessageExpiryInterval = expiry
        if name is not None:
            properties.CorrelationData = name
        await self._client.publish(topic, payload, qos=1, properties=properties)

    def of(self, *beginnings: str) -> list[tuple[str, bytes]]:
        """What was heard on topics that begin so."""
        return [(topic, payload) for topic, payload in self.heard if topic.startswith(beginnings)]

    async def hears(self, *beginnings: str, count: int = 1) -> list[tuple[str, bytes]]:
        """Wait for so many messages on topics that begin so."""

        async def found() -> list[tuple[str, bytes]] | None:
            there = self.of(*beginnings)
            return there if len(there) >= count else None

        messages = await eventually_async(found, 30, describe=f"{count} of {beginnings}")
        assert messages
        return messages


@asynccontextmanager
async def hub_at(broker: GuardedBroker, session: str | None = None) -> AsyncIterator[Hub]:
    """``session``: the client id of one that outlives the connection, and gets what it has missed."""
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 600 if session else 0
    async with aiomqtt.Client(
        HOST,
        broker.internal_port,
        identifier=session,
        clean_start=session is None,
        properties=properties,
        protocol=aiomqtt.ProtocolVersion.V5,
    ) as client:
        hub = Hub(client)
        await client.subscribe("#", qos=1)
        listening = asyncio.create_task(hub.listen())
        try:
            yield hub
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


def where(broker: GuardedBroker) -> dict[str, Any]:
    """Arguments of a device that connects over TCP."""
    return {"host": HOST, "port": broker.port}
