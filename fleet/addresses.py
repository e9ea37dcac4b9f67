"""Where the hub is: what the caller says, else what the running dev stack says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from devstack import lock
from devstack.places import Places
from devstack.ports import HOST

from .link import Endpoint

if TYPE_CHECKING:
    from pathlib import Path


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
    if lock.holder(state) is None:
        raise NoAddress("no stack runs here: start one with `./just up`, or give --mqtt HOST:PORT")
    stack = Places.of_running(state)
    return Addresses(Endpoint(HOST, stack.mqtt_port), kafka or stack.kafka, clickhouse or stack.clickhouse_url)
