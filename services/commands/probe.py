"""Probes: whether a device answers, whatever its connection looks like. Pure; docs/probes.md has the rules.

A device echoes what it is asked, on the answer's topic. An attempt without an answer within `WITHIN` of the broker's
acknowledgement is a miss; as many in a row as the probe's mode allows make the device unreachable, and any answer makes
it reachable. What never came to the broker says nothing about the device: such a probe ends without a verdict.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Final, Literal
from zlib import crc32

from msgspec.structs import replace

from libs.runtime.lane.answers import address, answer
from libs.runtime.lane.verdicts import Refused, key_reused, malformed, refusal, unknown_device
from libs.topics import catalog, names
from libs.topics.codec import encode
from libs.topics.identity import is_name
from libs.topics.messages.command_events import ProbeConcluded
from libs.topics.messages.command_views import ProbeView

from . import mouth
from .model import Probe
from .outcomes import DONE, Waiter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from libs.topics.messages.base import Millis
    from libs.topics.messages.command_requests import MessagePublished, ProbeDevice
    from libs.topics.messages.commands import ProbeAnswered

    from .model import Entry
    from .turn import Turn

WITHIN: Final = 5_000
"""Milliseconds that an attempt has to be answered; and to come to the broker: later it is not published any more."""
NOTICE: Final = 5_000
"""Milliseconds after that, in which the downlink must have told that it was published."""
MISSES: Final[Mapping[str, int]] = {"strict": 1, "normal": 2, "loose": 3}
"""In a row, after which a device is unreachable, by mode."""
RUNNING: Final = 4
"""Probes of one device at a time."""
KEPT: Final = 4
"""Verdicts of a device that are remembered: a repeated request is answered with its own."""
WAITERS: Final = 8
"""For one probe's verdict."""
SCHEDULED: Final = "scheduled"
"""What the ids of probes begin with that nobody has asked for."""


def ask(turn: Turn, message: ProbeDevice) -> str:
    """Begin a probe; who asked is answered with its verdict. One that is known by its id is not begun again."""
    address(message)
    if refused := _refused(turn, message):
        turn.outputs += refusal(message, turn.at, refused)
        return refused.code
    row = turn.row
    for view in row.probed:
        if view.probe_id == message.probe_id:
            turn.answer(message, DONE, view)
            return "again"
    waiters = () if message.reply_to is None else (message.reply_to,)
    for probe in row.probes:
        if probe.probe_id == message.probe_id:
            _put(turn, probe, replace(probe, waiters=(*probe.waiters, *waiters)))
            return "again"
    _attempt(turn, None, Probe(message.probe_id, message.mode, waiters=waiters))
    return "asked"


def _refused(turn: Turn, message: ProbeDevice) -> Refused | None:
    if not is_name(message.probe_id):
        return malformed("invalid_name", f"{message.probe_id!r} is no probe id", "Use 1 to 64 of A-Z a-z 0-9 _ -")
    row = turn.row
    if not row.registered:
        return unknown_device(message.product_id, message.device_id)
    modes = {one.probe_id: one.mode for one in row.probes} | {one.probe_id: one.mode for one in row.probed}
    known = modes.get(message.probe_id)
    if known is not None and known != message.mode:
        return key_reused(message.probe_id)
    waiting = sum(len(one.waiters) for one in row.probes if one.probe_id == message.probe_id)
    if waiting >= WAITERS or (known is None and len(row.probes) >= RUNNING):
        detail = f"{len(row.probes)} probes of the device have no verdict yet, and as many wait for them as may"
        return Refused(429, "too_many_probes", detail, "Wait for their verdicts.")
    return None


def hear(turn: Turn, message: ProbeAnswered) -> str:
    """Take a device's answer: the verdict of the probe that it answers."""
    probe = next((one for one in turn.row.probes if one.message_id == message.message_id), None)
    if probe is None:
        return "unknown" if turn.row.gone_at is None else "late"
    as_sent = message.encoding == "json" and bytes(message.payload) == question(probe.message_id, probe.sent_at)
    rtt, at = max(0, message.received_at - probe.sent_at), max(message.received_at, probe.sent_at)
    _conclude(turn, probe, "reachable", at, rtt=rtt, altered=not as_sent)
    return "reachable"


def published(turn: Turn, message: MessagePublished) -> str | None:
    """Take the downlink's notice, if it is about a probe; None: it is not. It may be repeated."""
    probe = next((one for one in turn.row.probes if one.message_id == message.request_id), None)
    if probe is None:
        return None
    if message.refused is not None:
        _give_up(turn, probe, f"the question was not published: {message.refused}")
        return "failed"
    if probe.asked_at is not None:
        return "again"
    _put(turn, probe, replace(probe, asked_at=min(max(message.at, probe.sent_at), turn.now)))
    return "sent"


