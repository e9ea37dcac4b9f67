"""Arguments and options that many commands share."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import msgspec
import typer

from libs.topics.identity import is_name

from . import times
from .exits import usage

NAMES = "1 to 64 of A-Z a-z 0-9 _ -"


def product(text: str) -> str:
    """Raises typer.BadParameter."""
    if not is_name(text):
        raise typer.BadParameter(f"{text!r} is no product id: {NAMES}")
    return text


def device(text: str) -> str:
    """Raises typer.BadParameter."""
    product_id, slash, device_id = text.partition("/")
    if not slash or not is_name(product_id) or not is_name(device_id):
        raise typer.BadParameter(f"{text!r} is no device: it must be PRODUCT/DEVICE, each {NAMES}")
    return text


def tag(text: str) -> str:
    """Raises typer.BadParameter."""
    if not is_name(text):
        raise typer.BadParameter(f"{text!r} is no tag: {NAMES}")
    return text


def span(text: str) -> int:
    """In seconds. Raises typer.BadParameter."""
    try:
        return times.parse_span(text) // 1000
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def pair(text: str) -> tuple[str, Any]:
    """``NAME=VALUE``; the value is JSON, or a text where it is not. Raises typer.BadParameter."""
    name, sign, value = text.partition("=")
    if not name or not sign:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE")
    try:
        return name, msgspec.json.decode(value)
    except msgspec.DecodeError:
        return name, value


def shadow(text: str | None) -> str | None:
    """Raises typer.BadParameter."""
    if text is not None and not is_name(text):
        raise typer.BadParameter(f"{text!r} is no name of a shadow: {NAMES}")
    return text


Json = Annotated[bool, typer.Option("--json", help="Print JSON: one document, or one line per item.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether it is meant.")]
Version = Annotated[
    int | None,
    typer.Option("--if-version", metavar="N", min=0, help="Refuse where the document is at another version (exit 4)."),
]
Product = Annotated[str, typer.Argument(metavar="PRODUCT", callback=product, help="Product id.")]
Device = Annotated[str, typer.Argument(metavar="PRODUCT/DEVICE", callback=device, help="As the device's user name.")]
ShadowName = Annotated[
    str | None,
    typer.Option("--name", metavar="NAME", callback=shadow, help="Of a named shadow; else the device's own."),
]


def path(name: str) -> str:
    """``p/d`` as a path of the API."""
    product_id, device_id = name.split("/")
    return f"/products/{product_id}/devices/{device_id}"


def shadow_path(device: str, name: str | None) -> str:
    """A shadow as a path of the API; ``name``: None for the device's own."""
    return f"{path(device)}/shadow" if name is None else f"{path(device)}/shadows/{name}"


def confirm(question: str, *, yes: bool) -> None:
    """Ask on a terminal; elsewhere nobody can answer, so ``--yes`` is needed. Raises `Failure`, typer.Abort."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise usage("this cannot be undone, and nobody is there to be asked", "give --yes")
    typer.confirm(question, abort=True, err=True)
