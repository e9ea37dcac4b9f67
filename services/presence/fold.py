"""How events change what is known of a device. Pure, and the same object comes back where nothing changed.

Two laws hold (the tests assert them): an event that is met again changes nothing, and any interleaving that keeps each
source's own order ends in the same answer. They rest on one idea: a client's newest connect is the maximum of all its
connects by (time, source, order within the source), and a close is kept only as long as it may concern that maximum
or a later one. See ``vectors/README.md`` for the rules in prose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from libs.topics.codec import InvalidMessage

from .forget import TIES, newest_moments, newest_notes, with_client
from .model import Channel, Client, Device, End, Listing, Moment, Note, Probe, Start

if TYPE_CHECKING:
    from collections.abc import Callable

    from libs.topics.messages.base import Millis
    from libs.topics.messages.command_events import ProbeConcluded
    from libs.topics.messages.presence import Cause, ConnectionObserved, SourceStarted, TrafficSeen


class NamelessConnect(InvalidMessage):
    """Only a close may leave its channel unnamed."""

    code = reason = "nameless_connect"


def see_traffic(device: Device, event: TrafficSeen) -> Device:
    last = device.last_traffic_at
    if event.time <= (device.born_at if last is None else last):
        return device
    return replace(device, last_traffic_at=event.time)


def see_probe(device: Device, event: ProbeConcluded) -> Device:
    last = device.last_probe
    if event.at <= device.born_at or (last is not None and (event.at, event.id) <= (last.at, last.id)):
        return device
    probe = Probe(event.at, event.id, event.probe_id, event.verdict, event.mode, event.round_trip_ms)
    return replace(device, last_probe=probe)


def restart(device: Device, event: SourceStarted) -> Device:
    """Close what a source had opened before it began anew."""
    return _ended_where(device, End(event.time, event.source, "source_restarted"), lambda _: True)


def reconcile(device: Device, source: str, listing: Listing) -> Device:
    """Close what the list of a source's clients, now complete, does not hold although it was opened before."""
    end = End(listing.time, source, "reconciled")
    return _ended_where(device, end, lambda channel: channel.listing != listing.id)


def _ended_where(device: Device, end: End, concerns: Callable[[Channel], bool]) -> Device:
    """End the open channels of the end's source that were opened no later and that it concerns."""

    def ended(client: Client) -> Client:
        newest = client.newest
        if newest is None or newest.end is not None or newest.source != end.source or newest.opened_at > end.at:
            return client
        return replace(client, newest=replace(newest, end=end)) if concerns(newest) else client

    clients = tuple(ended(client) for client in device.clients)
    return device if clients == device.clients else replace(device, clients=clients)


def name(before: Device, after: Device, event: ConnectionObserved, listing: Listing | None) -> Device:
    """Note that a source knows a client while it tells its ``listing``: by the list, or by a connect in between.

    ``before``, ``after``: around `observe` of the event, which is the connect. A list and the stream of events are two
    views of a broker; what opens while the list is told may be in either.
    """
    if listing is None or listing.ended or event.event != "connect":
        return after
    if event.listing != listing.id and after is before:  # met before, so it says nothing about now
        return after
    client = _client(after, event.client_id)
    newest = client.newest
    if newest is None or newest.end is not None or newest.source != event.source or newest.listing == listing.id:
        return after
    return with_client(after, replace(client, newest=replace(newest, listing=listing.id)))


def observe(device: Device, event: ConnectionObserved, started: Start | None) -> Device:
    """Fold what a source saw; ``started``: the newest start of that source."""
    before = _client(device, event.client_id)
    match event.event:
        case "connect":
            after = _connect(before, event, started)
        case "tcpclean":
            after = _close(before, event)
        case "disconnect":
            after = _goodbye(before, event)
    return device if after is before else with_client(device, after)


def _client(device: Device, client_id: str) -> Client:
    for client in device.clients:
        if client.id == client_id:
            return client
    return Client(client_id, forgotten_until=device.forgotten_until)


# -- connects
def _connect(client: Client, event: ConnectionObserved, started: Start | None) -> Client:
    channel_id, time, old = event.channel_id, event.time, client.newest
    if channel_id is None:
        raise NamelessConnect(f"client {event.client_id!r} connected without a channel id")
    if time <= client.forgotten_until or (old is not None and not _newer(event, channel_id, old)):
        return client
    channel = Channel(
        id=channel_id,
        opened_at=time,
        source=event.source,
        sequence=event.sequence,
        client_ip=event.client_ip,
        protocol=event.protocol,
        keepalive=event.keepalive,
    )
    notes, forgotten_until = client.notes, client.forgotten_until
    if old is not None:
        channel = _succeed(old, channel)
        if old.goodbye_at is not None or old.end is not None:
            notes = (*notes, Note(old.id, old.source, old.goodbye_at, old.end))
    if notes:
        notes = tuple([note for note in notes if note.at >= time and note.channel_id != channel_id])
        notes, forgotten_until = newest_notes(client, notes)
    return Client(
        id=client.id,
        newest=_judge(client, channel, started),
        notes=notes,
        closes=_since(client.closes, time),
        goodbyes=_since(client.goodbyes, time),
        forgotten_until=forgotten_until,
    )


def _since(moments: tuple[Moment, ...], time: Millis) -> tuple[Moment, ...]:
    """Drop what is older than the newest connect: it says nothing any more."""
    return tuple([moment for moment in moments if moment.at >= time]) if moments else moments


