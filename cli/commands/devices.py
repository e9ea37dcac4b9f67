"""Devices: who may connect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cli import bulk as loading
from cli.arguments import Device, Json, Product, Version, Yes, confirm, pair, path, span, tag
from cli.arguments import device as checked_device
from cli.arguments import product as checked_product
from cli.world import Session

app = typer.Typer(no_args_is_help=True, help="Who may connect.")

COLUMNS = {"device_id": "device", "enabled": "enabled", "tags": "tags", "updated_at": "changed"}


def product_or_device(text: str) -> str:
    """Raises typer.BadParameter."""
    return checked_device(text) if "/" in text else checked_product(text)


@app.command()
def register(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(metavar="PRODUCT[/DEVICE]", callback=product_or_device, help="Without a device id one is made."),
    ],
    tags: Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="Repeat it for several.")] = None,
    attributes: Annotated[
        list[Any] | None,
        typer.Option("--attribute", metavar="NAME=VALUE", parser=pair, help="JSON or text. Repeat it for several."),
    ] = None,
    json: Json = False,
) -> None:
    """Register one device and show its secret, this once.

    \b
    Example: fleetlog devices register plant-7/press-1 --tag hall-3 --attribute serial=A17
    """
    session = Session(context, json=json)
    product_id, _, device_id = name.partition("/")
    body: dict[str, Any] = {"tags": [tag(text) for text in tags or ()], "attributes": dict(attributes or ())}
    if device_id:
        body["device_id"] = device_id
    with session.api() as api:
        _tell(session, api.send("POST", f"/products/{product_id}/devices", body))


@app.command()
def bulk(
    context: typer.Context,
    product: Product,
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="CSV or JSON lines.")],
    results: Annotated[
        Path | None,
        typer.Option("--results", metavar="FILE", help="Where secrets go. Default: FILE with .secrets before its end."),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="NAME", help="Go on with a run that broke off: it told its name.")
    ] = None,
    json: Json = False,
) -> None:
    """Register the devices of a file, and write their secrets to a new file that only you can read.

    A CSV file begins with a line of column names: device_id, tags (separated by spaces), and every other column is an
    attribute. JSON lines: {"device_id": "press-1", "tags": ["hall-3"], "attributes": {"serial": "A17"}}.

    A run that breaks off can be repeated under its name: devices that exist by then are answered as they were the
    first time, with the same secrets.

    \b
    Example: fleetlog devices bulk plant-7 presses.csv --results secrets.csv
    """
    session = Session(context, json=json)
    devices = loading.read(file)
    with session.api() as api:
        loading.register(session, api, product, devices, results=results or loading.beside(file), run=run)


@app.command("list")
def list_(
    context: typer.Context,
    product: Product,
    with_tag: Annotated[str | None, typer.Option("--tag", metavar="TAG", help="Only those with this tag.")] = None,
    prefix: Annotated[str | None, typer.Option(metavar="TEXT", help="Only ids that begin with it.")] = None,
    online: Annotated[
        bool | None, typer.Option("--online/--offline", help="Only those that are connected, or are not.")
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="At most so many; all without it.")] = None,
    json: Json = False,
) -> None:
    """List a product's devices in order of their ids.

    \b
    Example: fleetlog devices list plant-7 --tag hall-3 --online --json
    """
    session = Session(context, json=json)
    state = None if online is None else str(online).lower()
    with session.api() as api:
        devices = api.pages(f"/products/{product}/devices", limit, tag=with_tag, prefix=prefix, online=state)
        session.out.items(devices, COLUMNS, "no device")


@app.command()
def show(context: typer.Context, device: Device, json: Json = False) -> None:
    """Show all that is known about a device."""
    session = Session(context, json=json)
    with session.api() as api:
        session.out.document(api.get(path(device)))


@app.command()
def disable(context: typer.Context, device: Device, version: Version = None, json: Json = False) -> None:
    """Cut a device off within a second, and refuse it until it is enabled."""
    _verb(context, device, "disable", version, json=json)


@app.command()
def enable(context: typer.Context, device: Device, version: Version = None, json: Json = False) -> None:
    """Let a disabled device in again."""
    _verb(context, device, "enable", version, json=json)


@app.command("rotate-secret")
def rotate_secret(
    context: typer.Context,
    device: Device,
    grace: Annotated[
        int | None,
        typer.Option(metavar="SPAN", parser=span, help="How long the old secret stays valid, such as 1h; not at all."),
    ] = None,
    version: Version = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Give a device a new secret, shown once.

    \b
    Example: fleetlog devices rotate-secret plant-7/press-1 --grace 1h --yes
    """
    confirm(f"Replace the secret of {device}?", yes=yes)
    _verb(context, device, "rotate-secret", version, {"grace_s": grace or 0}, json=json)


@app.command()
def delete(
    context: typer.Context, device: Device, version: Version = None, yes: Yes = False, json: Json = False
) -> None:
    """Forget a device: its credentials, session, presence and queue; its history stays."""
    confirm(f"Delete device {device}?", yes=yes)
    session = Session(context, json=json)
    with session.api() as api:
        api.send("DELETE", path(device), version=version)
    session.out.done(f"device {device} is deleted", {"device": device, "deleted": True})


def _verb(context: typer.Context, device: str, verb: str, version: int | None, body: Any = None, *, json: bool) -> None:
    session = Session(context, json=json)
    with session.api() as api:
        _tell(session, api.send("POST", f"{path(device)}:{verb}", body, version=version))


def _tell(session: Session, document: dict[str, Any]) -> None:
    session.out.document(document)
    if document.get("secret"):
        session.out.note("The secret is shown this once: whoever lost it needs `fleetlog devices rotate-secret`.")
