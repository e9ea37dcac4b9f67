"""Where the hub is: what the caller says, else what the running dev stack says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from .link import Endpoint

if TYPE_CHECKING:
    from pathlib import Path

HOST = "127.0.0.1"


class NoAddress(LookupError):
    """Neither an MQTT address was given, nor does a stack run."""


class Addresses(msgspec.Struct, frozen=True):
    mqtt: Endpoint
    kafka: str | None
    """Bootstrap servers; None: Kafka is not looked at."""
    clickhouse: str | None
    """URL; None: ClickHouse is not looked at."""


def choose(mqtt: str | None, kafka: str | None, clickhouse: str | None, state: Path) -> Addresses:
    """Prefer what is given. Without an MQTT address everything missing is taken from the stack in ``state``.

    Raises `NoAddress`, and `ValueError` on an address that is none.
    """
    if mqtt is not None:
        return Addresses(Endpoint.parse(mqtt), kafka, clickhouse)
    ports = _ports(state)
    return Addresses(
        Endpoint(HOST, ports["mqtt"]),
        kafka or f"{HOST}:{ports['kafka']}",
        clickhouse or f"http://{HOST}:{ports['clickhouse']}",
    )


def _ports(state: Path) -> dict[str, int]:
    file = state / "ports.json"
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, int])
    except FileNotFoundError:
        raise NoAddress("no stack runs here: start one with `./just up`, or give --mqtt HOST:PORT") from None
