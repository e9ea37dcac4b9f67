"""Messages to bytes and back.

Two failures are kept apart because they need different answers: a kind that this consumer does not know is skipped
and counted (a newer producer was deployed first), a message of a known kind that does not fit is a dead letter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_args

import msgspec

from .messages.base import Message

if TYPE_CHECKING:
    from collections.abc import Callable

M = TypeVar("M", bound=Message)
FAULTS = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)  # DecodeError includes msgspec.ValidationError


class UnknownKind(ValueError):
    """The ``type`` is not one that this consumer knows: count and skip."""

    code = "unknown_kind"

    def __init__(self, kind: str) -> None:
        super().__init__(f"unknown message type {kind!r}")
        self.kind = kind


class InvalidMessage(ValueError):
    """Not JSON, or not what its ``type`` promises: dead letter."""

    code = "invalid_message"
    reason = code


class _Kind(msgspec.Struct):
    type: str


class _Nobody(Message, frozen=True, tag="\0"):
    """Makes what a decoder takes a union: msgspec insists on ``type`` only where it has a choice."""


encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode
"""A message as JSON bytes; ``type`` comes first, then the fields as declared."""

_kind = msgspec.json.Decoder(_Kind).decode


class Decoder(Generic[M]):
    """Decodes the messages of one topic.

    ``kinds``: a `Message` class or a union of them, e.g. ``Decoder(ConnectionObserved | TrafficSeen)``.
    """

    def __init__(self, kinds: Any) -> None:
        classes = get_args(kinds) or (kinds,)
        self.kinds = frozenset(str(c.__struct_config__.tag) for c in classes)
        self._decode: Callable[[bytes], M] = msgspec.json.Decoder(kinds | _Nobody).decode

    def __call__(self, value: bytes | None) -> M:
        """Decode one record's value; raises `UnknownKind` or `InvalidMessage`."""
        if value is None:
            raise InvalidMessage("a record without value")
        try:
            message = self._decode(value)
        except FAULTS as error:
            kind = self._kind_of(value, error)
            if kind in self.kinds:
                raise InvalidMessage(str(error)) from error
            raise UnknownKind(kind) from None
        if type(message) is _Nobody:  # an isinstance of a msgspec struct costs as much as decoding one
            raise UnknownKind("\0")
        return message

    @staticmethod
    def _kind_of(value: bytes, error: Exception) -> str:
        try:
            return _kind(value).type
        except FAULTS:
            raise InvalidMessage(str(error)) from error
