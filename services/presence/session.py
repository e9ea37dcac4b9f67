"""What a row says to others: the channel that carries a device's session, the session, the document."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec.structs import replace

from libs.topics.messages.presence import LastProbe, OpenChannel, PresenceDocument, Session

from .lives import present
from .model import Channel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from libs.runtime.lane.model import Term
    from libs.topics.messages.base import Millis
    from libs.topics.messages.presence import SessionState

    from .model import Device, End


Opened: TypeAlias = tuple[str, Channel]
"""(client id, its open channel)."""

NEVER: Final = Session("offline", None)
"""Nobody knows of a connection."""


def opened(device: Device) -> list[Opened]:
    """List the open channels of the device's present life, oldest first; the last one carries the session."""
    found: list[Opened] = []
    for client in device.clients:
        channel = client.newest
        if channel is not None and channel.end is None and present(device, channel):
            found.append((client.id, channel))
    if len(found) > 1:
        found.sort(key=lambda pair: (pair[1].opened_at, pair[1].source, pair[0]))
    return found


def carrier(device: Device) -> Opened | None:
    """Return the channel that carries the session: the newest open one, in doubt only where all are."""
    if device.gone:
        return None
    found = opened(device)
    if device.doubts:
        doubted = dict(device.doubts)
        found = [pair for pair in found if pair[1].source not in doubted] or found
    return found[-1] if found else None


def state(device: Device, carried_by: Opened | None) -> SessionState:
    """Tell the session's state from the `carrier` of it."""
    if carried_by is None:
        return "offline"
    if device.doubts and carried_by[1].source in dict(device.doubts):
        return "unknown"
    return "online"


def session(device: Device) -> Session:
    """Online since the oldest of the channels that are open and not in doubt, else offline since the last one ended.

    Unknown since the last moment at which it is known to have been connected, or when that ended: the newest among the
    lapses of the sources, the connects in doubt, and the ends of channels. One that is gone was never connected.
    """
    if device.gone:
        return NEVER
    found = opened(device)
    if not found:
        return Session("offline", _last_end(device))
    channels = tuple(
        [
            OpenChannel(client_id, one.id, one.opened_at, one.source, one.client_ip, one.protocol, one.keepalive)
            for client_id, one in found
        ]
    )
    if not device.doubts:
        return Session("online", channels[0].opened_at, channels)
    lapsed = dict(device.doubts)
    vouched = [one.opened_at for _, one in found if one.source not in lapsed]
    if vouched:
        return Session("online", vouched[0], channels)
    moments = [max(one.opened_at, lapsed[one.source]) for _, one in found]
    ended = _last_end(device)
    return Session("unknown", max(moments if ended is None else [*moments, ended]), channels)


def doubted(device: Device, doubts: Mapping[str, Millis]) -> Device:
    """Note which sources of open channels are in ``doubts``; the same device comes back where it says so already."""
    found: tuple[tuple[str, Millis], ...] = ()
    if doubts:
        sources = {channel.source for _, channel in opened(device)}
        found = tuple((source, doubts[source]) for source in sorted(sources & doubts.keys()))
    return device if found == device.doubts else replace(device, doubts=found)


def _last_end(device: Device) -> Millis | None:
    since = device.ended_at
    for client in device.clients:
        newest = client.newest
        if newest is None or newest.end is None or not present(device, newest):
            continue
        if since is None or newest.end.at > since:
            since = newest.end.at
    return since


def silent(device: Device) -> bool:
    """Tell whether there is nothing to show: the device is gone, or nothing was heard of its life after a deletion."""
    if device.born_at < 0:
        return False
    return device.gone or (device.last_traffic_at is None and device.last_probe is None and session(device) == NEVER)


def document(product_id: str, device_id: str, device: Device) -> PresenceDocument:
    """Write the three facts: session, last traffic, last probe."""
    probe = device.last_probe
    return PresenceDocument(
        product_id,
        device_id,
        session(device),
        device.last_traffic_at,
        device.updated_at,
        None if probe is None else LastProbe(probe.probe_id, probe.verdict, probe.mode, probe.round_trip_ms, probe.at),
    )


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
    """Index terms: the sources of open channels, by which what concerns a source finds its devices."""
    sources = {channel.source for _, channel in opened(device)}
    if not sources:
        return ()
    return _terms(sources.pop()) if len(sources) == 1 else tuple(source_term(source) for source in sorted(sources))


def source_term(source: str) -> Term:
    return ("source", source)


@cache
def _terms(source: str) -> tuple[Term, ...]:
    return (source_term(source),)  # one object for all devices of a source, not one each
