"""The truth against what the hub holds: findings, one sentence each. No finding means that the books balance.

An acknowledged message must be there exactly once, as it was sent, after the device's earlier ones. One that was
never acknowledged may be there once or not at all: the connection was cut before anybody could know.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from .messages import ARRIVES_IN, STORED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from libs.topics.messages.deadletters import DeadLetter
    from libs.topics.messages.presence import PresenceDocument

    from .evidence import Arrival, Transition
    from .truth import Connection, Device, Sent, Truth

Place: TypeAlias = Literal["Kafka", "ClickHouse"]

CLOCK_SLACK = 1.0
"""Seconds. mosquitto writes whole seconds of a clock that it reads once per round of its loop."""
RESTARTED = "source_restarted"
"""What the hub says of connections that the broker's end took: to a device its connection was lost, or had ended
already, with a goodbye that the broker did not read any more."""


class Finding(msgspec.Struct, frozen=True):
    where: str
    what: str
    """``lost``, ``doubled``, ``unknown``, ``altered``, ``disorder``, ``state``, ``since``, ``transitions``,
    ``refused``."""
    sentence: str


def messages(truth: Truth, arrivals: Iterable[Arrival], place: Place) -> list[Finding]:
    """Everything sent against everything found in one place. Records of other fleets are passed over."""
    found: dict[str, list[Arrival]] = defaultdict(list)
    findings: list[Finding] = []
    for arrival in arrivals:
        if arrival.message_id in truth.sent:
            found[arrival.message_id].append(arrival)
        elif arrival.product_id in truth.products:
            sentence = f"{place} holds {arrival.message_id} of {_name(arrival)}, which the fleet never sent"
            findings.append(Finding(place, "unknown", sentence))
    for message in truth.sent.values():
        if place == "Kafka" or message.kind in STORED:
            findings += _message(message, found[message.message_id], place)
    return findings + _disorder(truth, found, place)


def _message(message: Sent, copies: list[Arrival], place: Place) -> list[Finding]:
    who = f"{message.message_id} ({message.kind} of {'/'.join(message.device)})"
    findings: list[Finding] = []
    if not copies and message.acknowledged_at is not None:
        findings.append(Finding(place, "lost", f"{who} was acknowledged but is not in {place}"))
    if len(copies) > 1:
        at = ", ".join(sorted(f"{c.topic}-{c.partition}-{c.offset}" for c in copies))
        findings.append(Finding(place, "doubled", f"{who} is in {place} {len(copies)} times: {at}"))
    for copy in copies:
        if copy.topic != ARRIVES_IN[message.kind]:
            findings.append(Finding(place, "altered", f"{who} is in {copy.topic}, not in {ARRIVES_IN[message.kind]}"))
        if (copy.product_id, copy.device_id) != message.device:
            findings.append(Finding(place, "altered", f"{who} is in {place} as a message of {_name(copy)}"))
        if copy.payload != message.payload:
            findings.append(Finding(place, "altered", f"{who} is in {place} with another payload than was sent"))
    return findings


def _disorder(truth: Truth, found: Mapping[str, list[Arrival]], place: Place) -> list[Finding]:
    """Per device and topic, the first copies have to lie in the order of sending."""
    last: dict[tuple[Device, str], Arrival] = {}
    findings: list[Finding] = []
    for message in truth.sent.values():
        copies = found.get(message.message_id)
        if not copies:
            continue
        first = min(copies, key=lambda copy: (copy.partition, copy.offset))
        before = last.get((message.device, first.topic))
        if before and (before.partition, before.offset) > (first.partition, first.offset):
            sentence = f"{first.message_id} of {_name(first)} lies before {before.message_id}, which was sent earlier"
            findings.append(Finding(place, "disorder", sentence))
        last[message.device, first.topic] = first
    return findings


def presence(truth: Truth, documents: Mapping[Device, PresenceDocument]) -> list[Finding]:
    """Compare the current state of every device. Exact, since the fleet holds still while it is compared."""
    findings: list[Finding] = []
    for device, connections in truth.connections.items():
        document = documents.get(device)
        state = "offline" if document is None else document.session.state
        expected = "offline" if truth.up(device) is None else "online"
        name = "/".join(device)
        if state != expected:
            known = "has no document" if document is None else f"says {state}"
            findings.append(Finding("presence", "state", f"{name} is {expected}, the hub {known}"))
        elif document is None and connections:
            findings.append(Finding("presence", "state", f"{name} was connected, the hub does not know it"))
        elif document is not None and connections:
            findings += _since(name, connections, truth.up(device), document)
    return findings


def _since(
    name: str, connections: list[Connection], up: Connection | None, document: PresenceDocument
) -> list[Finding]:
    since = (document.session.since or 0) / 1000
    if up is None:
        closed = connections[-1].closed_at or 0.0
        if since < _earliest(closed):
            sentence = f"{name} went offline at {closed:.3f}, the hub says {since:.3f}"
            return [Finding("presence", "since", sentence)]
        return []
    channels = document.session.channels
    if len(channels) != 1:
        return [Finding("presence", "state", f"{name} has one connection, the hub lists {len(channels)}")]
    opened = channels[0].opened_at / 1000
    if not _earliest(up.asked_at) <= opened <= up.opened_at:
        sentence = f"{name} connected between {up.asked_at:.3f} and {up.opened_at:.3f}, the hub says {opened:.3f}"
        return [Finding("presence", "since", sentence)]
    return []


def _earliest(moment: float) -> float:
    return moment // 1 - CLOCK_SLACK


def transitions(truth: Truth, log: Iterable[Transition], place: Place) -> list[Finding]:
    """Compare the transition log per device, in its order. A change repeated under its id counts once."""
    told: dict[Device, list[str]] = defaultdict(list)
    for change in {change.id: change for change in log}.values():
        told[change.product_id, change.device_id].append(change.cause)
    findings: list[Finding] = []
    for device in truth.connections:
        expected: list[str] = list(truth.causes(device))
        if not _tells(told[device], expected):
            sentence = f"{'/'.join(device)}: {_story(expected)}; the transitions in {place}: {_story(told[device])}"
            findings.append(Finding(place, "transitions", sentence))
    return findings


def _tells(told: list[str], expected: list[str]) -> bool:
    return len(told) == len(expected) and all(
        cause == wanted or (cause == RESTARTED and wanted in {"connection_lost", "disconnected"})
        for cause, wanted in zip(told, expected, strict=True)
    )


def dead_letters(letters: Iterable[DeadLetter]) -> list[Finding]:
    """Name every dead letter: the fleet sends nothing that could be refused."""
    return [
        Finding("dead letters", "refused", f"{letter.service} refused {letter.origin}: {letter.error}")
        for letter in letters
    ]


def _name(arrival: Arrival) -> str:
    return f"{arrival.product_id}/{arrival.device_id}"


def _story(changes: list[str]) -> str:
    return ", ".join(changes) or "nothing"
