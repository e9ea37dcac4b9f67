"""Every topic of the hub, as data, and how a message gets into one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from . import codec
from .entries import commands, devices, ota, plumbing, presence, registry, shadow
from .topic import Topic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .messages.base import Message

__all__ = ["TOPICS", "Output", "Topic", "get", "publish"]

Output: TypeAlias = tuple[str, bytes, bytes, int]
"""(topic, key, value, partition); partition -1: chosen by the key."""

TOPICS: Final[tuple[Topic, ...]] = (
    *devices.TOPICS,
    *presence.TOPICS,
    *shadow.TOPICS,
    *commands.TOPICS,
    *ota.TOPICS,
    *registry.TOPICS,
    *plumbing.TOPICS,
)

_BY_NAME: Final[Mapping[str, Topic]] = {topic.name: topic for topic in TOPICS}
_ADDRESSES: Final[Mapping[str, tuple[str, ...]]] = {topic.name: (topic.name, *topic.feeds) for topic in TOPICS}


def get(name: str) -> Topic:
    """Look a topic up by name; raises `KeyError`."""
    return _BY_NAME[name]


def publish(name: str, key: bytes, message: Message) -> tuple[Output, ...]:
    """One output to the topic and one to every inbox that it feeds, with the same bytes.

    Raises `TypeError` where the topic does not hold such messages.
    """
    if type(message) not in _BY_NAME[name].types:
        raise TypeError(f"{name} does not hold {type(message).__name__}")
    value = codec.encode(message)
    return tuple([(address, key, value, -1) for address in _ADDRESSES[name]])
