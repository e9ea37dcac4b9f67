"""Every topic of the hub, as data, and how a message gets into one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from . import codec
from .entries import commands, devices, ota, plumbing, presence, registry, shadow
from .identity import BROADCAST_KEY
from .topic import Topic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .messages.base import Message

__all__ = ["TOPICS", "Output", "Topic", "announce", "broadcast", "get", "publish"]

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
_FED: Final[Mapping[tuple[str, type[Message]], tuple[str, ...]]] = {
    (topic.name, kind): tuple([name for name in topic.feeds if kind in _BY_NAME[name].types])
    for topic in TOPICS
    for kind in topic.types
}
_KEYED: Final[Mapping[tuple[str, type[Message]], tuple[str, ...]]] = {
    (name, kind): (name, *fed) for (name, kind), fed in _FED.items() if kind not in _BY_NAME[name].announced
}


def get(name: str) -> Topic:
    """Look a topic up by name; raises `KeyError`."""
    return _BY_NAME[name]


def publish(name: str, key: bytes, message: Message) -> tuple[Output, ...]:
    """One output to the topic and one to every inbox that it feeds with such messages, with the same bytes.

    Raises `TypeError` where the topic does not hold such messages, or announces them.
    """
    addresses = _KEYED.get((name, type(message)))
    if addresses is None:
        raise _misfit(name, "hold keyed" if type(message) in get(name).announced else "hold", message)
    value = codec.encode(message)
    if len(addresses) == 1:
        return ((addresses[0], key, value, -1),)
    return tuple([(address, key, value, -1) for address in addresses])


def announce(name: str, key: bytes, message: Message, partitions: int) -> tuple[Output, ...]:
    """One output to the topic, and one to every partition of each inbox that it feeds, with the same bytes.

    Raises `TypeError` where the topic does not announce such messages.
    """
    if type(message) not in _BY_NAME[name].announced:
        raise _misfit(name, "announce", message)
    fed = [broadcast(inbox, message, partitions) for inbox in _FED[name, type(message)]]
    return ((name, key, codec.encode(message), -1), *[output for outputs in fed for output in outputs])


def broadcast(name: str, message: Message, partitions: int) -> tuple[Output, ...]:
    """One output to every partition of an inbox. Raises `TypeError` where it does not hold such messages."""
    if type(message) not in _BY_NAME[name].types:
        raise _misfit(name, "hold", message)
    value = codec.encode(message)
    return tuple([(name, BROADCAST_KEY, value, number) for number in range(partitions)])


def _misfit(name: str, verb: str, message: Message) -> TypeError:
    return TypeError(f"{name} does not {verb} {type(message).__name__}")
