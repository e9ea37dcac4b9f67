"""What has happened to shadows, and what happens to them."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.text import Text

from cli import times
from cli.arguments import Device, Json, ShadowName, shadow_path
from cli.arguments import device as checked_device
from cli.arguments import product as checked_product
from cli.world import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.stream import Event

REFUSED = "shadow_change_refused"
TYPES = f"shadow_changed,{REFUSED}"


def product_or_device(text: str) -> str:
    """Raises typer.BadParameter."""
    return checked_device(text) if "/" in text else checked_product(text)


def history(
    context: typer.Context,
    device: Device,
    name: ShadowName = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="At most so many; all without it.")] = 50,
    since: Annotated[str | None, typer.Option("--from", metavar="TIME", help="RFC 3339, or 15m; else 30 days.")] = None,
    json: Json = False,
) -> None:
    """List who changed a shadow, when and how, and what was refused; the newest first.

    \b
    Example: fleetlog shadow history plant-7/press-1 --limit 5
    """
    session = Session(context, json=json)
    begin = None if since is None else session.moment(since)
    with session.api() as api:
        changes = api.pages(f"{shadow_path(device, name)}/history", limit, **{"from": begin})
        for change in changes:
            if json:
                session.out.json_line(change)
            else:
                session.out.line(line(change, session))


def diff(
    context: typer.Context,
    device: Device,
    older: Annotated[int, typer.Argument(metavar="FROM", min=0, help="A version.")],
    newer: Annotated[int, typer.Argument(metavar="TO", min=0, help="Another one.")],
    name: ShadowName = None,
    json: Json = False,
) -> None:
    """Show field by field in what two versions differ.

    \b
    Example: fleetlog shadow diff plant-7/press-1 3 7
    """
    session = Session(context, json=json)
    with session.api() as api:
        found = api.get(f"{shadow_path(device, name)}/diff", **{"from": older, "to": newer})
    if json:
        session.out.document(found)
        return
    for section in ("desired", "reported"):
        for field in found[section]:
            session.out.line(f"{section:<8}  {field['path']}  {_value(field, 'old')} -> {_value(field, 'new')}")
    if not found["desired"] and not found["reported"]:
        session.out.note("they do not differ")


def watch(
    context: typer.Context,
    which: Annotated[
        str, typer.Argument(metavar="PRODUCT[/DEVICE]", callback=product_or_device, help="Of all its devices, or one.")
    ],
    last: Annotated[
        str | None, typer.Option("--after", metavar="ID", help="Go on behind this event; ids are in --json.")
    ] = None,
    count: Annotated[int | None, typer.Option(metavar="N", min=1, help="End after so many.")] = None,
    json: Json = False,
) -> None:
    """Show changes and refusals as they happen, until Ctrl-C.

    \b
    Example: fleetlog shadow watch plant-7
    """
    session = Session(context, json=json)
    product_id, _, device_id = which.partition("/")
    with session.api() as api:
        stream = api.follow(f"/products/{product_id}/stream", last, types=TYPES)
        for event, change in islice(_changes(stream, device_id, session), count):
            if json:
                session.out.json_line({"event_id": event.id, **change})
            else:
                session.out.line(line(change, session))


def _changes(stream: Iterator[Event], device_id: str, session: Session) -> Iterator[tuple[Event, dict[str, Any]]]:
    for event in stream:
        change = msgspec.json.decode(event.data, type=dict[str, Any])
        if event.name == "gap":
            session.out.note("Some changes were gone before they could be shown: look at what is so now.")
        elif not device_id or change["device_id"] == device_id:
            yield event, change


def line(change: dict[str, Any], session: Session) -> Text:
    """``2026-03-01 12:03:04.123  plant-7/press-1  17  desired changed via api by ops  desired {"mode":"eco"}``."""
    told = Text(times.local(change["at"], session.world.zone, exact=True), style="dim")
    if "device_id" in change:
        shadow = "" if change["shadow"] is None else f" {change['shadow']}"
        told.append(f"  {change['product_id']}/{change['device_id']}{shadow}", style="not dim")
    told.append(f"  {change['version']}", style="not dim bold")
    if change["type"] == REFUSED:
        told.append(f"  refused via {change['via']} by {change['by']}: {change['code']}", style="not dim yellow")
        return told
    told.append(f"  {change['cause'].replace('_', ' ')} via {change['via']} by {change['by']}", style="not dim")
    for section in ("desired", "reported"):
        if section in change["cleared"]:
            told.append(f"  {section} cleared", style="not dim")
        if change[section] is not None:
            told.append(f"  {section} {_json(change[section])}", style="not dim")
    if change["converged"]:
        told.append(f"  converged {', '.join(field['path'] for field in change['converged'])}", style="not dim green")
    return told


def _value(field: dict[str, Any], side: str) -> str:
    return _json(field[side]) if side in field else "-"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
