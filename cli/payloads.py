"""Payloads as people type them: fields, JSON, or a file's bytes."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from .arguments import pair
from .exits import usage

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)

Payload = Annotated[
    list[str] | None,
    typer.Argument(metavar="FIELD=VALUE...", help="Fields of a JSON object; or one JSON text; or nothing."),
]
PayloadFile = Annotated[
    str | None,
    typer.Option("--file", metavar="FILE", help="Send the bytes of a file, or with - of standard input, as they are."),
]


def tree(texts: list[str]) -> dict[str, Any]:
    """``led.mode=eco`` for ``{"led": {"mode": "eco"}}``, and several of them. Raises `Failure`."""
    made: dict[str, Any] = {}
    for text in texts:
        names, value = pair(text)
        *above, last = names.split(".")
        inner = made
        for name in above:
            inner = inner.setdefault(name, {})
            if not isinstance(inner, dict):
                raise usage(f"{text!r} is within a field that was given a value before")
        if last in inner:
            raise usage(f"{text!r} is of a field that was given a value before")
        inner[last] = value
    return made


def given(texts: list[str] | None, file: str | None) -> dict[str, Any]:
    """Return the part of a request's body that has the payload. Raises `Failure`."""
    if file is not None:
        if texts:
            raise usage("either --file or a payload can be meant")
        try:
            content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        except OSError as error:
            raise usage(f"{file} cannot be read: {error.strerror}") from error
        return {"payload_base64": base64.b64encode(content).decode()}
    if not texts:
        return {}
    if len(texts) == 1:
        try:
            return {"payload": msgspec.json.decode(texts[0])}
        except UNREADABLE as error:
            if texts[0].lstrip()[:1] in {"{", "[", '"'}:
                raise usage(f"that is no JSON: {error}") from error
    return {"payload": tree(texts)}
