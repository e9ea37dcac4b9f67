"""Small fleets with a known past, and hubs that hold exactly what such a fleet did."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from fleet.evidence import Arrival, Transition
from fleet.messages import ARRIVES_IN
from fleet.truth import Truth
from libs.topics.messages.presence import OpenChannel, PresenceDocument, Session

if TYPE_CHECKING:
    from fleet.truth import Cause, Device, Ending

NORTH: Device = ("garden", "station-000")
SOUTH: Device = ("garden", "station-001")
ABSENT: Device = ("garden", "station-002")
START = 1_700_000_000.0


def truth(seed: int = 1, messages: int = 12) -> Truth:
    """NORTH comes and goes and is online, SOUTH was taken over and then cut, ABSENT never connected."""
    rng = random.Random(seed)
    world = Truth("run", START)
    for device in (NORTH, SOUTH, ABSENT):
        world.enlist(device)
    stories: dict[Device, list[Ending | None]] = {NORTH: ["goodbye", "cut", None], SOUTH: ["taken_over", "cut"]}
    now = START
    for device, endings in stories.items():
        for ending in endings:
            connection = world.opened(device, now, now + 0.01)
            for _ in range(messages):
                now += 0.3
                kind = rng.choice(list(ARRIVES_IN))
                sent = world.publish(device, kind, b'{"n":%d}' % len(world.sent), now)
                if rng.random() < 0.9:
                    world.acknowledged(sent, now + 0.002)
            now += 0.7
            if ending is not None:
                world.closed(connection, now, ending)
            if ending != "taken_over":
                now += 1.5
    return world


def arrivals(world: Truth, *, stored_only: bool = False, every_unacknowledged: bool = False) -> list[Arrival]:
    """What a faultless hub holds: per topic one partition per device, offsets in the order of sending."""
    found: list[Arrival] = []
    for sent in world.sent.values():
        topic = ARRIVES_IN[sent.kind]
        if stored_only and topic != "device.telemetry":
            continue
        if sent.acknowledged_at is None and not every_unacknowledged:
            continue
        product, device = sent.device
        partition = list(world.connections).index(sent.device)
        found.append(Arrival(topic, partition, len(found), product, device, sent.message_id, sent.payload))
    return found


def documents(world: Truth) -> dict[Device, PresenceDocument]:
    known: dict[Device, PresenceDocument] = {}
    for device, connections in world.connections.items():
        if not connections:
            continue
        up = world.up(device)
        channels: tuple[OpenChannel, ...] = ()
        if up is not None:
            channels = (OpenChannel("/".join(device), "channel", whole(up.opened_at), "mosquitto:main"),)
        since = whole(up.opened_at if up is not None else connections[-1].closed_at or 0)
        session = Session("online" if up else "offline", since, channels)
        known[device] = PresenceDocument(*device, session, None, since)
    return known


def whole(moment: float) -> int:
    """Milliseconds of the whole second, as mosquitto writes it."""
    return int(moment) * 1000


def transitions(world: Truth) -> list[Transition]:
    told: list[Transition] = []
    for device in world.connections:
        told += [transition(device, cause, len(told) + n) for n, cause in enumerate(world.causes(device))]
    return told


def transition(device: Device, cause: Cause, number: int) -> Transition:
    return Transition(f"presence.inbox-0-{number}-0", *device, cause)
