"""EMQX's list of its clients and nodes, as the REST interface of version 5 tells them. Pure.

A page of a list that changes while it is read proves nothing: a client that leaves moves those behind it to a page
that was read already, and they would seem to be gone. So no second page is ever asked for. The list is cut into
ranges of ``connected_at``, which a connection never changes, until each range is one whole answer.

A row names the connection as the events do, by ``connected_at`` in ms and the node.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from libs.topics.messages.presence import ConnectionObserved

from .common import Keepalive, Unfit, address, client_id_of, decoded, device_of, level, millis
from .emqx import channel

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Row(msgspec.Struct):
    """A client; fields that are not used are ignored."""

    clientid: str
    connected: bool
    node: str | None = None
    connected_at: str | None = None
    """RFC 3339 with milliseconds."""
    username: str | None = None
    ip_address: str | None = None
    proto_ver: int | None = None
    keepalive: Keepalive | None = None


class _Meta(msgspec.Struct):
    hasnext: bool


class Page(msgspec.Struct):
    data: list[Row]
    meta: _Meta

    @property
    def whole(self) -> bool:
        """Whether nothing that was asked for is missing."""
        return not self.meta.hasnext


class _Node(msgspec.Struct):
    node: str
    node_status: str
    uptime: int | str | None = None
    """Milliseconds; a text in early versions."""


_page = msgspec.json.Decoder(Page)
_nodes = msgspec.json.Decoder(list[_Node])


def page(payload: bytes, low: int, high: int) -> Page:
    """The answer to the question for clients connected from ``low`` to ``high`` (ms, both inside).

    Raises `Unfit`, also where the answer does not keep to the question: then nobody knows what it leaves out.
    """
    found = decoded(_page, payload)
    if any(row.connected and not low <= connected_at(row) <= high for row in found.data):
        raise Unfit("range_ignored", "the list holds clients that connected at other times than was asked for")
    return found


def running(payload: bytes) -> dict[str, int | None]:
    """Nodes that run, with their uptimes in ms where they are told. Raises `Unfit`."""
    return {
        each.node: each.uptime if isinstance(each.uptime, int) else None
        for each in decoded(_nodes, payload)
        if each.node_status.lower() == "running"
    }


def middle(rows: list[Row], low: int, high: int) -> int:
    """Where to cut the range ``low`` to ``high`` (ms, both inside) that did not fit into one answer.

    The median of what came, since ranges of equal length would be mostly empty. Raises `Unfit` where a range cannot be
    cut: more clients than an answer holds within one millisecond.
    """
    if low >= high:
        raise Unfit("list_too_long", "more clients connected within a millisecond than an answer holds")
    times = sorted(connected_at(row) for row in rows if row.connected)
    return min(max(low, times[len(times) // 2]), high - 1) if times else (low + high) // 2


def connected_at(row: Row) -> int:
    """Milliseconds. Raises `Unfit`."""
    try:
        moment = datetime.fromisoformat(row.connected_at or "")
    except ValueError:
        raise Unfit("invalid_time", "connected_at is no time in the form of RFC 3339") from None
    if moment.tzinfo is None:
        raise Unfit("invalid_time", "connected_at has no time zone")
    return millis((moment - EPOCH) // timedelta(milliseconds=1), "connected_at")


def observed(row: Row, node: str, listing: str, now: int) -> ConnectionObserved | None:
    """The connection as an event; None for what is none, none of that node, or none of a device.

    A client whose events are refused as nobody's is passed over: no connection of it was ever taken. Raises `Unfit`
    where the connection cannot be named: then the list is worth nothing.
    """
    if not row.connected or row.node not in {node, None}:
        return None
    try:
        device, client_id = device_of(row.username), client_id_of(row.clientid)
    except Unfit:
        return None
    if device is None:
        return None
    time = connected_at(row)
    return ConnectionObserved(
        product_id=device[0],
        device_id=device[1],
        client_id=client_id,
        channel_id=channel(time, node),
        event="connect",
        time=time,
        source=f"emqx:{node}",
        sequence=0,
        client_ip=address(row.ip_address),
        protocol=level(row.proto_ver),
        keepalive=row.keepalive,
        listing=listing,
        ingested_at=now,
    )
