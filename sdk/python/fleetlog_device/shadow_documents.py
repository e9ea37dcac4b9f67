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
    reported_version: int | None = None
    """The version at which reported was changed last; None: the hub did not say, or says so in the native form only."""

    @property
    def delta(self) -> State:
        """What is desired and not reported, nested."""
        return delta(self.desired, self.reported)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The hub took the message, and the document has this version now."""

    version: int
    reported_version: int | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    code: str
    message: str


Told: TypeAlias = Document | Accepted | Refused


class Dialect(Protocol):
    """One way to speak of shadows. Its messages are pairs of topic and payload; ``known``: the newest document."""

    conflict: str | None
    """The code of a refusal that means "another version"; None: the hub sends the document instead."""
    acknowledges: bool
    """What is acknowledged becomes reported and is desired no more; else desired stays, and reported agrees with it."""

    def pull(self, message_id: str) -> tuple[str, bytes]: ...

    def report(self, message_id: str, reported: State, known: Document) -> tuple[str, bytes]:
        """``reported`` is merged: null deletes a key."""

    def delete(self, message_id: str, names: tuple[str, ...], known: Document) -> tuple[str, bytes]:
        """Report these no more."""

    def acknowledge(self, message_id: str, known: Document) -> tuple[str, bytes]:
        """All that is desired in it is so."""

    def refuses(self, told: Document, known: Document) -> bool:
        """Tell whether a document is sent in the place of an answer to a message made for the one that is known."""


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


def reported(document: Document, change: State, answer: Accepted) -> Document:
    """The document after a report that the hub accepted."""
    return _accepted(document, merge(document.reported, change), document.desired, answer)


def acknowledged(document: Document, answer: Accepted) -> Document:
    """The document after an acknowledgement that the hub accepted: nothing is desired any more."""
    return _accepted(document, merge(document.reported, document.desired), {}, answer)


def _accepted(document: Document, reported: State, desired: State, answer: Accepted) -> Document:
    return replace(
        document,
        reported=reported,
        desired=desired,
        version=answer.version,
        reported_version=answer.reported_version,
    )


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
        reported_version=optional(outer, "reported_version"),
    )


def optional(told: dict[str, Any], name: str) -> int | None:
    """A whole number where there is one. Raises `BadPayload`."""
    value = told.get(name)
    return None if value is None else integer(value, name)
