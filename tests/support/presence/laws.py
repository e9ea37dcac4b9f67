"""What the tests of the laws share: random lives of a world, orders of delivery, and the laws themselves."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st

from libs.topics.messages.command_events import ProbeConcluded
from libs.topics.messages.hub import TimePassed
from libs.topics.messages.presence import TrafficSeen
from libs.topics.messages.registry_events import DeviceDeleted, DeviceRegistered
from tests.support.presence.hub import Hub
from tests.support.presence.world import Broker, Client, World

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from libs.topics.messages.presence import PresenceChanged
    from services.presence.step import Event

LAW = settings(max_examples=100, deadline=None)
RANDOM = st.randoms(use_true_random=False)
ALL = (0, 1, 2, 3, 4)
NAMING = (3, 4)
"""The brokers of the world that name the channel on a close."""
LIFE = (*("connect",) * 4, "close", "close", "restart")
LIVES = ("delete", "register", "register")
WATCH = (*("tick",) * 5, "renew", "renew", "lose", "lose", "list", "listed", "listed", "probe")
"""What shows how well a broker is watched, and what the hub finds out by itself."""


def lives(
    *,
    clients: int = 3,
    steps: int = 40,
    brokers: tuple[int, ...] = ALL,
    acts: tuple[str, ...] = (*LIFE, *LIVES, *WATCH),
    pauses: tuple[int, ...] = (1, 7, 400, 1500, 1500, 6000),
) -> st.SearchStrategy[World]:
    """Worlds after a random life of one device, on one or two brokers."""
    step = st.tuples(
        st.sampled_from(pauses),
        st.sampled_from(acts),
        st.integers(1, clients),
        st.integers(0, 1),
        st.booleans(),
        st.booleans(),
    )
    some = st.lists(st.sampled_from(brokers), min_size=2, max_size=2)
    return st.builds(_live, some, st.lists(step, min_size=steps // 2, max_size=steps))


def _live(brokers: list[int], steps: list[tuple[int, str, int, int, bool, bool]]) -> World:
    world = World()
    for pause, act, client, broker, goodbye, twice in steps:
        world.wait(pause)
        who, where = ("d1", f"c{client}"), world.brokers[brokers[broker]]
        do(world, act, who, where, one=goodbye, other=twice)
    return world


def do(world: World, act: str, who: Client, where: Broker, *, one: bool, other: bool) -> None:
    """``one``, ``other``: what else the act may hang on."""
    match act:
        case "connect":
            world.connect(who, where)
        case "close":
            world.close(who, world.home(who, where), goodbye=one, twice=other)
        case "restart":
            world.restart(where)
        case "lose":
            world.lose(who, world.home(who, where))
        case "renew":
            world.renew(where, 10_000 if one else 2000)
        case "list":
            world.begin_listing(where)
        case "listed":
            if where.listing is None:
                world.begin_listing(where)
            world.end_listing(where)
        case "probe":
            world.probe(who[0], reachable=one)
        case "delete":
            world.delete(who[0])
        case "register":
            world.register(who[0])
        case "tick":
            world.tick()
        case _:
            raise ValueError(act)


def mixed(world: World, random: Random) -> list[Event]:
    """An interleaving that keeps each source's order, with events met again at any later time."""
    left = [list(log) for log in world.logs() if log]
    out: list[Event] = []
    while left:
        out.append(random.choice(left).pop(0))
        left = [log for log in left if log]
        if random.random() < 0.3:
            out.append(random.choice(out))
    return out


def in_time(world: World, random: Random) -> list[Event]:
    """Everything as it was said, in the world's time, with events met again at any later time."""
    said = [(said_at(event), event) for log in world.logs() for event in log]
    out: list[Event] = []
    for _, event in sorted(said, key=itemgetter(0)):
        out += [event, random.choice(out or [event])]
    return out


def said_at(event: Event) -> int:
    match event:
        case ProbeConcluded() | TimePassed() | DeviceRegistered() | DeviceDeleted():
            return event.at
        case TrafficSeen():
            return event.time
        case _:
            return event.ingested_at


def folded(events: Sequence[Event]) -> Hub:
    """A hub that met the events, and on which the first law held: met again, each of them changes nothing."""
    hub = Hub()
    for event in events:
        hub.apply(event)
    for event in events:
        assert_changes_nothing(hub, event)
    return hub


def assert_changes_nothing(hub: Hub, event: Event) -> None:
    rows, sources = dict(hub.rows), hub.sources
    assert not hub.apply(event), event
    assert hub.rows.keys() == rows.keys()
    assert all(hub.rows[key] is rows[key] for key in rows), event
    assert hub.sources is sources


def assert_chain(transitions: Sequence[PresenceChanged]) -> None:
    """Each transition begins where the one before it ended, leads elsewhere, and has an id of its own."""
    last: dict[str, tuple[str, str | None]] = {}
    for changed in transitions:
        assert last.get(changed.device_id, ("offline", None)) == (changed.old, changed.previous_channel_id)
        now = (changed.new, changed.channel_id)
        assert now != (changed.old, changed.previous_channel_id)
        assert (changed.channel_id is None) == (changed.new == "offline")
        last[changed.device_id] = now
    assert len({changed.id for changed in transitions}) == len(transitions)
