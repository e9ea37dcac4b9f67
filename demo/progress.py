"""What the user sees while the demo runs: a live display in a terminal, a line every two seconds elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, Self

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

EVERY = 2.0
"""Seconds between two lines where there is no terminal."""


class Snapshot(msgspec.Struct, frozen=True):
    """How far the run is. The hub's figures are those that the demo has read by now."""

    phase: str
    elapsed: float
    seconds: int
    devices: int
    online: int
    hub_online: int
    published: int
    acknowledged: int
    kafka: int
    clickhouse: int


def line(now: Snapshot) -> str:
    return (
        f"{now.elapsed:4.0f} s  {now.phase}: online {now.online:,} of {now.devices:,} (hub: {now.hub_online:,}), "
        f"published {now.published:,}, acknowledged {now.acknowledged:,}, "
        f"Kafka {now.kafka:,}, ClickHouse {now.clickhouse:,}"
    )


def panel(now: Snapshot) -> Group:
    """Draw a bar and the figures as a block of constant height."""
    figures = Table.grid(padding=(0, 2))
    figures.add_column(style="dim")
    figures.add_column(justify="right", style="bold", min_width=8)
    figures.add_column(style="dim")
    figures.add_row("devices online", f"{now.online:,}", f"of {now.devices:,}; the hub shows {now.hub_online:,}")
    figures.add_row("published", f"{now.published:,}", "QoS 1, over real MQTT connections")
    figures.add_row("acknowledged", f"{now.acknowledged:,}", "by the broker")
    figures.add_row("in Kafka", f"{now.kafka:,}", "records caused by devices")
    figures.add_row("in ClickHouse", f"{now.clickhouse:,}", "rows of telemetry that a query finds")
    bar = Table.grid(padding=(0, 2))
    bar.add_row(
        Spinner("dots", text=Text(now.phase, style="bold")),
        ProgressBar(total=now.seconds, completed=min(now.elapsed, now.seconds), width=40),
        f"{min(now.elapsed, now.seconds):.0f} of {now.seconds} s",
    )
    return Group(bar, Padding(figures, (0, 0, 0, 2)))


class Display(Protocol):
    """Shows snapshots between entering and leaving."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, now: Snapshot) -> None: ...


class LiveDisplay:
    """For a terminal: one block, redrawn in place, gone at the end."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, transient=True, refresh_per_second=8)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, now: Snapshot) -> None:
        self._live.update(panel(now))


class PlainDisplay:
    """For a file or a pipe."""

    def __init__(self) -> None:
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, now: Snapshot) -> None:
        moment = time.monotonic()
        if moment >= self._next:
            self._next = moment + EVERY
            print(line(now), file=sys.stdout, flush=True)


def display(console: Console) -> Display:
    return LiveDisplay(console) if console.is_terminal else PlainDisplay()


@contextmanager
def waiting(console: Console, what: str) -> Iterator[None]:
    """Say what is awaited: as long as it lasts in a terminal, once elsewhere."""
    if not console.is_terminal:
        print(what, flush=True)
        yield
        return
    with console.status(what):
        yield
