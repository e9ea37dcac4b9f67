"""A hub of one broker for tests of the device SDK: guarded listeners in front, and the test itself behind."""

from __future__ import annotations

import asyncio
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from devstack.mosquitto import server
from devstack.mosquitto.server import ACL
from devstack.ports import HOST, free_port
from devstack.supervisor import Program, Supervisor
from tests.support.polling import eventually, eventually_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

SECRETS = {"p/d": "secret of d", "p/e": "secret of e", "p/f": "secret of f", "p/$register": "secret of p"}
GRANTED = """
user p/d
topic write m2m/p/+/d/+
topic read tags/p/red/cmd/+/+/+/#
topic read tags/p/blue/cmd/+/+/+/#
user p/e
topic write m2m/p/+/e/+
user p/$register
topic write register/p/+/+
topic read registered/p/+/+
"""
"""What the registry writes for single users."""


def authority(directory: Path) -> Path:
    """A certificate for the loopback address that is its own authority; its key is beside it."""
    command = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    names = ("-subj", "/CN=broker", "-addext", f"subjectAltName=IP:{HOST}", "-days", "2")
    files = ("-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem"))
    subprocess.run((*command, *names, *files), check=True, capture_output=True, timeout=20)
    return directory / "cert.pem"


class GuardedBroker:
    """mosquitto with passwords and access rules on TCP, TLS and WebSocket, and an internal listener without."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port, self.tls_port, self.websocket_port, self.internal_port = (free_port() for _ in range(4))
        self.ca = authority(directory)
        self._supervisor = Supervisor(directory, print)
        self.let_in(SECRETS)
        (directory / "acl").write_text(ACL.read_text() + GRANTED)
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

    def let_in(self, secrets: Mapping[str, str]) -> None:
        """Write the password file; a broker that runs reads it when it starts again."""
        passwords = self.directory / "passwords"
        passwords.write_text("".join(f"{user}:{secret}\n" for user, secret in secrets.items()))
        subprocess.run(("mosquitto_passwd", "-U", str(passwords)), check=True, capture_output=True, timeout=20)

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

    async def say(self, topic: str, payload: bytes | str = b"", *, expiry: int | None = None) -> None:
        """``expiry``: MQTT's, in s."""
        properties = Properties(PacketTypes.PUBLISH)
        if expiry is not None:
            properties.MessageExpiryInterval = expiry
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
async def hub_at(broker: GuardedBroker) -> AsyncIterator[Hub]:
    async with aiomqtt.Client(HOST, broker.internal_port, protocol=aiomqtt.ProtocolVersion.V5) as client:
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
