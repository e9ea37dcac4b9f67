"""Where the hub is: what the caller says, else what the running dev stack says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from devstack import api_key, lock
from devstack.places import Places
from devstack.ports import HOST

from .link import Endpoint
from .registration import ApiAccess

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
    api: ApiAccess | None = None
    """Where the fleet registers itself; None: the broker is open to all."""


class Given(msgspec.Struct, frozen=True):
    """What the caller says."""

    mqtt: str | None = None
    kafka: str | None = None
    clickhouse: str | None = None
    api: ApiAccess | None = None
    open: bool = False
    """The broker is open to all, whatever the stack says."""


def choose(given: Given, state: Path) -> Addresses:
    """Prefer what is given. Without an MQTT address everything missing is taken from the stack in ``state``.

    Raises `NoAddress`, and `ValueError` on an address that is none.
    """
    api = None if given.open else given.api
    if given.mqtt is not None:
        return Addresses(Endpoint.parse(given.mqtt), given.kafka, given.clickhouse, api)
    if lock.holder(state) is None:
        raise NoAddress("no stack runs here: start one with `./just up`, or give --mqtt HOST:PORT")
    stack = Places.of_running(state)
    return Addresses(
        Endpoint(HOST, stack.mqtt_port),
        given.kafka or stack.kafka,
        given.clickhouse or stack.clickhouse_url,
        api or (None if given.open else access_to(stack)),
    )


def access_to(stack: Places) -> ApiAccess | None:
    """How one gets into the API of a stack; None: it has none, and its broker is open."""
    if "api" not in stack.services:
        return None
    return msgspec.json.decode(api_key.file(stack.state).read_bytes(), type=ApiAccess)
