"""Shadow documents: what the two dialects have in common. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

from .payload import BadPayload, integer

State: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Document:
    """A device's shadow as the hub told it, or as it follows from what the hub accepted."""

    reported: State = field(default_factory=dict)
    desired: State = field(default_factory=dict)
    metadata: State = field(default_factory=dict)
    version: int = 0
    timestamp: int | None = None
    """Unix seconds."""

    @property
    def delta(self) -> State:
        """What is desired and not reported, nested."""
        return delta(self.desired, self.reported)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The hub took the message, and the document has this version now."""

    version: int


@dataclass(frozen=True, slots=True)
class Refused:
    code: str
    message: str


Told: TypeAlias = Document | Accepted | Refused


class Dialect(Protocol):
    """One way to speak of shadows. Its messages are pairs of topic and payload."""

    conflict: str | None
    """The code of a refusal that means "another version"; None: the hub sends the document instead."""

    def pull(self, message_id: str) -> tuple[str, bytes]: ...

    def report(self, message_id: str, reported: State, version: int) -> tuple[str, bytes]:
        """``reported`` is merged: null deletes a key. ``version``: the newest that is known."""

    def delete(self, message_id: str, names: tuple[str, ...], version: int) -> tuple[str, bytes]:
        """Report these no more."""

    def acknowledge(self, message_id: str, desired: State, version: int) -> tuple[str, bytes]:
        """All that is desired is so: it becomes reported, and is desired no more."""


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal. Unlike Python's, true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def delta(desired: State, reported: State) -> State:
    """``desired`` less what ``reported`` says already; objects are compared key by key, all else as a whole."""
    found: State = {}
    for key, wanted in desired.items():
        actual = reported.get(key)
        if isinstance(wanted, dict) and isinstance(actual, dict):
            if inner := delta(wanted, actual):
                found[key] = inner
        elif key not in reported or not same(wanted, actual):
            found[key] = wanted
    return found


def merge(state: State, change: State) -> State:
    """A new state: objects are merged, all else is replaced, null deletes."""
    merged = dict(state)
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            inner = merged.get(key)
            merged[key] = merge(inner if isinstance(inner, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def reported(document: Document, change: State, version: int) -> Document:
    """The document after a report that the hub accepted."""
    return replace(document, reported=merge(document.reported, change), version=version)


def acknowledged(document: Document, version: int) -> Document:
    """The document after an acknowledgement that the hub accepted."""
    return replace(document, reported=merge(document.reported, document.desired), desired={}, version=version)


def section(state: object, name: str) -> State:
    """``reported`` or ``desired`` of a state; absent and null are empty. Raises `BadPayload`."""
    if not isinstance(state, dict):
        raise BadPayload("state is not an object")
    found = state.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise BadPayload(f"{name} is not an object")
    return found


def document(content: dict[str, Any], outer: dict[str, Any]) -> Document:
    """``content`` has state and metadata, ``outer`` version and timestamp. Raises `BadPayload`."""
    state, metadata, timestamp = content.get("state"), content.get("metadata"), outer.get("timestamp")
    return Document(
        reported=section(state, "reported"),
        desired=section(state, "desired"),
        metadata=metadata if isinstance(metadata, dict) else {},
        version=integer(outer.get("version"), "version"),
        timestamp=None if timestamp is None else integer(timestamp, "timestamp"),
    )
