"""Keeps rows bounded without changing an answer.

What has to leave is replaced by a time up to which its kind is taken as known: a repeated or late event of something
forgotten then changes nothing, as it would have changed nothing had it been kept. An open channel is never forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.topics.messages.base import Millis

    from .model import Client, Device, Moment, Note

CLIENTS = 16
"""Clients of a device that are kept, unless more are open."""

CHANNELS = 16
"""Channels of a client, besides the newest, of which something is kept."""

SOURCES = 16
"""Sources of which the newest time is kept, per client and kind."""

TIES = 256
"""Events of one client and source at the very same time that are told from their repetitions."""


def with_client(device: Device, client: Client) -> Device:
    """Put a changed or new client in its place."""
    old = device.clients
    if len(old) == 1 and old[0].id == client.id:
        return replace(device, clients=(client,))
    if any(known.id == client.id for known in old):
        return replace(device, clients=tuple(client if known.id == client.id else known for known in old))
    if len(old) >= CLIENTS:
        device = _without_oldest(device)
    return replace(device, clients=(*device.clients, client))


def _without_oldest(device: Device) -> Device:
    """Make room for one more client, as far as there are closed ones."""
    clients = device.clients
    closed = sorted(
        (client for client in clients if not client.open), key=lambda client: (_ended_at(client), client.id)
    )
    gone = closed[: len(clients) - CLIENTS + 1]
    ends = [_ended_at(client) for client in gone if client.newest is not None]
    return replace(
        device,
        clients=tuple(client for client in clients if client not in gone),
        forgotten_until=max([device.forgotten_until, *(time for client in gone for time in _times(client))]),
        ended_at=max(ends if device.ended_at is None else [device.ended_at, *ends], default=None),
    )


def _ended_at(client: Client) -> Millis:
    """When a client that is not open was last heard of ending."""
    if client.newest is not None and client.newest.end is not None:
        return client.newest.end.at
    return max(_times(client))


def _times(client: Client) -> Iterator[Millis]:
    """Every time of which something is known."""
    if client.newest is not None:
        yield client.newest.opened_at
        yield client.newest.goodbye_at or -1
        if client.newest.end is not None:
            yield client.newest.end.at
    yield from (note.at for note in client.notes)
    yield from (moment.at for moment in (*client.closes, *client.goodbyes))


def newest_notes(client: Client, notes: tuple[Note, ...]) -> tuple[tuple[Note, ...], Millis]:
    """Return the notes to keep, and the client's ``forgotten_until`` with those that are not."""
    if len(notes) <= CHANNELS:
        return notes, client.forgotten_until
    order = sorted(notes, key=lambda note: (note.at, note.channel_id))
    ends = [note.at for note in order[:-CHANNELS] if note.end is not None]
    return tuple(order[-CHANNELS:]), max([client.forgotten_until, *ends])


def newest_moments(moments: tuple[Moment, ...]) -> tuple[Moment, ...]:
    if len(moments) <= SOURCES:
        return moments
    return tuple(sorted(moments, key=lambda moment: (moment.at, moment.source))[-SOURCES:])
