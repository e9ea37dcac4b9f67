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

    from .model import Client, Device, Early, Moment

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
    if len(old) < CLIENTS:
        return replace(device, clients=(*old, client))
    return _without_oldest(device, (*old, client))


def _without_oldest(device: Device, clients: tuple[Client, ...]) -> Device:
    closed = sorted(
        (client for client in clients if not client.open), key=lambda client: (_ended_at(client), client.id)
    )
    gone = closed[: len(clients) - CLIENTS]
    kept = tuple(client for client in clients if client not in gone)
    forgotten = dict(device.forgotten)
    ended = [] if device.ended_at is None else [device.ended_at]
    for client in gone:
        for source, time in _times(client):
            forgotten[source] = max(forgotten.get(source, time), time)
        if client.newest is not None:
            ended.append(_ended_at(client))
    newest = sorted(forgotten.items(), key=lambda item: (item[1], item[0]))[-SOURCES:]
    after = replace(device, clients=kept, forgotten=tuple(newest), ended_at=max(ended, default=None))
    return device if after == device else after


def _ended_at(client: Client) -> Millis:
    """When a client that is not open was last heard of ending."""
    if client.newest is not None and client.newest.end is not None:
        return client.newest.end.at
    return max(time for _, time in _times(client))


def _times(client: Client) -> Iterator[tuple[str, Millis]]:
    """Every (source, time) of which something is known."""
    if client.newest is not None:
        yield client.newest.source, client.newest.opened_at
        if client.newest.end is not None:
            yield client.newest.end.source, client.newest.end.at
    for early in client.early:
        yield early.source, early.at
    for moment in (*client.closes, *client.goodbyes):
        yield moment.source, moment.at


def newest_notes(notes: tuple[Early, ...]) -> tuple[tuple[Early, ...], tuple[Early, ...]]:
    """(kept, left out) of what came about channels that are not the newest."""
    if len(notes) <= CHANNELS:
        return notes, ()
    order = sorted(notes, key=lambda note: (note.at, note.channel_id))
    return tuple(order[-CHANNELS:]), tuple(order[:-CHANNELS])


def newest_moments(moments: tuple[Moment, ...]) -> tuple[Moment, ...]:
    if len(moments) <= SOURCES:
        return moments
    return tuple(sorted(moments, key=lambda moment: (moment.at, moment.source))[-SOURCES:])
