"""What devices ask the hub itself, and what they are told unasked: the time, and their tags. Pure."""

from __future__ import annotations

from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING, Final

import msgspec

from libs.topics.codec import encode

from . import mouth
from .model import NEVER

if TYPE_CHECKING:
    from libs.topics.messages.commands import ResourceRequested

    from .turn import Turn

TIME_WITHIN: Final = 5_000
"""Milliseconds for which an answer with the time is of use."""
SENT: Final = "iothub_send"
"""The field that the downlink fills in when it sends."""


class _Asked(msgspec.Struct):
    device_time: int | float


class _Had(msgspec.Struct):
    tags_version: int
    subscribed: bool = False


_decode: Final = msgspec.json.Decoder(_Asked).decode
_decode_had: Final = msgspec.json.Decoder(_Had).decode


def answer(turn: Turn, message: ResourceRequested) -> str:
    """Answer a device. Whether applications know it does not matter for the time; only a registered one has tags."""
    if turn.row.gone_at is not None:
        return "late"
    if message.resource == "$ntp":
        _tell_time(turn, message)
    elif turn.row.registered:
        _follow(turn, message)
        _tell_tags(turn)
    else:
        return "unknown"
    return "told"


def tell_tags(turn: Turn) -> None:
    """Tell a device that can hear of tags that are newer than those that it was told last."""
    row = turn.row
    if row.registered and row.hears and row.tags_version > row.told_tags and (row.tags or row.told_tags):
        _tell_tags(turn)


def _tell_time(turn: Turn, message: ResourceRequested) -> None:
    """Without the topic's moment of expiry: a device that asks for the time cannot judge it by its own."""
    told = {"device_time": _device_time(message), "iothub_recv": message.received_at, SENT: 0}
    _command(turn, "$set_ntp", "ntp", encode(told), stamp=SENT, within=TIME_WITHIN)


def _device_time(message: ResourceRequested) -> int | float | None:
    """What the device's clock said, as it said it; None: nothing that can be read."""
    if message.encoding != "json":
        return None
    try:
        return _decode(message.payload).device_time
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _follow(turn: Turn, message: ResourceRequested) -> None:
    """Note whether the device says that it has its present tags, and has subscribed to their topics."""
    row = turn.row = copy(turn.row)
    row.follows = NEVER
    if message.encoding == "json":
        with suppress(msgspec.DecodeError, UnicodeDecodeError):  # it has told nothing that can be read
            had = _decode_had(message.payload)
            if had.subscribed and had.tags_version == row.tags_version:
                row.follows = row.tags_version


def _tell_tags(turn: Turn) -> None:
    row = turn.row = copy(turn.row)
    row.told_tags = row.tags_version
    _command(turn, "$set_tags", "tags", encode({"tags": row.tags, "tags_version": row.tags_version}))


def _command(
    turn: Turn, command: str, word: str, payload: bytes, *, stamp: str | None = None, within: int | None = None
) -> None:
    made = turn.id()
    topic = f"cmd/{turn.at.key.decode()}/{command}/{mouth.PLAIN}/{mouth.named(word, turn.at, made)}"
    expires_at = None if within is None else turn.now + within
    turn.outputs += mouth.of_the_hub(turn.at, made, topic, payload, turn.now, expires_at=expires_at, stamp=stamp)
