"""Commands: what devices are told to do, and what became of it."""

from __future__ import annotations

import base64
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.text import Text

from cli import times
from cli.arguments import Device, Json, path, span
from cli.arguments import device as checked_device
from cli.arguments import product as checked_product
from cli.exits import Exit, Failure
from cli.payloads import Payload, PayloadFile, given
from cli.world import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.stream import Event

app = typer.Typer(no_args_is_help=True, help="What devices are told to do, and what became of it.")

COLUMNS = {
    "request_id": "request",
    "command": "command",
    "mode": "mode",
    "state": "state",
    "attempts": "sent",
    "accepted_at": "accepted",
    "ended_at": "over",
    "by": "by",
}
KINDS = (
    "command_accepted",
    "command_queued",
    "command_sent",
    "command_delivered",
    "command_replied",
    "command_ended",
    "late_reply_recorded",
)
TYPES = ",".join(KINDS)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the command, as the device knows it.")]
Ttl = Annotated[
    int | None,
    typer.Option(
        "--ttl", metavar="SPAN", parser=span, help="Never sent after it, such as 1h; else as the product says."
    ),
]
Timeout = Annotated[
    int | None,
    typer.Option("--timeout", metavar="SPAN", parser=span, help="That a device has to reply, 30s at most; else 5s."),
]
Request = Annotated[str, typer.Argument(metavar="REQUEST", help="As `send` told it.")]
Of = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="PRODUCT/DEVICE",
        parser=checked_device,
        help="Whose; needed for a fan-out's, whose members share its id.",
    ),
]


def product_or_device(text: str) -> str:
    """Raises typer.BadParameter."""
    return checked_device(text) if "/" in text else checked_product(text)


@app.command()
def send(
    context: typer.Context,
    device: Device,
    name: Name,
    payload: Payload = None,
    file: PayloadFile = None,
    ttl: Ttl = None,
    json: Json = False,
) -> None:
    """Send a command: now, or as soon as the device is online.

    \b
    Example: fleetlog command send plant-7/press-1 unlock door=2 --ttl 1h
    """
    session = Session(context, json=json)
    body = {"name": name, **given(payload, file), **({} if ttl is None else {"ttl_s": ttl})}
    with session.api() as api:
        session.out.document(api.send("POST", f"{path(device)}/commands", body))


@app.command("list")
def list_(
    context: typer.Context,
    device: Device,
    state: Annotated[
        str, typer.Option(metavar="STATE", help="open, ended, all, or one state such as queued or replied.")
    ] = "open",
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Of the past: RFC 3339, or 15m; else 30 days.")
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="At most so many; all without it.")] = None,
    json: Json = False,
) -> None:
    """List a device's commands: those that are open, or those of the past, the newest first.

    \b
    Example: fleetlog command list plant-7/press-1 --state ended --limit 20
    """
    session = Session(context, json=json)
    begin = None if since is None else session.moment(since)
    with session.api() as api:
        found = api.pages(f"{path(device)}/commands", limit, state=state, **{"from": begin})
        session.out.items(found, COLUMNS, "no command")


@app.command()
def show(context: typer.Context, request: Request, device: Of = None, json: Json = False) -> None:
    """Show what became of a command, step by step."""
    session = Session(context, json=json)
    with session.api() as api:
        command = api.get(f"/commands/{request}", device=device)
    if json:
        session.out.document(command)
        return
    steps = command.pop("steps")
    show_entry(session, command)
    for step in steps or ():
        session.out.line(line(step["event"], session))
    if steps is None:
        session.out.note("Its steps cannot be shown now: the store of the past does not answer.")


@app.command()
def cancel(context: typer.Context, request: Request, device: Of = None, json: Json = False) -> None:
    """End a command that is not over. A device that has it already may still carry it out."""
    session = Session(context, json=json)
    query = "" if device is None else f"?device={device}"
    with session.api() as api:
        show_entry(session, api.send("POST", f"/commands/{request}:cancel{query}"))


@app.command()
def watch(
    context: typer.Context,
    which: Annotated[
        str, typer.Argument(metavar="PRODUCT[/DEVICE]", callback=product_or_device, help="Of all its devices, or one.")
    ],
    request: Annotated[str | None, typer.Option("--request", metavar="REQUEST", help="Only this one.")] = None,
    last: Annotated[
        str | None, typer.Option("--after", metavar="ID", help="Go on behind this event; ids are in --json.")
    ] = None,
    count: Annotated[int | None, typer.Option(metavar="N", min=1, help="End after so many.")] = None,
    json: Json = False,
) -> None:
    """Show every step of commands as it happens, until Ctrl-C.

    \b
    Example: fleetlog command watch plant-7/press-1
    """
    session = Session(context, json=json)
    product_id, _, device_id = which.partition("/")
    with session.api() as api:
        stream = api.follow(f"/products/{product_id}/stream", last, types=TYPES)
        for event, step in islice(_steps(stream, device_id, request, session), count):
            if json:
                session.out.json_line({"event_id": event.id, **step})
            else:
                session.out.line(line(step, session))


