"""Fan-outs: commands to all devices of a tag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from cli.arguments import Json, Product, tag
from cli.commands.command import Name, Timeout, Ttl
from cli.exits import Exit, Failure, usage
from cli.payloads import Payload, PayloadFile, given
from cli.world import Session

if TYPE_CHECKING:
    from cli.api import Api

app = typer.Typer(no_args_is_help=True, help="Commands to all devices of a tag.")

FINAL = "final"
"""Name of the event after which nothing follows."""
COUNTS = (
    "accepted",
    "queued",
    "sent",
    "delivered",
    "replied",
    "failed",
    "rejected",
    "expired",
    "timed_out",
    "cancelled",
    "refused",
    "late",
)

COLUMNS = {
    "device_id": "device",
    "state": "state",
    "attempts": "sent",
    "accepted_at": "accepted",
    "ended_at": "over",
    "reason": "why",
}

Tag = Annotated[str, typer.Argument(metavar="TAG", callback=tag)]
FanOut = Annotated[str, typer.Argument(metavar="FANOUT", help="As `send` told it.")]


def wait_for(text: str) -> dict[str, Any]:
    """``all``, ``deadline``, or a share such as ``0.5``. Raises typer.BadParameter."""
    if text in {"all", "deadline"}:
        return {"wait": text}
    try:
        share = float(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not all, deadline or a share such as 0.5") from error
    if not 0 < share <= 1:
        raise typer.BadParameter(f"{text} is no share: use more than 0, and at most 1")
    return {"wait": "share", "share": share}


@app.command()
def send(
    context: typer.Context,
    product: Product,
    name_of_tag: Tag,
    name: Name,
    payload: Payload = None,
    file: PayloadFile = None,
    ttl: Ttl = None,
    json: Json = False,
) -> None:
    """Send a command to every device that carries the tag now; for those that are offline it waits.

    \b
    Example: fleetlog fanout send plant-7 hall-3 reboot --ttl 1h
    """
    session = Session(context, json=json)
    body = {"name": name, **given(payload, file), **({} if ttl is None else {"ttl_s": ttl})}
    with session.api() as api:
        _told(session, _begun(api, f"/products/{product}/tags/{name_of_tag}/commands", body))


@app.command()
def rpc(
    context: typer.Context,
    product: Product,
    name_of_tag: Tag,
    name: Name,
    payload: Payload = None,
    file: PayloadFile = None,
    wait: Annotated[
        str, typer.Option(metavar="WAIT", help="all: until every call is over; 0.5: until half have replied; deadline.")
    ] = "all",
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """Call every device that carries the tag now, and show who replied what; nobody waits for those that are offline.

    Exit status 5 where fewer have replied than the share that --wait names.

    \b
    Example: fleetlog fanout rpc plant-7 hall-3 measure --wait 0.9 --timeout 10s
    """
    session = Session(context, json=json)
    try:
        waited = wait_for(wait)
    except typer.BadParameter as error:
        raise usage(error.message) from error
    body = {"name": name, **given(payload, file), **waited, **({} if timeout is None else {"timeout_s": timeout})}
    with session.api() as api:
        told = _begun(api, f"/products/{product}/tags/{name_of_tag}/rpc", body)
    _told(session, told)
    wanted = waited.get("share", 0) * told["members"]
    if told["replied"] < wanted:
        raise Failure(
            Exit.UNAVAILABLE,
            f"{told['replied']} of {told['members']} have replied, which is less than {waited['share']:g} of them",
            code="too_few_replies",
            advice=f"`fleetlog fanout members {told['fanout_id']}` tells what became of each",
        )


@app.command()
def show(context: typer.Context, fanout: FanOut, json: Json = False) -> None:
    """Count the devices of a fan-out by the state of their commands."""
    session = Session(context, json=json)
    with session.api() as api:
        session.out.document(api.get(f"/fanouts/{fanout}"))


@app.command()
def members(
    context: typer.Context,
    fanout: FanOut,
    state: Annotated[
        str, typer.Option(metavar="STATE", help="open, ended, all, or one state such as queued or expired.")
    ] = "all",
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="At most so many; all without it.")] = None,
    json: Json = False,
) -> None:
    """List what became of each device's command, in order of the devices.

    \b
    Example: fleetlog fanout members f-m2Tq3Jb6QGqk0dUq2mJ0Zg --state expired
    """
    session = Session(context, json=json)
    with session.api() as api:
        found = api.pages(f"/fanouts/{fanout}/commands", limit, state=state)
        session.out.items(found, COLUMNS, "no device")


@app.command()
def cancel(context: typer.Context, fanout: FanOut, json: Json = False) -> None:
    """End all commands of a fan-out that are not over."""
    session = Session(context, json=json)
    with session.api() as api:
        _told(session, api.send("POST", f"/fanouts/{fanout}:cancel"))


@app.command()
def watch(context: typer.Context, fanout: FanOut, json: Json = False) -> None:
    """Show the counts of a fan-out as they change, until all is over.

    \b
    Example: fleetlog fanout watch f-m2Tq3Jb6QGqk0dUq2mJ0Zg
    """
    session = Session(context, json=json)
    shown = ""
    with session.api() as api, session.out.changing() as show:
        for event in api.follow(f"/fanouts/{fanout}/stream"):
            counts = msgspec.json.decode(event.data, type=dict[str, Any])
            told = event.data if json else line(counts)
            if told != shown:  # the same again where the stream broke, or people do not see the difference
                shown = told
                if json:
                    session.out.json_line(counts)
                else:
                    show(told)
            if event.name == FINAL:
                return


def line(counts: dict[str, Any]) -> str:
    """``812 devices: 170 queued, 12 sent, 628 replied``."""
    named = ", ".join(f"{counts[name]} {name.replace('_', ' ')}" for name in COUNTS if counts[name])
    told = f"{counts['members']} devices" + (f": {named}" if named else "")
    missing = counts.get("missing_partitions")
    return f"{told}; partitions that do not answer now: {', '.join(map(str, missing))}" if missing else told


def _begun(api: Api, where: str, body: dict[str, Any]) -> Any:
    """Begin a fan-out. Raises `Failure`, which says where it is found if it may have begun."""
    try:
        return api.send("POST", where, body)
    except Failure as failure:
        if (known := failure.further.get("current")) is not None:
            failure.advice = f"`fleetlog fanout show {known['fanout_id']}` tells whether it has begun"
        raise


def _told(session: Session, told: dict[str, Any]) -> None:
    session.out.document(told)
    if told.get("missing_partitions"):
        raise Failure(
            Exit.UNAVAILABLE,
            "a part of the hub has not answered in time; its devices get it later, or have got it",
            code="no_answer",
            advice=f"`fleetlog fanout show {told['fanout_id']}` tells how far it is",
        )
