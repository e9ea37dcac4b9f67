"""Where a command runs: what the environment says, what the running dev stack says, and what tests put in place."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import msgspec
from msgspec import Meta
from msgspec.structs import replace

from libs.runtime.settings import (
    ClickHouseSettings,
    KafkaSettings,
    Secret,
    Settings,
    SettingsError,
    describe,
    load,
)
from libs.runtime.shards import Shards, faults

from . import times
from .api import Api
from .exits import Exit, Failure, usage
from .output import Output

if TYPE_CHECKING:
    from collections.abc import Iterator

    import typer

CHECKOUT = Path(__file__).resolve().parents[1]
STATE = CHECKOUT / ".fleetlog"
NOWHERE = "set FLEETLOG_API_URL and FLEETLOG_API_KEY, or start a hub on this machine with `./just up`"


class ApiSettings(Settings, frozen=True, kw_only=True):
    url: Annotated[str, Meta(description="The hub's HTTP API, such as `https://hub.example`.")] = ""
    key: Annotated[Secret, Meta(description="An API key.")] = Secret()


class OperatorSettings(Settings, frozen=True, kw_only=True):
    """What operators say in the environment; none of it is needed beside a running dev stack."""

    api: ApiSettings = ApiSettings()
    kafka: KafkaSettings = KafkaSettings()
    clickhouse: ClickHouseSettings = ClickHouseSettings()
    shards: Shards = ""

    def faults(self) -> Iterator[tuple[str, str]]:
        yield from (("shards", reason) for reason in faults(self.shards))


class Found(msgspec.Struct, frozen=True):
    """What ``api.json`` in the state directory of a running stack holds."""

    url: str
    key: str


class World(msgspec.Struct, frozen=True, kw_only=True):
    """The edges of the program."""

    environ: Mapping[str, str] = msgspec.field(default_factory=lambda: os.environ)
    state: Path = STATE
    """State directory of the dev stack that is looked at where the environment says nothing."""
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    zone: tzinfo | None = None
    """Of times for people; None: the machine's."""
    transport: httpx.BaseTransport | None = None
    """How HTTP is spoken; None: over the network."""


class Session:
    """One command's way to the hub."""

    def __init__(self, context: typer.Context, *, json: bool = False) -> None:
        self.world: World = context.obj
        self.out = Output(json=json, zone=self.world.zone)

    def moment(self, text: str) -> int:
        """Return a moment as people type it in Unix milliseconds. Raises `Failure`."""
        try:
            return times.parse_moment(text, self.world.now(), self.world.zone)
        except ValueError as error:
            raise usage(str(error)) from error

    def api(self) -> Api:
        """Raises `Failure` where the API's address or the key is not known."""
        given = self._settings().api
        url, key = given.url, given.key.reveal()
        if not url or not key:
            found = self._stack_api()
            url, key = url or found.url, key or found.key
        return Api(url, key, self.world.transport, self.world.sleep)

    def kafka(self) -> KafkaSettings:
        """Raises `Failure` where the settings are wrong."""
        kafka = self._settings().kafka
        stack = None if "FLEETLOG_KAFKA_BOOTSTRAP" in self.world.environ else self._stack()
        return kafka if stack is None else replace(kafka, bootstrap=stack.kafka, partitions=stack.partitions)

    def clickhouse(self) -> ClickHouseSettings:
        """Raises `Failure` where the settings are wrong."""
        clickhouse = self._settings().clickhouse
        stack = None if "FLEETLOG_CLICKHOUSE_URL" in self.world.environ else self._stack()
        return clickhouse if stack is None else replace(clickhouse, url=stack.clickhouse_url)

    def shards(self) -> str:
        return self._settings().shards

    def _settings(self) -> OperatorSettings:
        """Read ours of the variables: an operator's shell may hold those of services, too."""
        known = {setting.variable for setting in describe(OperatorSettings)}
        try:
            return load(OperatorSettings, {name: text for name, text in self.world.environ.items() if name in known})
        except SettingsError as error:
            raise usage("; ".join(map(str, error.problems)), "correct the environment") from error

    def _stack(self) -> Any:
        """The dev stack that runs in the state directory; None: there is none."""
        if not (self.world.state / "supervisor.lock").exists():
            return None
        from devstack import lock  # noqa: PLC0415 - where the product is installed there is no dev stack
        from devstack.places import Places  # noqa: PLC0415 - likewise

        return None if lock.holder(self.world.state) is None else Places.of_running(self.world.state)

    def _stack_api(self) -> Found:
        stack = self._stack()
        if stack is None or "api" not in stack.services:
            raise Failure(Exit.USAGE, "the hub's API is not known", code="no_api", advice=NOWHERE)
        return msgspec.json.decode((self.world.state / "api.json").read_bytes(), type=Found)
