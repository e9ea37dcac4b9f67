"""Keeps rows bounded without changing an answer.

What has to leave is replaced by a time up to which its kind is taken as known: a repeated or late event of something
forgotten then changes nothing, as it would have changed nothing had it been kept. An open channel is never forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from .lives import connected, present

if TYPE_CHECKING:
    from collections.abc import Sequence

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

AGE = 7 * 24 * 60 * 60 * 1000
"""Milliseconds after which what says nothing about an open channel leaves: as long as telemetry is kept in Kafka. An
event that is met for the first time so much later may change nothing."""

ROUND = 60 * 60 * 1000
"""Rows leave by the hour: few different deadlines keep their order short, and a row that changes seldom moves in it."""


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
        (client for client in clients if not connected(device, client)),
        key=lambda client: (_ended_at(client), client.id),
    )
    return _without(device, closed[: len(clients) - CLIENTS + 1])


def _without(device: Device, gone: Sequence[Client]) -> Device:
    """Forget clients, and keep what their ends said."""
    ends = [_ended_at(client) for client in gone if client.newest is not None and present(device, client.newest)]
    times = [max(_latest(client), client.forgotten_until) for client in gone]
    return replace(
        device,
        clients=tuple(client for client in device.clients if client not in gone),
        forgotten_until=max([device.forgotten_until, *times]),
        ended_at=max(ends if device.ended_at is None else [device.ended_at, *ends], default=None),
    )


def _ended_at(client: Client) -> Millis:
    """When a client that is not open was last heard of ending."""
    if client.newest is not None and client.newest.end is not None:
        return client.newest.end.at
    return _latest(client)


def _latest(client: Client) -> Millis:
    """Return the newest time of which something is known. Called for every row that changes."""
    latest, newest = -1, client.newest
    if newest is not None:
        latest = newest.opened_at
        if newest.goodbye_at is not None and newest.goodbye_at > latest:
            latest = newest.goodbye_at
        if newest.end is not None and newest.end.at > latest:
            latest = newest.end.at
    for known in (client.notes, client.closes, client.goodbyes):
        for one in known:
            latest = max(latest, one.at)
    return latest


def deadline(device: Device) -> Millis | None:
    """When the device has something to `prune`; None: never, as things are."""
    first: Millis | None = device.born_at if device.gone else None
    for client in device.clients:
        if not connected(device, client):
            time = _latest(client)
        elif client.notes:
            time = min([note.at for note in client.notes])
        else:
            continue
        if first is None or time < first:
            first = time
    return None if first is None else (first + AGE + ROUND) // ROUND * ROUND


def prune(device: Device, now: Millis) -> Device | None:
    """Forget what is of no interest for longer than `AGE`: clients that are closed, and notes about old channels.

    None: nothing is left of a device that was deleted so long ago.

    Closes without a channel stay with their client. They are few, and one of the same time as the client's connect,
    met again, would be taken for the connect's end.
    """
    limit = now - AGE
    gone = [client for client in device.clients if not connected(device, client) and _latest(client) <= limit]
    if gone:
        device = _without(device, gone)
    if _forgotten(device, limit):
        return None
    for client in device.clients:
        if client.notes and min([note.at for note in client.notes]) <= limit:
            device = with_client(device, _without_notes(client, limit))
    return device


def _forgotten(device: Device, limit: Millis) -> bool:
    """Tell whether a device is gone, and nobody spoke of it since ``limit``."""
    if not device.gone or device.clients:
        return False
    probe = device.last_probe
    return max(device.born_at, device.last_traffic_at or 0, 0 if probe is None else probe.at) <= limit


def _without_notes(client: Client, limit: Millis) -> Client:
    """Forget notes up to ``limit``, and take for repetitions what they would have recognised."""
    notes = tuple([note for note in client.notes if note.at > limit])
    times = [note.at for note in client.notes if note.at <= limit]
    return replace(client, notes=notes, forgotten_until=max([client.forgotten_until, *times]))


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