def _steps(
    stream: Iterator[Event], device_id: str, request: str | None, session: Session
) -> Iterator[tuple[Event, dict[str, Any]]]:
    for event in stream:
        step = msgspec.json.decode(event.data, type=dict[str, Any])
        if event.name == "gap":
            session.out.note("Some steps were gone before they could be shown: look at what is so now.")
        elif (not device_id or step["device_id"] == device_id) and request in {None, step["request_id"]}:
            yield event, step


def line(step: dict[str, Any], session: Session) -> Text:
    """``2026-03-01 12:03:04.123  plant-7/press-1  c-m2Tq  replied after 38 ms  {"open":true}``."""
    told = Text(times.local(step["at"], session.world.zone, exact=True), style="dim")
    told.append(f"  {step['product_id']}/{step['device_id']}  {step['request_id']}", style="not dim")
    match step["type"]:
        case "command_accepted":
            told.append(f"  accepted {step['command']} by {step['by']}", style="not dim bold")
        case "command_queued":
            told.append(f"  queued, {step['pending']} wait", style="not dim")
        case "command_sent":
            told.append("  sent" + (f", the {step['attempt']}. time" if step["attempt"] > 1 else ""), style="not dim")
        case "command_replied":
            told.append(f"  replied after {step['rtt_ms']} ms  {said(step)}", style="not dim green")
        case "late_reply_recorded":
            told.append(f"  replied when it was over  {said(step)}", style="not dim yellow")
        case "command_ended":
            told.append(f"  {step['outcome'].replace('_', ' ')}: {step['reason']}", style="not dim yellow")
        case _:
            told.append("  delivered", style="not dim")
    return told


def said(reply: dict[str, Any]) -> str:
    """A reply as people read it: JSON, or text where it is some; else the bytes in base64."""
    payload = reply["payload"]
    if reply["encoding"] == "json":
        return msgspec.json.encode(payload).decode()
    return payload if (text := _text(payload)) is None else text or "(nothing)"


def _text(encoded: str) -> str | None:
    try:
        text = base64.b64decode(encoded).decode()
    except ValueError:
        return None
    return text if text.isprintable() else None


def show_entry(session: Session, entry: dict[str, Any]) -> None:
    """Print an entry of the ledger; people get a reply that is text as text."""
    reply = entry.get("reply")
    if reply is not None and reply["encoding"] != "json" and not session.out.json:
        text = _text(reply["payload"])
        if text is not None:
            entry = {**entry, "reply": {**reply, "encoding": "text", "payload": text or None}}
    session.out.document(entry)


def rpc(
    context: typer.Context,
    device: Device,
    name: Name,
    payload: Payload = None,
    file: PayloadFile = None,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """Call a device, and show its reply; exit status 5 where it is offline, or does not reply in time.

    \b
    Example: fleetlog rpc plant-7/press-1 unlock door=2 --timeout 10s
    """
    session = Session(context, json=json)
    body = {"name": name, **given(payload, file), **({} if timeout is None else {"timeout_s": timeout})}
    with session.api() as api:
        try:
            show_entry(session, api.send("POST", f"{path(device)}/rpc", body))
        except Failure as failure:
            entry = failure.further.get("current")
            if entry is not None and failure.code != "device_offline":  # what is over as it begins, nothing comes of
                failure.advice = (
                    f"`fleetlog command show {entry['request_id']} --device {device}` tells what becomes of it"
                )
            raise


def probe(
    context: typer.Context,
    device: Device,
    mode: Annotated[
        str, typer.Option(metavar="MODE", help="strict, normal or loose: unreachable after 1, 2 or 3 misses in a row.")
    ] = "normal",
    json: Json = False,
) -> None:
    """Find out whether a device answers, whatever its connection looks like; exit status 5 where it does not.

    \b
    Example: fleetlog probe plant-7/press-1 --mode strict
    """
    session = Session(context, json=json)
    with session.api() as api:
        told = api.send("POST", f"{path(device)}/probe", {"mode": mode})
    session.out.document(told)
    if told["verdict"] == "unreachable":
        raise Failure(Exit.UNAVAILABLE, f"{device} does not answer", code="unreachable")


def probes(
    context: typer.Context,
    device: Device,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="At most so many; all without it.")] = 50,
    json: Json = False,
) -> None:
    """List what probes of a device came to, the newest first."""
    session = Session(context, json=json)
    columns = {name: name.removesuffix("_ms") for name in ("at", "mode", "verdict", "attempts", "rtt_ms", "altered")}
    with session.api() as api:
        session.out.items(api.pages(f"{path(device)}/probes", limit), columns, "no probe")


def message(
    context: typer.Context,
    device: Device,
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="The device gets it on TOPIC/p2p/PRODUCT/DEVICE.")],
    payload: Payload = None,
    file: PayloadFile = None,
    json: Json = False,
) -> None:
    """Send a message to one device, which needs no subscription for it and must be online.

    \b
    Example: fleetlog message plant-7/press-1 recipes recipe=12
    """
    session = Session(context, json=json)
    with session.api() as api:
        taken = api.send("POST", f"{path(device)}/messages", {"topic": topic, **given(payload, file)})
    session.out.done(f"the message {taken['message_id']} is on its way to {device}", taken)