def _newer(event: ConnectionObserved, channel_id: str, newest: Channel) -> bool:
    if event.time != newest.opened_at:
        return event.time > newest.opened_at
    if event.source != newest.source:
        return event.source > newest.source
    if event.listing is not None:  # a list knows no sequence
        return all(channel_id != known for known in (newest.id, *(rival for _, rival in newest.rivals)))
    return newest.id != channel_id and (event.sequence, channel_id) not in newest.rivals


def _succeed(old: Channel, new: Channel) -> Channel:
    """Carry over what the newest channel must know of the one before it."""
    if old.id == new.id:  # two sources report one connection: it ends once
        return replace(new, goodbye_at=old.goodbye_at, end=old.end)
    if (old.opened_at, old.source) == (new.opened_at, new.source):
        return replace(new, rivals=(*old.rivals, (old.sequence, old.id))[-TIES:])
    return new


def _judge(client: Client, channel: Channel, started: Start | None) -> Channel:
    """End a channel at once whose close was met before its connect."""
    goodbye_at, end = channel.goodbye_at, channel.end
    for note in client.notes:
        if note.channel_id == channel.id:
            goodbye_at, end = note.goodbye_at, _first(end, note.end)
    for close in client.closes:
        if close.source == channel.source and close.at > channel.opened_at:  # at the same time: met before, so older
            end = _first(end, close.end)
    if started is not None and channel.opened_at < started.at:
        end = _first(end, End(started.at, channel.source, "source_restarted"))
    if end is None and goodbye_at is None:
        return channel
    return replace(channel, goodbye_at=goodbye_at, end=end)


def _first(one: End | None, other: End | None) -> End | None:
    """Of two ends the earlier one, so that it does not matter which was met first."""
    if one is None or other is None:
        return one or other
    return other if other.at < one.at else one


# -- closes
def _close(client: Client, event: ConnectionObserved) -> Client:
    if event.channel_id is None:
        return client if event.takeover else _close_unnamed(client, event)
    if client.newest is not None and client.newest.id == event.channel_id:
        return _end(client, client.newest, _ended(event))
    return _note(client, Note(event.channel_id, event.source, end=_ended(event)), event.time)


def _close_unnamed(client: Client, event: ConnectionObserved) -> Client:
    """Close the newest channel if it is of the same source and was opened before, and remember the close."""
    newest = client.newest
    if event.time <= client.forgotten_until if newest is None else event.time < newest.opened_at:
        return client
    end = _ended(event)
    closes = _met(client.closes, event, end)
    if closes is client.closes:
        return client
    client = replace(client, closes=closes)
    return _end(client, newest, end) if newest is not None and newest.source == event.source else client


def _ended(event: ConnectionObserved) -> End:
    cause: Cause = "taken_over" if event.takeover else "disconnected" if event.goodbye else "connection_lost"
    return End(event.time, event.source, cause, event.reason)


def _end(client: Client, newest: Channel, end: End) -> Client:
    first = _first(newest.end, end)
    return client if first is newest.end else replace(client, newest=replace(newest, end=first))


# -- goodbyes
def _goodbye(client: Client, event: ConnectionObserved) -> Client:
    if event.channel_id is None:
        return _goodbye_unnamed(client, event)
    if client.newest is not None and client.newest.id == event.channel_id:
        return _mark(client, client.newest, event.time)
    return _note(client, Note(event.channel_id, event.source, goodbye_at=event.time), event.time)


def _goodbye_unnamed(client: Client, event: ConnectionObserved) -> Client:
    newest = client.newest
    if newest is None or event.time < newest.opened_at or newest.source != event.source:
        return client
    goodbyes = _met(client.goodbyes, event, None)
    return client if goodbyes is client.goodbyes else _mark(replace(client, goodbyes=goodbyes), newest, event.time)


def _mark(client: Client, newest: Channel, time: Millis) -> Client:
    return client if newest.goodbye_at is not None else replace(client, newest=replace(newest, goodbye_at=time))


# -- what may concern later connects
def _met(moments: tuple[Moment, ...], event: ConnectionObserved, end: End | None) -> tuple[Moment, ...]:
    """Remember an event without a channel; the same tuple if it was met before or is older than another one."""
    sequences: tuple[int, ...] = ()
    for moment in moments:
        if moment.source == event.source:
            if event.time < moment.at or (event.time == moment.at and event.sequence in moment.sequences):
                return moments
            if event.time == moment.at:
                sequences = moment.sequences
    met = Moment(event.time, event.source, (*sequences, event.sequence)[-TIES:], end)
    kept = newest_moments((*[moment for moment in moments if moment.source != event.source], met))
    return kept if met in kept else moments


def _note(client: Client, note: Note, time: Millis) -> Client:
    """Remember what came about a channel that is not the newest.

    Its connect is no later than what came, so beside a newer connect there is nothing to remember.
    """
    if time <= client.forgotten_until or (client.newest is not None and time < client.newest.opened_at):
        return client
    others = []
    for known in client.notes:
        if known.channel_id == note.channel_id:
            note = Note(note.channel_id, known.source, known.goodbye_at or note.goodbye_at, _first(known.end, note.end))
            if note == known:
                return client
        else:
            others.append(known)
    notes, forgotten_until = newest_notes(client, (*others, note))
    if note not in notes and forgotten_until == client.forgotten_until:
        return client
    return replace(client, notes=notes, forgotten_until=forgotten_until)
