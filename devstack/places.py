"""Where the parts of a stack are, for whoever starts it and for whoever finds it running."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from devstack.clickhouse import program as clickhouse
from devstack.environment import Addresses, variables
from devstack.kafka import server as kafka
from devstack.mosquitto import server as mosquitto
from devstack.ports import HOST, Ports
from devstack.readiness import is_ready

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

SERVICES = ("ingest", "presence", "timeseries")
BROKERS = ("kafka", "mosquitto", "clickhouse")
PARTITIONS = 4


class Places:
    """Addresses by name. Each port is claimed when it is first asked for, and remembered in the state directory."""

    def __init__(self, state: Path, services: Sequence[str], partitions: int, ports: Ports) -> None:
        self.state = state
        self.services = tuple(services)
        self.partitions = partitions
        self.logs = state / "logs"
        self._ports = ports

    @classmethod
    def of_running(cls, state: Path) -> Self:
        """Of the stack that `python -m devstack up` runs for this state directory."""
        return cls(state.absolute(), SERVICES, PARTITIONS, Ports(state / "ports.json", in_use=True))

    @property
    def kafka(self) -> str:
        """Bootstrap servers."""
        return f"{HOST}:{self._ports.claim('kafka')}"

    @property
    def mqtt_port(self) -> int:
        """The devices' listener: the user name ``product/device`` is required and becomes the client id."""
        return self._ports.claim("mqtt")

    @property
    def mqtt_internal_port(self) -> int:
        """The listener of the hub's own clients; anything may be published there."""
        return self._ports.claim("mqtt-internal")

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
        )
        return variables(service, addresses, self._ports.claim(f"ops-{service}"))

    def is_ready(self, name: str) -> bool:
        """Whether a program answers as it should."""
        checks: dict[str, Callable[[], bool]] = {
            "kafka": lambda: kafka.answers(self.kafka),
            "mosquitto": lambda: mosquitto.answers(self.mqtt_internal_port),
            "clickhouse": lambda: clickhouse.answers(self.clickhouse_url),
        }
        return checks[name]() if name in checks else is_ready(self.ops_url(name))
