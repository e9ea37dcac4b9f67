"""What a topic says before its message id. It is the same for every message of a kind from a device: remembered. Pure.

To match, cut up and check a whole topic costs as much as all the rest of reading a message.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from libs.topics.messages.base import Message

from .routes import ROUTES, Route, by_first_level

CAPACITY: Final = 10_000
"""Paths, of about 0.6 kB."""
RENEWAL: Final = 60_000
"""How old a full memory may grow, in ms."""

_ROUTES: Final = by_first_level(route for route in ROUTES if route.head is not None)


class Path(msgspec.Struct, frozen=True, gc=False):
    """The levels before a message id, understood."""

    topic: str
    """Kafka's."""
    key: bytes
    message: Callable[..., Message]
    """Called with message id, packet id, the payload's encoding and form where ``with_payload``, and the time."""
    with_payload: bool


class Paths:
    """Remembers the first ``capacity`` paths that it meets, and begins anew after ``renewal`` ms.

    Not the latest ones: a fleet larger than that, whose devices take turns, would push each path out before it is
    met again, and each message would pay for remembering and find nothing.
    """

    def __init__(self, capacity: int = CAPACITY, renewal: int = RENEWAL) -> None:
        self._capacity, self._renewal, self._since = capacity, renewal, 0
        self.known: dict[str, Path] = {}
        """By the text before the last slash of a topic. The same object for ever."""

    def learn(self, head: str, now: int) -> Path | None:
        """The path that ``head`` is, remembered where there is room; None where no route begins so. ``now``: ms."""
        path = _read(head)
        if path is not None:
            if len(self.known) >= self._capacity and abs(now - self._since) >= self._renewal:
                self.known.clear()
            if not self.known:
                self._since = now
            if len(self.known) < self._capacity:
                self.known[head] = path
        return path


def _read(head: str) -> Path | None:
    for route in _ROUTES.get(head[: head.find("/")], ()):
        if route.head is not None and (match := route.head(head)) is not None:
            return _path(route, route.captured(match))
    return None


def _path(route: Route, levels: tuple[str, ...]) -> Path:
    key = f"{levels[0]}/{levels[1]}".encode()
    return Path(route.topic, key, partial(route.kind, *levels), route.with_payload)
