"""The tags of a device, and the subscriptions that follow from them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .names import NAME
from .payload import BadPayload, integer


@dataclass(frozen=True, slots=True)
class Tags:
    names: frozenset[str] = frozenset()
    version: int = 0

    def document(self) -> dict[str, Any]:
        return {"tags": sorted(self.names), "tags_version": self.version}


def read(document: dict[str, Any]) -> Tags:
    """A ``$set_tags``. Raises `BadPayload`."""
    names = document.get("tags")
    if not isinstance(names, list) or not all(isinstance(name, str) and NAME.fullmatch(name) for name in names):
        raise BadPayload("tags is not a list of names")
    return Tags(frozenset(names), integer(document.get("tags_version"), "tags_version"))


def apply(current: Tags, told: Tags) -> Tags:
    """Only a larger version counts: repetitions and latecomers change nothing."""
    return told if told.version > current.version else current
