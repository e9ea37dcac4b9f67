"""What is said about a change: its cause, who saw it, and when it was. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from libs.topics.messages.hub import LeaseRenewed
from libs.topics.messages.presence import ConnectionObserved, PresenceChanged
from libs.topics.messages.registry_events import DeviceDeleted, DeviceRegistered

from .lives import REGISTRY
from .session import end_of, opened, session, state

if TYPE_CHECKING:
    from libs.runtime.lane.model import At
    from libs.topics.messages.base import Message, Millis
    from libs.topics.messages.presence import Cause, PresenceDocument

    from .model import Device
    from .session import Opened

Story: TypeAlias = "tuple[str, str, Millis, Cause, str | None]"
"""(client id, source, moment, cause, the source's own words)."""


def transition(
    shown: PresenceDocument,
    event: Message,
    at: At,
    *,
    before: Device,
    after: Device,
    was: Opened | None,
    now: Opened | None,
) -> PresenceChanged:
    """``was``, ``now``: what carried the session before the event and carries it after it; they or the state differ."""
    since = shown.session.since
    story = _life(event, was, now) or _connect(event, after, was, now)
    if story is not None:
        if shown.session.state == "unknown" and was is None:  # of the time up to a lapse nothing else is told
            since = _first_doubt(story[2], before)
        elif shown.session.state == "offline":  # of a device that is gone nothing is known
            since = story[2]
    else:
        assert was is not None, "without a connect something must have changed for the channel that carried the session"
        story = _doubt(event, before, after, was, now) if was in opened(after) else _end(after, was)
    client_id, source, moment, cause, reason = story
    return PresenceChanged(
        id=at.id(),
        product_id=shown.product_id,
        device_id=shown.device_id,
        old=state(before, was),
        new=shown.session.state,
        cause=cause,
        reason=reason,
        client_id=client_id,
        channel_id=None if now is None else now[1].id,
        previous_channel_id=None if was is None else was[1].id,
        source=source,
        at=moment,
        observed_at=at.timestamp,
        since=since,
    )


def _first_doubt(connected: Millis, before: Device) -> Millis:
    """From when on a device that was offline is in doubt: its connect, even if the source's lease ran on after it."""
    ended = session(before).since
    return connected if ended is None else max(connected, ended)


def _life(event: Message, was: Opened | None, now: Opened | None) -> Story | None:
    """The device that was connected is deleted, or one registered whose connect was met before."""
    if isinstance(event, DeviceDeleted) and was is not None:
        return was[0], REGISTRY, event.at, "deleted", None
    if isinstance(event, DeviceRegistered) and now is not None:
        return now[0], now[1].source, now[1].opened_at, "connected", None
    return None


def _connect(event: Message, after: Device, was: Opened | None, now: Opened | None) -> Story | None:
    """Either the channel that carries the session now was opened, or one that took over from the one that did."""
    if type(event) is not ConnectionObserved or event.event != "connect":
        return None
    made = (event.client_id, event.channel_id)
    took_over = was is not None and was[0] == event.client_id
    if now is not None and made == (now[0], now[1].id):
        cause: Cause = "taken_over" if took_over else "connected"
    elif took_over and any(made == (client_id, channel.id) for client_id, channel in opened(after)):
        cause = "taken_over"
    else:
        return None
    return event.client_id, event.source, event.time, cause, None


def _doubt(event: Message, before: Device, after: Device, was: Opened, now: Opened | None) -> Story:
    """The channel that carried the session is still open: what changed is which sources are in doubt."""
    source = was[1].source
    lapsed = dict(after.doubts)
    if source in lapsed and source not in dict(before.doubts):
        return was[0], source, lapsed[source], "lease_lapsed", None
    assert isinstance(event, LeaseRenewed)
    assert now is not None
    return now[0], now[1].source, event.ingested_at, "lease_renewed", None


def _end(after: Device, was: Opened) -> Story:
    end = end_of(after, was[0])
    return was[0], end.source, end.at, end.cause, end.reason
