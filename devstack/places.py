"""Where the parts of a stack are, for whoever starts it and for whoever finds it running."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import msgspec

from devstack import certificates, secret_files
from devstack.clickhouse import program as clickhouse
from devstack.environment import Addresses, variables
from devstack.kafka import server as kafka
from devstack.mosquitto import server as mosquitto
from devstack.ports import HOST, Ports
from devstack.readiness import is_ready

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from devstack.certificates import Certificates

SERVICES = ("registry", "ingest", "presence", "shadow", "commands", "downlink", "timeseries", "guard", "api")
OPEN = ("ingest", "presence", "shadow", "commands", "downlink", "timeseries")
"""A hub that lets everybody in."""
BROKERS = ("kafka", "mosquitto", "clickhouse")
PARTITIONS = 4


class Choice(msgspec.Struct, frozen=True):
    """What a stack consists of. Remembered in its state directory, for whoever finds it running."""

    services: tuple[str, ...] = SERVICES
    tls: bool = False
    """Whether devices may also come by TLS and WebSocket."""

    @property
    def guarded(self) -> bool:
        """Whether devices need credentials."""
        return "guard" in self.services

    @staticmethod
    def file(state: Path) -> Path:
        return state / "choice.json"

    @classmethod
    def of(cls, state: Path) -> Self:
        """Of the stack that was started last in this state directory."""
        file = cls.file(state)
        return msgspec.json.decode(file.read_bytes(), type=cls) if file.exists() else cls()


class Places:
    """Addresses by name. Each port is claimed when it is first asked for, and remembered in the state directory."""

    def __init__(self, state: Path, choice: Choice, partitions: int, ports: Ports) -> None:
        self.state = state
        self.choice = choice
        self.services = choice.services
        self.partitions = partitions
        self.logs = state / "logs"
        self._ports = ports

    @classmethod
    def of_running(cls, state: Path) -> Self:
        """Of the stack that `python -m devstack up` runs for this state directory."""
        return cls(state.absolute(), Choice.of(state), PARTITIONS, Ports(state / "ports.json", in_use=True))

    @property
    def kafka(self) -> str:
        """Bootstrap servers."""
        return f"{HOST}:{self._ports.claim('kafka')}"

    @property
    def mqtt_port(self) -> int:
        """The devices' listener: the user name ``product/device`` is required and becomes the client id.

        Where the stack has a guard it takes registered devices with their secrets only, else any name.
        """
        return self._ports.claim("mqtt")

    @property
    def mqtt_tls_port(self) -> int:
        """The same for devices over TLS. This and the next two exist where the stack was started with ``tls``."""
        return self._ports.claim("mqtt-tls")

    @property
    def mqtt_websocket_port(self) -> int:
        return self._ports.claim("mqtt-websocket")

    @property
    def mqtt_websocket_tls_port(self) -> int:
        return self._ports.claim("mqtt-websocket-tls")

    @property
    def certificates(self) -> Certificates:
        """Of the listeners with TLS; made when they are first asked for."""
        return certificates.ensure(self.state / "tls")

    @property
    def guard_directory(self) -> Path:
        """Of the password and access files that mosquitto reads and the guard keeps."""
        return mosquitto.guard_directory(self.state / "mosquitto")

    @property
    def mqtt_internal_port(self) -> int:
        """The listener of the hub's own clients; anything may be published there."""
        return self._ports.claim("mqtt-internal")

    @property
    def api_url(self) -> str:
        """Of the HTTP API, where the stack has one."""
        return f"http://{HOST}:{self._ports.claim('api')}"

    @property
    def clickhouse_url(self) -> str:
        return f"http://{HOST}:{self._ports.claim('clickhouse')}"

    @property
    def programs(self) -> tuple[str, ...]:
        """Names of all that belongs to the stack, in order of their starts."""
        return (*BROKERS, *self.services)

    def ops_url(self, service: str) -> str:
        """Of health and metrics, e.g. ``ops_url("ingest") + "/health/ready"``."""
        return f"http://{HOST}:{self._ports.claim(f'ops-{service}')}"

    def env(self, service: str) -> dict[str, str]:
        """The FLEETLOG_ variables with which ``python -m services.<service>`` joins this stack."""
        addresses = Addresses(
            kafka=self.kafka,
            mqtt_port=self.mqtt_port,
            mqtt_internal_port=self.mqtt_internal_port,
            clickhouse_url=self.clickhouse_url,
            partitions=self.partitions,
            data=self.state / "lanes",
            guard_directory=self.guard_directory,
            mosquitto_pid_file=mosquitto.pid_file(self.state / "mosquitto"),
            api_port=self._ports.claim("api"),
            secrets_key=secret_files.ensure(self.state / "secrets-key"),
        )
        return variables(service, addresses, self._ports.claim(f"ops-{service}"))

    def is_ready(self, name: str) -> bool:
        """Whether a program answers as it should."""
        checks: dict[str, Callable[[], bool]] = {
            "kafka": lambda: kafka.answers(self.kafka),
            "mosquitto": lambda: mosquitto.answers(self.mqtt_internal_port),
            "clickhouse": lambda: clickhouse.answers(self.clickhouse_url),
            "api": lambda: is_ready(self.api_url),  # its own port opens after the one for health
        }
        return checks[name]() if name in checks else is_ready(self.ops_url(name))
