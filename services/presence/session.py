"""What a row says to others: the channel that carries a device's session, the session, the document."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, TypeAlias

from msgspec.structs import replace

from libs.topics.messages.presence import OpenChannel, Session

from .model import Channel

if TYPE_CHECKING:
    from libs.runtime.lane.model import Term
    from libs.topics.messages.base import Millis

    from .model import Device, End


Opened: TypeAlias = tuple[str, Channel]
"""(client id, its open channel)."""


def opened(device: Device) -> list[Opened]:
    """List the open channels, oldest first; the last one carries the session."""
    found: list[Opened] = []
    for client in device.clients:
        channel = client.newest
        if channel is not None and channel.end is None:
            found.append((client.id, channel))
    if len(found) > 1:
        found.sort(key=lambda pair: (pair[1].opened_at, pair[1].source, pair[0]))
    return found


def carrier(device: Device) -> Opened | None:
    """Return the channel that carries the session: the newest open one."""
    found = opened(device)
    return found[-1] if found else None


def session(device: Device) -> Session:
    """Online since the oldest of the channels that are open, else offline since the last one ended."""
    found = opened(device)
    if not found:
        return Session("offline", _offline_since(device))
    channels = [
        OpenChannel(client_id, one.id, one.opened_at, one.source, one.client_ip, one.protocol, one.keepalive)
        for client_id, one in found
    ]
    return Session("online", channels[0].opened_at, tuple(channels))


def _offline_since(device: Device) -> Millis | None:
    since = device.ended_at
    for client in device.clients:
        end = client.newest.end if client.newest is not None else None
        if end is not None and (since is None or end.at > since):
            since = end.at
    return since


def end_of(device: Device, client_id: str) -> End:
    """How the newest channel of a client ended, its goodbye included. Raises `LookupError` where it did not end."""
    for client in device.clients:
        if client.id == client_id and client.newest is not None and client.newest.end is not None:
            end = client.newest.end
            if client.newest.goodbye_at is not None and end.cause == "connection_lost":
                return replace(end, cause="disconnected")
            return end
    raise LookupError(f"the channel of {client_id!r} has not ended")


def terms(device: Device) -> tuple[Term, ...]:
    """Index terms: the sources of open channels, by which a source's start finds its devices."""
    sources = {channel.source for _, channel in opened(device)}
    return _terms(sources.pop()) if len(sources) == 1 else tuple(source_term(source) for source in sorted(sources))


def source_term(source: str) -> Term:
    return ("source", source)


@cache
def _terms(source: str) -> tuple[Term, ...]:
    return (source_term(source),)  # one object for all devices of a source, not one each
