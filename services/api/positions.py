"""Where a reader of the live stream is: of each partition of each topic, the next record. Pure.

Written as the id of an event, so that any process of the API can go on where another one stopped: for each topic a
letter, then the offsets of its partitions in their order, as numbers to the base 36.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from libs.topics import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Place: TypeAlias = tuple[str, int]
"""(topic, partition)."""

LETTERS: Final = {
    names.PRESENCE_TRANSITIONS: "p",
    names.REGISTRY_EVENTS: "r",
    names.SHADOW_EVENTS: "s",
    names.COMMANDS_EVENTS: "c",
    names.DEVICE_TELEMETRY: "t",
}
DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"

_TOPICS: Final = {letter: topic for topic, letter in LETTERS.items()}
_FORM: Final = re.compile(r"~([cprst])([0-9a-z]{1,12}(?:\.[0-9a-z]{1,12})*)")
LONGEST: Final = 5120
"""Characters that a position may have: five topics of a hundred partitions, and more."""


class InvalidPosition(ValueError):
    """Not a position that this hub has told."""


def write(topics: Iterable[str], vector: Mapping[Place, int], partitions: int) -> str:
    """Write a position as the id of an event."""
    return "".join(
        "~" + LETTERS[topic] + ".".join([_base36(vector[topic, number]) for number in range(partitions)])
        for topic in topics
    )


def read(text: str, partitions: int) -> dict[Place, int]:
    """Read what `write` wrote, perhaps about fewer or more topics than are asked for now. Raises `InvalidPosition`."""
    found: dict[Place, int] = {}
    at = 0
    if not text or len(text) > LONGEST:
        raise InvalidPosition("a position is the id of an event of this stream")
    while at < len(text):
        section = _FORM.match(text, at)
        if section is None:
            raise InvalidPosition("the position was not told by this stream")
        topic, offsets = _TOPICS[section[1]], section[2].split(".")
        if len(offsets) != partitions or (topic, 0) in found:
            raise InvalidPosition("the position is of an installation with another number of partitions")
        found |= {(topic, number): int(offset, 36) for number, offset in enumerate(offsets)}
        at = section.end()
    return found


def _base36(number: int) -> str:
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = DIGITS[digit] + digits
        if not number:
            return digits


class Cursor:
    """Keeps a reader from having a record twice, and notices what it will never have."""

    def __init__(self, vector: Mapping[Place, int]) -> None:
        self.vector = dict(vector)

    def take(self, place: Place, offset: int) -> int | None:
        """Move behind a record. Returns how many before it are gone from Kafka; None: the reader has had it."""
        gone = offset - self.vector[place]
        if gone < 0:
            return None
        self.vector[place] = offset + 1
        return gone

    def behind(self, target: Mapping[Place, int]) -> dict[Place, int]:
        """Return how many records are missing up to ``target``, of each partition where some are."""
        return {place: end - self.vector[place] for place, end in target.items() if end > self.vector[place]}
