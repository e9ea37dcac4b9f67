"""What the tests of the laws share: random lives of a world, orders of delivery, and the laws themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st

from tests.support.presence.hub import Hub
from tests.support.presence.world import World

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


def lives(
    *,
    clients: int = 3,
    steps: int = 40,
    brokers: tuple[int, ...] = ALL,
    acts: tuple[str, ...] = ("connect", "connect", "close", "restart"),
    pauses: tuple[int, ...] = (1, 7, 1500),
) -> st.SearchStrategy[World]:
    """Worlds after a random life of one device."""
    step = st.tuples(
        st.sampled_from(pauses),
        st.sampled_from(acts),
        st.integers(1, clients),
        st.sampled_from(brokers),
        st.booleans(),
        st.booleans(),
    )
    return st.lists(step, min_size=1, max_size=steps).map(_live)


def _live(steps: list[tuple[int, str, int, int, bool, bool]]) -> World:
    world = World()
    for pause, act, client, broker, goodbye, twice in steps:
        world.wait(pause)
        who, where = ("d1", f"c{client}"), world.brokers[broker]
        if act == "connect":
            world.connect(who, where)
        elif act == "close":
            world.close(who, where, goodbye=goodbye, twice=twice)
        else:
            world.restart(where)
    return world


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
