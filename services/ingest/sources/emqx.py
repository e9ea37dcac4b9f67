"""EMQX's connection events: ``$SYS`` messages, rule events and the web-hook plugin of version 4. Pure and stateless.

A connection is named by its node and ``connected_at``. ``$SYS`` and older versions do not say on the disconnect which
one it was: then the close has no channel, and one that made room for a newer session is marked as a takeover. The
broker says so with ``takenover`` (``takeovered`` in version 4) where the session is kept and ``discarded`` where it is
not. ``kicked`` is an administrator's doing, and ends the newest connection.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from libs.topics.messages.presence import ConnectionObserved
from services.ingest.model import Dropped, Parsed, Record

from .common import (
    MAX_TEXT,
    SECONDS,
    Keepalive,
    Unfit,
    address,
    address_of_peer,
    client_id_of,
    decoded,
    device_of,
    level,
    millis,
    observe,
    started,
)

TAKEOVERS: Final = frozenset(("takenover", "takeovered", "discarded"))
GOODBYES: Final = frozenset(("normal",))
NODE: Final = re.compile(r"[A-Za-z0-9@._:-]{1,59}")
"""A node's name; with its kind in front it is the name of a source, 64 characters at most."""
TOPIC: Final = re.compile(rf"\$SYS/brokers/(?P<node>{NODE.pattern})/clients/(?P<client>.+)/(?P<what>[a-z]+)", re.DOTALL)
"""A client id may hold slashes. The last level is the broker's."""


class Opened(msgspec.Struct):
    """A connect, in any of the three forms; fields that are not used are ignored."""

    clientid: str
    connected_at: int
    username: str | None = None
    ts: int | None = None
    ipaddress: str | None = None
    peername: str | None = None
    proto_ver: int | None = None
    keepalive: Keepalive | None = None


class Closed(msgspec.Struct):
    """A disconnect, in any of the three forms."""

    clientid: str
    reason: str
    username: str | None = None
    disconnected_at: int | None = None
    connected_at: int | None = None
    """Since 5.8.6, in rule events: when the connection that ended began."""
    ts: int | None = None


class _Told(msgspec.Struct):
    """What a rule event or the web-hook plugin is about."""

    event: str | None = None
    action: str | None = None
    node: str | None = None


_opened = msgspec.json.Decoder(Opened)
_closed = msgspec.json.Decoder(Closed)
_told = msgspec.json.Decoder(_Told)
What = Literal["connect", "tcpclean"]
_RULE_EVENTS: Final[dict[str, What]] = {"client.connected": "connect", "client.disconnected": "tcpclean"}
_HOOK_ACTIONS: Final[dict[str, What]] = {"client_connected": "connect", "client_disconnected": "tcpclean"}


class Emqx:
    """The ``$SYS`` messages of a cluster whose nodes have the names ``nodes``."""

    prefixes = ("$SYS/brokers/",)
    filters = ("$SYS/brokers/+/clients/#",)

    def __init__(self, nodes: tuple[str, ...], partitions: int) -> None:
        self.names, self._partitions = tuple(f"emqx:{node}" for node in nodes), partitions

    def __call__(self, topic: str, payload: bytes, packet_id: int, now: int) -> Parsed:
        return observe(lambda: _system(topic, payload, packet_id, now), topic, payload, packet_id, now)

    def started(self, time: int, packet_id: int, now: int) -> tuple[Record, ...]:
        return started(self.names, self._partitions, time, packet_id, now)


def _system(topic: str, payload: bytes, packet_id: int, now: int) -> ConnectionObserved | Dropped:
    found = TOPIC.fullmatch(topic)
    if found is None:
        raise Unfit("invalid_topic", "this is not $SYS/brokers/{node}/clients/{client id}/{what happened}")
    node, client = found["node"], found["client"]
    match found["what"]:
        case "connected":
            return opened(payload, node, packet_id, now, client=client)
        case "disconnected":
            return closed(payload, node, packet_id, now, client=client)
    return Dropped("client_event")


def rule_event(payload: bytes, _name: str, packet_id: int, now: int) -> ConnectionObserved | Dropped:
    """``client.connected`` and ``client.disconnected``, all fields of the event."""
    told = decoded(_told, payload)
    what = _RULE_EVENTS.get(told.event or "")
    return _relayed(what, payload, told.node, packet_id, now)


def web_hook(payload: bytes, name: str, packet_id: int, now: int) -> ConnectionObserved | Dropped:
    """``client_connected`` and ``client_disconnected``. Early versions name neither node nor time of the disconnect."""
    told = decoded(_told, payload)
    what = _HOOK_ACTIONS.get(told.action or "")
    return _relayed(what, payload, name if told.node is None else told.node, packet_id, now)


def _relayed(
    what: What | None, payload: bytes, node: str | None, packet_id: int, now: int
) -> ConnectionObserved | Dropped:
    if what is None:
        return Dropped("client_event")
    if node is None or NODE.fullmatch(node) is None:
        raise Unfit("invalid_node", "an event must name the broker's node")
    return (opened if what == "connect" else closed)(payload, node, packet_id, now)


def opened(
    payload: bytes, node: str, packet_id: int, now: int, *, client: str | None = None
) -> ConnectionObserved | Dropped:
    """``client``: the client id that the topic names. Raises `Unfit`."""
    event = decoded(_opened, payload)
    client_id, device = _who(event, client)
    if device is None:
        return Dropped("internal_client")
    time = millis(event.connected_at, "connected_at")
    if event.connected_at in SECONDS and event.ts is not None:
        time = millis(event.ts, "ts")  # tells two connects within one second apart, and a close between them
    return ConnectionObserved(
        product_id=device[0],
        device_id=device[1],
        client_id=client_id,
        channel_id=channel(time, node),
        event="connect",
        time=time,
        source=f"emqx:{node}",
        sequence=packet_id,
        client_ip=address_of_peer(event.peername) if event.peername else address(event.ipaddress),
        protocol=level(event.proto_ver),
        keepalive=event.keepalive,
        ingested_at=now,
    )


def closed(
    payload: bytes, node: str, packet_id: int, now: int, *, client: str | None = None
) -> ConnectionObserved | Dropped:
    """As `opened`. The time is ``disconnected_at``, or ``ts`` where a version has no other."""
    event = decoded(_closed, payload)
    client_id, device = _who(event, client)
    if device is None:
        return Dropped("internal_client")
    time = event.ts if event.disconnected_at is None else event.disconnected_at
    named = event.connected_at is not None
    return ConnectionObserved(
        product_id=device[0],
        device_id=device[1],
        client_id=client_id,
        channel_id=channel(millis(event.connected_at, "connected_at"), node) if named else None,
        event="tcpclean",
        time=millis(time, "disconnected_at"),
        source=f"emqx:{node}",
        sequence=packet_id,
        reason=event.reason[:MAX_TEXT],
        goodbye=event.reason in GOODBYES,
        takeover=event.reason in TAKEOVERS,
        ingested_at=now,
    )


def _who(event: Opened | Closed, client: str | None) -> tuple[str, tuple[str, str] | None]:
    if client is not None and event.clientid != client:
        raise Unfit("invalid_client", "topic and payload name two clients")
    return client_id_of(event.clientid), device_of(event.username)


def channel(connected_at: int, node: str) -> str:
    """The name of a connection; ``connected_at``: ms."""
    return f"{connected_at}-{node}"
