"""What a row says to others: the channel that carries a device's session, the session, the document."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from msgspec.structs import replace

from libs.topics.messages.presence import OpenChannel, Session

if TYPE_CHECKING:
    from libs.runtime.lane.model import Term
    from libs.topics.messages.base import Millis

    from .model import Channel, Client, Device, End


def open_clients(device: Device) -> list[tuple[Client, Channel]]:
    """Clients with an open channel, oldest channel first."""
    found = [(client, client.newest) for client in device.clients if client.newest and client.newest.end is None]
    if len(found) > 1:
        found.sort(key=lambda pair: (pair[1].opened_at, pair[1].source, pair[0].id))
    return found


def session(device: Device) -> Session:
    """Online since the oldest of the channels that are open, else offline since the last one ended."""
    opened = open_clients(device)
    if not opened:
        return Session("offline", _offline_since(device))
    return Session("online", opened[0][1].opened_at, tuple(_shown(client, channel) for client, channel in opened))


def _shown(client: Client, channel: Channel) -> OpenChannel:
    return OpenChannel(
        client.id,
        channel.id,
        channel.opened_at,
        channel.source,
        channel.client_ip,
        channel.protocol,
        channel.keepalive,
    )


def _offline_since(device: Device) -> Millis | None:
    ends = [client.newest.end.at for client in device.clients if client.newest and client.newest.end]
    if device.ended_at is not None:
        ends.append(device.ended_at)
    return max(ends, default=None)


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
    return tuple({source_term(channel.source) for _, channel in open_clients(device)})


@cache
def source_term(source: str) -> Term:
    return ("source", source)
