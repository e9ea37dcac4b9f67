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
from .model import Cause, Channel, Client, Device, Early, End, Moment, Start

if TYPE_CHECKING:
    from libs.topics.messages.presence import ConnectionObserved, SourceStarted, TrafficSeen


class NamelessConnect(InvalidMessage):
    """Only a close may leave its channel unnamed."""

    code = reason = "nameless_connect"


def see_traffic(device: Device, event: TrafficSeen) -> Device:
    last = device.last_traffic_at
    return device if last is not None and event.time <= last else replace(device, last_traffic_at=event.time)


def restart(device: Device, event: SourceStarted) -> Device:
    """Close what a source had opened before it began anew."""
    clients = tuple(_restarted(client, event) for client in device.clients)
    return device if clients == device.clients else replace(device, clients=clients)


def _restarted(client: Client, event: SourceStarted) -> Client:
    newest = client.newest
    if newest is None or newest.end is not None or newest.source != event.source or newest.opened_at > event.time:
        return client
    return replace(client, newest=replace(newest, end=End(event.time, event.source, "source_restarted")))


def observe(device: Device, event: ConnectionObserved, started: Start | None) -> Device:
    """Fold what a source saw; ``started``: the newest start of that source."""
    before = _client(device, event)
    if before is None:
        return device
    match event.event:
        case "connect":
            after = _connect(before, event, started)
        case "tcpclean":
            after = _close(before, event)
        case "disconnect":
            after = _goodbye(before, event)
    return device if after is before else with_client(device, after)


def _client(device: Device, event: ConnectionObserved) -> Client | None:
    """Return the event's client, a blank one if it is new, None if the event is one of a client that had to leave."""
    for client in device.clients:
        if client.id == event.client_id:
            return client
    for source, until in device.forgotten:
        if source == event.source and event.time <= until:
            return None
    return Client(event.client_id)


# -- connects
def _connect(client: Client, event: ConnectionObserved, started: Start | None) -> Client:
    channel_id = event.channel_id
    if channel_id is None:
        raise NamelessConnect(f"client {event.client_id!r} connected without a channel id")
    newest = client.newest
    if newest is not None and not _newer(event, channel_id, newest):
        return client
    channel = Channel(
        id=channel_id,
        opened_at=event.time,
        source=event.source,
        sequence=event.sequence,
        client_ip=event.client_ip,
        protocol=event.protocol,
        keepalive=event.keepalive,
    )
    if newest is not None:
        channel = _succeed(newest, channel)
    return Client(
        id=client.id,
        newest=_judge(client, channel, started),
        early=tuple(early for early in client.early if early.at >= event.time and early.channel_id != channel_id),
        closes=tuple(moment for moment in client.closes if moment.at >= event.time),
        goodbyes=tuple(moment for moment in client.goodbyes if moment.at >= event.time),
        forgotten_until=client.forgotten_until,
    )


def _newer(event: ConnectionObserved, channel_id: str, newest: Channel) -> bool:
    if event.time != newest.opened_at:
        return event.time > newest.opened_at
    if event.source != newest.source:
        return event.source > newest.source
    return newest.id != channel_id and (event.sequence, channel_id) not in newest.rivals


def _succeed(old: Channel, new: Channel) -> Channel:
    """Carry over what the newest channel must know of the one before it."""
    if old.id == new.id:  # two sources report one connection; it ends once
        return replace(new, goodbye=old.goodbye, end=old.end)
    if (old.opened_at, old.source) == (new.opened_at, new.source):
        return replace(new, rivals=(*old.rivals, (old.sequence, old.id))[-TIES:])
    return new


def _judge(client: Client, channel: Channel, started: Start | None) -> Channel:
    """End a channel at once whose close was met before its connect."""
    goodbye, end = channel.goodbye, channel.end
    for early in client.early:
        if early.channel_id == channel.id:
            goodbye, end = goodbye or early.goodbye, _first(end, early.end)
    for close in client.closes:
        if close.source == channel.source and close.at > channel.opened_at:  # at the same time: met before, so older
            end = _first(end, close.end)
    if started is not None and channel.opened_at < started.at:
        end = _first(end, End(started.at, channel.source, "source_restarted"))
    if channel.opened_at <= client.forgotten_until:
        end = _first(end, End(client.forgotten_until, channel.source, "connection_lost"))
    return channel if end is None and not goodbye else replace(channel, goodbye=goodbye, end=end)


