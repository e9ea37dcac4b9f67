"""Presence: who is connected, and since when."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.text import Text

from cli import times
from cli.arguments import Device, Json, Product, path
from cli.arguments import device as checked_device
from cli.exits import Exit, Failure
from cli.world import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.stream import Event

app = typer.Typer(no_args_is_help=True, help="Who is connected, and since when.")

COLUMNS = {
    "product_id": "product",
    "device_id": "device",
    "session.state": "session",
    "session.since": "since",
    "last_traffic_at": "last traffic",
}
MOST = 1000
"""Devices of one request."""
MISSING = (
    ("unavailable", Exit.UNAVAILABLE, "unavailable", "nobody answers now for"),
    ("unknown", Exit.NOT_FOUND, "unknown_device", "there is no such device"),
)
"""What the answer calls those that it does not tell of."""
COLOURS = {"online": "green", "offline": "red", "unknown": "yellow"}


@app.command()
def now(context: typer.Context, device: Device, json: Json = False) -> None:
    """Show a device's session, last traffic and last probe."""
    session = Session(context, json=json)
    with session.api() as api:
        session.out.document(api.get(f"{path(device)}/presence"))


@app.command()
def at(
    context: typer.Context,
    device: Device,
    time: Annotated[str, typer.Argument(metavar="TIME", help="RFC 3339, local without offset; or 15m: so long ago.")],
    json: Json = False,
) -> None:
    """Say whether a device was connected at a moment, as it is known now.

    \b
    Example: fleetlog presence at plant-7/press-1 2026-03-01T12:00:00Z
    """
    session = Session(context, json=json)
    with session.api() as api:
        session.out.document(api.get(f"{path(device)}/presence", at=session.moment(time)))


@app.command()
def batch(
    context: typer.Context,
    devices: Annotated[list[str], typer.Argument(metavar="PRODUCT/DEVICE...", help="Or - to read them, one a line.")],
    json: Json = False,
) -> None:
    """Show the sessions of many devices.

    \b
    Example: fleetlog presence batch - < devices.txt
    """
    session = Session(context, json=json)
    names = [line.strip() for line in sys.stdin if line.strip()] if devices == ["-"] else devices
    asked = [dict(zip(("product_id", "device_id"), checked_device(name).split("/"), strict=True)) for name in names]
    with session.api() as api:
        pieces = (asked[begin : begin + MOST] for begin in range(0, len(asked), MOST))
        answers = [api.send("POST", "/presence:batch", {"devices": piece}) for piece in pieces]
    session.out.items((item for answer in answers for item in answer["items"]), COLUMNS, "no device")
    for kind, status, code, said in MISSING:
        missing = [f"{one['product_id']}/{one['device_id']}" for answer in answers for one in answer[kind]]
        if missing:
            raise Failure(status, f"{said}: {', '.join(missing)}", code=code)


@app.command()
def counts(context: typer.Context, product: Product, json: Json = False) -> None:
    """Count a product's devices by the state of their sessions."""
    session = Session(context, json=json)
    with session.api() as api:
        session.out.document(api.get(f"/products/{product}/presence"))


@app.command()
def watch(
    context: typer.Context,
    product: Product,
    last: Annotated[
        str | None, typer.Option("--after", metavar="ID", help="Go on behind this event; ids are in --json.")
    ] = None,
    count: Annotated[int | None, typer.Option(metavar="N", min=1, help="End after so many.")] = None,
    json: Json = False,
) -> None:
    """Show transitions as they happen, until Ctrl-C.

    \b
    Example: fleetlog presence watch plant-7
    """
    session = Session(context, json=json)
    with session.api() as api:
        stream = api.follow(f"/products/{product}/stream", last, types="presence_changed")
        for event, change in islice(_changes(stream, session), count):
            if json:
                session.out.json_line({"event_id": event.id, **change})
            else:
                session.out.line(transition(change, session))


def _changes(stream: Iterator[Event], session: Session) -> Iterator[tuple[Event, dict[str, Any]]]:
    """Yield the transitions, and tell of those that are missing."""
    for event in stream:
        document = msgspec.json.decode(event.data, type=dict[str, Any])
        if event.name == "gap":
            session.out.note("Some transitions were gone before they could be shown: look at what is so now.")
        else:
            yield event, document


def transition(change: dict[str, Any], session: Session) -> Text:
    """``12:03:04.123  plant-7/press-1  online  connected``."""
    line = Text(times.local(change["at"], session.world.zone, exact=True), style="dim")
    line.append(f"  {change['product_id']}/{change['device_id']}  ", style="not dim")
    line.append(f"{change['new']:<7}", style=f"not dim {COLOURS.get(change['new'], '')}")
    line.append(f"  {change['cause'].replace('_', ' ')}", style="not dim")
    return line
