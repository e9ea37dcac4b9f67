"""Shadows: what devices should be, and what they say that they are."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import msgspec
import typer

from cli.arguments import Device, Json, Product, ShadowName, Yes, confirm, path, shadow_path, span, tag
from cli.commands import shadow_past, shadow_verify
from cli.exits import Exit, Failure, usage
from cli.payloads import tree
from cli.world import Session

app = typer.Typer(no_args_is_help=True, help="What devices should be, and what they are.")

COLUMNS = {
    "shadow": "shadow",
    "version": "version",
    "desired_version": "desired",
    "reported_version": "reported",
    "pending_since": "differ since",
    "updated_at": "changed",
}
WAIT = range(1, 31)
"""Seconds that the API waits at most."""

Expected = Annotated[
    int | None, typer.Option("--expected", metavar="N", min=0, help="Refuse where it is at another version (exit 4).")
]
Desired = Annotated[
    list[str], typer.Argument(metavar="FIELD=VALUE...", help="JSON or text; or one JSON object; or - to read one.")
]


def desired(texts: list[str]) -> dict[str, Any]:
    """``led.mode=eco`` for ``{"led": {"mode": "eco"}}``, several of them, or a JSON object. Raises `Failure`."""
    if len(texts) == 1 and (texts[0] == "-" or texts[0].lstrip().startswith("{")):
        try:
            return msgspec.json.decode(sys.stdin.buffer.read() if texts[0] == "-" else texts[0], type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise usage(f"that is no JSON object: {error}") from error
    return tree(texts)


@app.command()
def get(
    context: typer.Context,
    device: Device,
    name: ShadowName = None,
    version: Annotated[int | None, typer.Option(metavar="N", min=0, help="That version, also of long ago.")] = None,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="As it was then: RFC 3339, or 15m: so long ago.")
    ] = None,
    json: Json = False,
) -> None:
    """Show a shadow as it is, or as it was.

    \b
    Example: fleetlog shadow get plant-7/press-1 --at 2026-03-01T12:00:00Z
    """
    session = Session(context, json=json)
    if version is not None and at is not None:
        raise usage("either --version or --at can be meant")
    moment = None if at is None else session.moment(at)
    with session.api() as api:
        _tell(session, api.get(shadow_path(device, name), version=version, at=moment))


@app.command("list")
def list_(context: typer.Context, device: Device, json: Json = False) -> None:
    """List a device's own shadow and its named ones."""
    session = Session(context, json=json)
    with session.api() as api:
        own = api.get(shadow_path(device, None))
        shadows = [own, *api.pages(f"{path(device)}/shadows")]
    session.out.items(shadows, COLUMNS, "no shadow")


@app.command("set")
def set_(
    context: typer.Context,
    device: Device,
    fields: Desired,
    name: ShadowName = None,
    expected: Expected = None,
    wait: Annotated[
        int | None,
        typer.Option(metavar="SPAN", parser=span, help="Up to 30s for the device to report it; else exit status 5."),
    ] = None,
    json: Json = False,
) -> None:
    """Change what a device should be: what is given is set, null removes it, all else stays.

    \b
    Example: fleetlog shadow set plant-7/press-1 led.mode=eco speed=null --wait 10s
    """
    session = Session(context, json=json)
    if wait is not None and wait not in WAIT:
        raise usage(f"--wait is {WAIT.start}s to {WAIT.stop - 1}s")
    with session.api() as api:
        document, reported = api.merge(shadow_path(device, name), desired(fields), version=expected, wait=wait)
    _tell(session, document)
    if not reported:
        raise Failure(
            Exit.UNAVAILABLE,
            f"it is made, and {device} has not reported it: {wait} s are over, or something else is desired by now",
            code="not_reported",
            advice="the device is told as soon as it is online; `fleetlog shadow get` shows what it has reported",
        )


@app.command()
def replace(
    context: typer.Context,
    device: Device,
    fields: Desired,
    name: ShadowName = None,
    expected: Expected = None,
    json: Json = False,
) -> None:
    """Say all that a device should be: what is not given is desired no more.

    \b
    Example: fleetlog shadow replace plant-7/press-1 '{"led": {"mode": "eco"}}' --expected 7
    """
    session = Session(context, json=json)
    with session.api() as api:
        _tell(session, api.send("PUT", shadow_path(device, name), desired(fields), version=expected))


@app.command()
def clear(
    context: typer.Context, device: Device, name: ShadowName = None, expected: Expected = None, json: Json = False
) -> None:
    """Desire nothing any more; what is reported stays."""
    session = Session(context, json=json)
    with session.api() as api:
        _tell(session, api.send("POST", f"{shadow_path(device, name)}:clear", version=expected))


@app.command()
def delete(
    context: typer.Context,
    device: Device,
    name: ShadowName = None,
    expected: Expected = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Forget what is desired and reported; the history stays."""
    said = "shadow" if name is None else f"shadow {name}"
    confirm(f"Delete the {said} of {device}?", yes=yes)
    session = Session(context, json=json)
    with session.api() as api:
        api.send("DELETE", shadow_path(device, name), version=expected)
    session.out.done(f"the {said} of {device} is deleted", {"device": device, "shadow": name, "deleted": True})


@app.command("patch-tag")
def patch_tag(
    context: typer.Context,
    product: Product,
    name_of_tag: Annotated[str, typer.Argument(metavar="TAG", callback=tag)],
    fields: Desired,
    name: ShadowName = None,
    json: Json = False,
) -> None:
    """Change what all devices of a tag should be, and count them.

    \b
    Example: fleetlog shadow patch-tag plant-7 hall-3 led.mode=eco
    """
    session = Session(context, json=json)
    end = "shadow" if name is None else f"shadows/{name}"
    with session.api() as api:
        counted = api.send("POST", f"/products/{product}/tags/{name_of_tag}/{end}", desired(fields))
    session.out.document(counted)
    if counted.get("missing_partitions"):
        raise Failure(
            Exit.UNAVAILABLE,
            "a part of the hub has not answered in time; its devices are changed later, or were",
            code="no_answer",
            advice=f"`fleetlog shadow patched {product} {counted['patch_id']}` tells how far it is",
        )


@app.command()
def patched(
    context: typer.Context,
    product: Product,
    patch_id: Annotated[str, typer.Argument(metavar="PATCH", help="As `patch-tag` told it.")],
    json: Json = False,
) -> None:
    """Tell how many devices a patch by tag has changed, and how many of them are so by now."""
    session = Session(context, json=json)
    with session.api() as api:
        session.out.document(api.get(f"/products/{product}/shadow-patches/{patch_id}"))


def _tell(session: Session, document: dict[str, Any]) -> None:
    """People are spared the moments at which each field was set."""
    if not session.out.json:
        document = {name: value for name, value in document.items() if name != "metadata"}
    session.out.document(document)


for command in (shadow_past.history, shadow_past.diff, shadow_past.watch, shadow_verify.verify):
    app.command()(command)


def status(context: typer.Context, device: Device, json: Json = False) -> None:
    """Show what a device reported as its status last."""
    session = Session(context, json=json)
    with session.api() as api:
        session.out.document(api.get(f"{path(device)}/status"))