def pass_time(turn: Turn) -> None:
    """Count what was not answered as missed, and begin what is due."""
    now = turn.now
    for probe in turn.row.probes:
        if now < _until(probe):
            continue
        if probe.asked_at is None:
            _give_up(turn, probe, "the question did not come to the broker in time")
        elif probe.attempts < MISSES[probe.mode]:
            _attempt(turn, probe, probe)
        else:
            _conclude(turn, probe, "unreachable", now)
    due = turn.row.probe_at
    if due is not None and due <= now:
        schedule(turn)
        row = turn.row
        if row.probe_at is not None and row.hears and not any(map(_is_scheduled, row.probes)):
            at = turn.at
            _attempt(turn, None, Probe(f"{SCHEDULED}-{at.partition}-{at.offset}", "normal"))


def schedule(turn: Turn) -> None:
    """Note when the device is to be probed next, as its product says.

    Devices of a product are spread over its interval by their names, so that they do not answer all at once.
    """
    product = turn.shared.cells.get(turn.product_id)
    interval = None if product is None or not turn.row.registered else product.probe_interval
    due = None if interval is None else turn.now + interval - (turn.now - crc32(turn.at.key)) % interval
    if due != turn.row.probe_at:
        row = turn.row = copy(turn.row)
        row.probe_at = due


def end(turn: Turn) -> None:
    """The device was deleted: tell who waits."""
    why = unknown_device(turn.product_id, turn.device_id)
    for probe in turn.row.probes:
        _refuse(turn, probe, why)


def _give_up(turn: Turn, probe: Probe, detail: str) -> None:
    """End a probe that has found out nothing."""
    _refuse(turn, probe, Refused(503, "probe_not_sent", detail, "Ask again later: nothing is known of the device."))
    _put(turn, probe, None)
    turn.ends.append(("probe", "not_sent"))


def _refuse(turn: Turn, probe: Probe, why: Refused) -> None:
    for waiter in probe.waiters:
        turn.outputs += refusal(Waiter(waiter), turn.at, why)


def deadlines(row: Entry) -> list[Millis]:
    """When something is to be done about a row's probes."""
    times = [_until(probe) for probe in row.probes]
    return times if row.probe_at is None else [*times, row.probe_at]


def _until(probe: Probe) -> Millis:
    """When an attempt is over."""
    return probe.sent_at + WITHIN + NOTICE if probe.asked_at is None else probe.asked_at + WITHIN


def question(message_id: str, at: Millis) -> bytes:
    """What is sent, and to be echoed."""
    return encode({"id": message_id, "version": "1.0", "time": at})


def _attempt(turn: Turn, before: Probe | None, probe: Probe) -> None:
    made = turn.id()
    message_id = mouth.named("probe", turn.at, made)
    topic = f"/sys/{turn.at.key.decode()}/rrpc/request/{message_id}"
    asked = question(message_id, turn.now)
    turn.outputs += mouth.of_the_hub(
        turn.at, made, topic, asked, turn.now, expires_at=turn.now + WITHIN, request_id=message_id
    )
    attempts = probe.attempts + 1
    _put(turn, before, replace(probe, attempts=attempts, message_id=message_id, sent_at=turn.now, asked_at=None))


def _put(turn: Turn, before: Probe | None, after: Probe | None) -> None:
    row = turn.row = copy(turn.row)
    if before is None:
        row.probes += () if after is None else (after,)
    else:
        changed = [after if one is before else one for one in row.probes]
        row.probes = tuple([one for one in changed if one is not None])


def _conclude(
    turn: Turn,
    probe: Probe,
    verdict: Literal["reachable", "unreachable"],
    at: Millis,
    *,
    rtt: int | None = None,
    altered: bool = False,
) -> None:
    told = ProbeConcluded(
        id=turn.id(),
        product_id=turn.product_id,
        device_id=turn.device_id,
        probe_id=probe.probe_id,
        mode=probe.mode,
        verdict=verdict,
        attempts=probe.attempts,
        round_trip_ms=rtt,
        altered=altered,
        at=at,
    )
    turn.outputs += catalog.publish(names.COMMANDS_EVENTS, turn.at.key, told)
    view = ProbeView(probe.probe_id, probe.mode, verdict, probe.attempts, rtt, altered)
    for waiter in probe.waiters:
        turn.outputs += answer(Waiter(waiter), turn.at, DONE, view)
    _put(turn, probe, None)
    if not _is_scheduled(probe):
        turn.row.probed = (*turn.row.probed, view)[-KEPT:]
    turn.ends.append(("probe", verdict))


def _is_scheduled(probe: Probe) -> bool:
    return probe.probe_id.startswith(SCHEDULED)