def _first(one: End | None, other: End | None) -> End | None:
    """Of two ends the earlier one, so that it does not matter which was met first."""
    if one is None or other is None:
        return one or other
    return other if other.at < one.at else one


# -- closes
def _close(client: Client, event: ConnectionObserved) -> Client:
    newest = client.newest
    if event.channel_id is None:
        return client if event.takeover else _close_unnamed(client, event)
    if newest is not None and newest.id == event.channel_id:
        return _end(client, newest, _ended(event, goodbye=newest.goodbye))
    return _note(client, Early(event.channel_id, event.source, event.time, end=_ended(event, goodbye=False)))


def _close_unnamed(client: Client, event: ConnectionObserved) -> Client:
    """Close the newest channel if it is of the same source and was opened before, and remember the close."""
    newest = client.newest
    if newest is not None and event.time < newest.opened_at:
        return client
    mine = newest is not None and newest.source == event.source
    end = _ended(event, goodbye=newest is not None and mine and newest.goodbye)
    closes = _met(client.closes, event, end)
    if closes is client.closes:
        return client
    client = replace(client, closes=closes)
    return _end(client, newest, end) if newest is not None and mine else client


def _ended(event: ConnectionObserved, *, goodbye: bool) -> End:
    if event.takeover:
        return End(event.time, event.source, "taken_over", event.reason)
    cause: Cause = "disconnected" if goodbye or event.goodbye else "connection_lost"
    return End(event.time, event.source, cause, event.reason)


def _end(client: Client, newest: Channel, end: End) -> Client:
    first = _first(newest.end, end)
    return client if first is newest.end else replace(client, newest=replace(newest, end=first))


# -- goodbyes
def _goodbye(client: Client, event: ConnectionObserved) -> Client:
    newest = client.newest
    if event.channel_id is None:
        return _goodbye_unnamed(client, event)
    if newest is not None and newest.id == event.channel_id:
        return _mark(client, newest)
    return _note(client, Early(event.channel_id, event.source, event.time, goodbye=True))


def _goodbye_unnamed(client: Client, event: ConnectionObserved) -> Client:
    newest = client.newest
    if newest is None or event.time < newest.opened_at or newest.source != event.source:
        return client
    goodbyes = _met(client.goodbyes, event, None)
    return client if goodbyes is client.goodbyes else _mark(replace(client, goodbyes=goodbyes), newest)


def _mark(client: Client, newest: Channel) -> Client:
    if newest.goodbye or newest.end is not None:
        return client
    return replace(client, newest=replace(newest, goodbye=True))


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
    kept = newest_moments((*(moment for moment in moments if moment.source != event.source), met))
    return kept if met in kept else moments


def _note(client: Client, early: Early) -> Client:
    """Remember what came about a channel that is not the newest one.

    Its connect is no later than what came, so beside a newer connect there is nothing to remember.
    """
    newest = client.newest
    if newest is not None and early.at < newest.opened_at:
        return client
    if early.at <= client.forgotten_until:
        return client
    others = tuple(known for known in client.early if known.channel_id != early.channel_id)
    for known in client.early:
        if known.channel_id == early.channel_id:
            early = _merge(known, early)
            if early == known:
                return client
    kept, lost = newest_notes((*others, early))
    forgotten = max((note.at for note in lost if note.end is not None), default=client.forgotten_until)
    if early not in kept and forgotten == client.forgotten_until:
        return client
    return replace(client, early=kept, forgotten_until=max(forgotten, client.forgotten_until))


def _merge(known: Early, new: Early) -> Early:
    end = _first(known.end, new.end)
    goodbye = known.goodbye or new.goodbye
    if end is not None and goodbye and end.cause == "connection_lost":
        end = replace(end, cause="disconnected")
    return Early(known.channel_id, known.source, max(known.at, new.at), goodbye, end)
