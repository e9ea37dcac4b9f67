"""One MQTT message to records for Kafka. Pure: what the broker delivers again becomes the same record again.

`routes` says which topic becomes what; `connections` (mosquitto's log) and `sources` (other brokers, relays) read who
connects. What fits nothing is one dead letter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from libs.topics.codec import encode
from libs.topics.identity import NAME
from libs.topics.payload import embed

from .letters import letter
from .model import Dropped, Parsed, Record
from .paths import Paths
from .routes import DROPPED, REFUSED, ROUTES, Route, by_first_level, compiled

if TYPE_CHECKING:
    from .sources.common import Source


_ROUTES: Final = by_first_level(ROUTES)
_WHOLE: Final = by_first_level(route for route in ROUTES if route.head is None)
_is_name: Final = NAME.fullmatch
_DROPPED: Final = tuple((compiled(template).fullmatch, reason) for template, reason in DROPPED)
_REFUSED: Final = tuple((compiled(template).fullmatch, reason, error) for template, reason, error in REFUSED)


class Parser:
    """``source`` and ``more``: of connection events. ``max_payload``: bytes; a larger payload is a dead letter."""

    def __init__(self, source: Source, max_payload: int, *more: Source) -> None:
        self._max_payload = max_payload
        self._sources = tuple((known.prefixes, known) for known in (source, *more))
        self._paths = Paths()
        self._known = self._paths.known.get

    def __call__(self, topic: str, payload: bytes, packet_id: int, now: int) -> Parsed:
        """``packet_id``: 0 for QoS 0; ``now``: time of receipt in ms."""
        if len(payload) <= self._max_payload:
            head, _, message_id = topic.rpartition("/")
            path = self._known(head) or self._paths.learn(head, now)
            if path is not None and _is_name(message_id):
                if path.with_payload:
                    encoding, embedded = embed(payload)
                    message = path.message(message_id, packet_id, encoding, embedded, now)
                else:
                    message = path.message(message_id, packet_id, now)
                return (Record(path.topic, path.key, encode(message)),)
            for route in _WHOLE.get(topic[: topic.find("/")], ()):
                match = route.fullmatch(topic)
                if match is not None:
                    names = route.captured(match)
                    message = route.kind(*names, *route.constants, packet_id, *embed(payload), now)
                    return (Record(route.topic, f"{names[0]}/{names[1]}".encode(), encode(message)),)
            for prefixes, source in self._sources:
                if topic.startswith(prefixes):
                    return source(topic, payload, packet_id, now)
        return _unfit(topic, payload, packet_id, now, self._max_payload)


def _unfit(topic: str, payload: bytes, packet_id: int, now: int, max_payload: int) -> Parsed:
    for matches, reason in _DROPPED:
        if matches(topic):
            return Dropped(reason)
    levels = topic.split("/")
    like = max(_ROUTES.get(levels[0], ()), key=lambda route: route.likeness(levels), default=None)
    reason, error = _why(topic, payload, like, levels, max_payload)
    key = None if like is None else like.sender(levels)
    return (letter(reason, error, topic, payload, packet_id, now, key=key),)


def _why(topic: str, payload: bytes, like: Route | None, levels: list[str], max_payload: int) -> tuple[str, str]:
    """The dead letter's reason, and its sentence, which does not repeat the topic."""
    if len(payload) > max_payload:
        return "payload_too_large", f"the payload has {len(payload)} bytes, at most {max_payload} are taken"
    for matches, reason, error in _REFUSED:
        if matches(topic):
            return reason, error
    if like is None:
        return "invalid_topic", "no uplink topic begins like this"
    if len(levels) != len(like.levels):
        return "invalid_topic", f"{len(levels)} levels where {like.template} has {len(like.levels)}"
    return "invalid_name", f"a level is not a name as {like.template} wants: use 1 to 64 of A-Z a-z 0-9 _ -"
