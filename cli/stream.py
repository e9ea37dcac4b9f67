"""Server-sent events, as the WHATWG HTML standard, 9.2.6, has them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Event(msgspec.Struct, frozen=True):
    data: str
    name: str
    """Empty: nothing happened, and the stream only tells where it is."""
    id: str | None
    """Of the last event that had one: where to go on after a break."""


def events(lines: Iterable[str]) -> Iterator[Event]:
    """Yield the events of a stream; one that its end cuts short is no event."""
    data: list[str] = []
    name, last, told = "", None, None
    for line in lines:
        if not line:
            if data:
                yield Event("\n".join(data), name or "message", last)
            elif last != told:
                yield Event("", "", last)
            data, name, told = [], "", last
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "data":
                data.append(value)
            case "event":
                name = value
            case "id" if "\0" not in value:
                last = value
            case _:
                continue  # a comment (its field is empty), a retry time, or unknown
