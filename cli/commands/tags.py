"""Tags: names under which devices are found and commanded."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.arguments import Device, Json, Version, path, tag
from cli.world import Session

app = typer.Typer(no_args_is_help=True, help="Names by which devices are found.")


def each(texts: list[str] | None) -> list[str]:
    """Raises typer.BadParameter."""
    return [tag(text) for text in texts or ()]


Tags = Annotated[list[str], typer.Argument(metavar="TAG...", callback=each)]
SomeTags = Annotated[list[str] | None, typer.Argument(metavar="[TAG]...", callback=each)]


@app.command("set")
def set_(
    context: typer.Context, device: Device, tags: SomeTags = None, version: Version = None, json: Json = False
) -> None:
    """Replace all tags of a device; without any it has none.

    \b
    Example: fleetlog tags set plant-7/press-1 hall-3 line-a
    """
    _change(context, device, ("PUT", "/tags"), tags or [], version, json=json)


@app.command()
def add(context: typer.Context, device: Device, tags: Tags, version: Version = None, json: Json = False) -> None:
    """Add tags to a device."""
    _change(context, device, ("POST", "/tags:add"), tags, version, json=json)


@app.command()
def remove(context: typer.Context, device: Device, tags: Tags, version: Version = None, json: Json = False) -> None:
    """Take tags from a device."""
    _change(context, device, ("POST", "/tags:remove"), tags, version, json=json)


@app.command()
def show(context: typer.Context, device: Device, json: Json = False) -> None:
    """Show the tags of a device and their version."""
    session = Session(context, json=json)
    with session.api() as api:
        document = api.get(path(device))
    session.out.document({"tags": document["tags"], "tags_version": document["tags_version"]})


def _change(
    context: typer.Context, device: str, call: tuple[str, str], tags: Any, version: int | None, *, json: bool
) -> None:
    session = Session(context, json=json)
    method, end = call
    with session.api() as api:
        session.out.document(api.send(method, f"{path(device)}{end}", {"tags": tags}, version=version))
