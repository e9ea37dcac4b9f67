"""RMQTT's connection events: its ``$SYS`` messages. Pure and stateless.

They are shaped as EMQX's, but every field is its own: ``ipaddress`` holds the port, ``node`` is a number, a missing
user name is ``undefined``. No disconnect names its connection. A new connection may be told before the end of the one
that it takes the place of, which then ended as ``Kicked``; an administrator's kick is ``ByAdminKick``. The broker
publishes each message in a task of its own, so two of them may even change places.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from libs.topics.messages.presence import ConnectionObserved
from services.ingest.model import Dropped, Parsed, Record

from .common import (
    MAX_TEXT,
    Keepalive,
    Unfit,
    address_of_peer,
    client_id_of,
    decoded,
    device_of,
    level,
    millis,
    observe,
    started,
)

NODE: Final = re.compile(r"[0-9]{1,20}")
TOPIC: Final = re.compile(rf"\$SYS/brokers/(?P<node>{NODE.pattern})/clients/(?P<client>.+)/(?P<what>[a-z]+)", re.DOTALL)
TAKEOVERS: Final = frozenset(("Kicked", "ConnectKicked(false)"))
"""As versions since 0.3 say it, and as Rust's debug text of the same."""
_GOODBYE = re.compile(r"(?:Connect)?Disconnect(?:[(,].*)?", re.DOTALL)
# Several reasons come as a list. A text in brackets may be the device's own, and proves nothing about takeovers.
_WORDS = re.compile(r"[A-Za-z]+(?:\((?:true|false)\))?(?:,[A-Za-z]+(?:\((?:true|false)\))?)*")


class Opened(msgspec.Struct):
    clientid: str
    connected_at: int
    username: str | None = None
    ipaddress: str | None = None
    proto_ver: int | None = None
    keepalive: Keepalive | None = None


class Closed(msgspec.Struct):
    clientid: str
    reason: str
    disconnected_at: int
    username: str | None = None


_opened = msgspec.json.Decoder(Opened)
_closed = msgspec.json.Decoder(Closed)


class Rmqtt:
    """The ``$SYS`` messages of a cluster whose nodes have the numbers ``nodes``."""

    prefixes = ("$SYS/brokers/",)
    filters = ("$SYS/brokers/+/clients/#",)

    def __init__(self, nodes: tuple[str, ...], partitions: int) -> None:
        self.names, self._partitions = tuple(f"rmqtt:{node}" for node in nodes), partitions

    def __call__(self, topic: str, payload: bytes, packet_id: int, now: int) -> Parsed:
        return observe(lambda: _system(topic, payload, packet_id, now), topic, payload, packet_id, now)

    def started(self, time: int, packet_id: int, now: int) -> tuple[Record, ...]:
        return started(self.names, self._partitions, time, packet_id, now)


def _system(topic: str, payload: bytes, packet_id: int, now: int) -> ConnectionObserved | Dropped:
    found = TOPIC.fullmatch(topic)
    if found is None:
        raise Unfit("invalid_topic", "this is not $SYS/brokers/{number}/clients/{client id}/{what happened}")
    node, client = found["node"], found["client"]
    match found["what"]:
        case "connected":
            return _connect(payload, node, client, packet_id, now)
        case "disconnected":
            return _close(payload, node, client, packet_id, now)
    return Dropped("client_event")


def _connect(payload: bytes, node: str, client: str, packet_id: int, now: int) -> ConnectionObserved | Dropped:
    event = decoded(_opened, payload)
    device = _who(event, client)
    if device is None:
        return Dropped("internal_client")
    connected_at = millis(event.connected_at, "connected_at")
    return ConnectionObserved(
        product_id=device[0],
        device_id=device[1],
        client_id=client_id_of(client),
        channel_id=f"{connected_at}-{node}",
        event="connect",
        time=connected_at,
        source=f"rmqtt:{node}",
        sequence=packet_id,
        client_ip=address_of_peer(event.ipaddress),
        protocol=level(event.proto_ver),
        keepalive=event.keepalive,
        ingested_at=now,
    )


def _close(payload: bytes, node: str, client: str, packet_id: int, now: int) -> ConnectionObserved | Dropped:
    event = decoded(_closed, payload)
    device = _who(event, client)
    if device is None:
        return Dropped("internal_client")
    return ConnectionObserved(
        product_id=device[0],
        device_id=device[1],
        client_id=client_id_of(client),
        channel_id=None,
        event="tcpclean",
        time=millis(event.disconnected_at, "disconnected_at"),
        source=f"rmqtt:{node}",
        sequence=packet_id,
        reason=event.reason[:MAX_TEXT],
        goodbye=_GOODBYE.fullmatch(event.reason) is not None,
        takeover=_took_over(event.reason),
        ingested_at=now,
    )


def _took_over(reason: str) -> bool:
    return _WORDS.fullmatch(reason) is not None and not TAKEOVERS.isdisjoint(reason.split(","))


def _who(event: Opened | Closed, client: str) -> tuple[str, str] | None:
    if event.clientid != client:
        raise Unfit("invalid_client", "topic and payload name two clients")
    return device_of(event.username)
