"""Devices as the registry and presence tell of them: they begin, carry tags, come online, and end. Pure.

A device that was deleted leaves a remnant for a while, which drops what comes late: a reply or a notice that was under
way.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Final

from libs.runtime.lane import memory

from . import limits, probe, pulls
from .model import Entry

if TYPE_CHECKING:
    from libs.topics.messages.base import Millis
    from libs.topics.messages.presence import PresenceChanged
    from libs.topics.messages.registry_events import DeviceDeleted, DeviceRegistered, TagsChanged

    from .limits import Rules
    from .turn import Turn

REMNANT: Final = 60_000
"""Milliseconds for which a deleted device's row drops what comes late."""


def register(turn: Turn, event: DeviceRegistered) -> None:
    """Begin a device's life. One that is met again changes nothing."""
    if event.version <= turn.row.registry_version:
        return
    row = _again(turn.row) if turn.row.gone_at is not None else copy(turn.row)
    row.registered, row.registry_version = True, event.version
    row.tags, row.tags_version = event.tags, event.tags_version
    turn.row = row
    probe.schedule(turn)
    pulls.tell_tags(turn)


def retag(turn: Turn, event: TagsChanged) -> None:
    """Give a device other tags. An event that is met again, or concerns an earlier life, changes nothing."""
    if event.version <= turn.row.registry_version:
        return
    row = turn.row = copy(turn.row)
    row.registered, row.registry_version = True, event.version
    row.tags, row.tags_version = event.tags, event.tags_version
    pulls.tell_tags(turn)


def end(turn: Turn, event: DeviceDeleted) -> None:
    """End a device's life, and all its commands."""
    if event.version <= turn.row.registry_version:
        return
    for command in turn.row.open:
        turn.end(command, "cancelled", f"the device was deleted by {event.by}")
    probe.end(turn)
    row = turn.row = _again(turn.row)
    row.registry_version, row.gone_at = event.version, turn.at.timestamp


def _again(entry: Entry) -> Entry:
    """Return a row with nothing but what presence said."""
    return Entry(
        product_id=entry.product_id,
        session=entry.session,
        presence_id=entry.presence_id,
        channel_id=entry.channel_id,
        link=entry.link,
    )


def connect(turn: Turn, event: PresenceChanged) -> None:
    """Note whether a device can hear. A connection that is new makes all its open commands wait to be sent, again."""
    if event.id == turn.row.presence_id:
        return
    row = turn.row = copy(turn.row)
    row.session, row.presence_id = event.new, event.id
    if event.new == "offline":
        for command in row.open:
            if command.state == "accepted" and not command.tries:
                turn.queue(command)
    elif event.channel_id is not None and event.channel_id != row.channel_id:
        row.channel_id = event.channel_id
        row.link += 1
        row.heard, row.scout, row.unheard, row.retry_at = False, "", 0, 0
    pulls.tell_tags(turn)


def known(entry: Entry) -> bool:
    """Tell whether anything would be lost with a row."""
    return bool(entry.registered or entry.gone_at is not None or entry.hears)


def deadline(entry: Entry, rules: Rules) -> Millis | None:
    """When something is to be done about a row."""
    if entry.gone_at is not None:
        return entry.gone_at + REMNANT
    times = [command.expires_at for command in entry.open]
    times += probe.deadlines(entry)
    if entry.open and entry.hears:
        times += [call.tried_at + limits.RETRY for call in entry.unheard_calls()]
        if entry.backlog():
            times.append(_resumes(entry, rules))
    if entry.ended:
        times.append(_by_the_hour(entry.ended[0].ended_at + limits.AGE))
    if entry.answered and (forget := memory.deadline(entry.answered)) is not None:
        times.append(forget)
    return min(times, default=None)


def _resumes(entry: Entry, rules: Rules) -> Millis:
    """When more is sent of what waits, if nothing happens before."""
    moment = entry.retry_at
    if entry.window_sent >= rules.pace:
        moment = max(moment, entry.window_at + rules.window)
    if entry.scout:
        moment = max(moment, entry.scout_at + limits.NOTICE)
    return moment


def _by_the_hour(moment: Millis) -> Millis:
    """Rows forget by the hour: few different deadlines keep their order short."""
    return (moment // limits.HOUR + 1) * limits.HOUR


def forget(turn: Turn) -> None:
    """Forget what is too old, and a remnant whose time has come."""
    row = turn.row
    if row.gone_at is not None and row.gone_at + REMNANT <= turn.now:
        row = turn.row = copy(row)
        row.gone_at = None
    ended, answered = limits.fresh(row.ended, turn.now), memory.forget(row.answered, turn.now)
    if len(ended) < len(row.ended) or len(answered) < len(row.answered):
        row = turn.row = copy(row)
        row.ended, row.answered = ended, answered
