"""Rows stay bounded, and that changes no answer."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from services.presence import forget
from services.presence.lives import connected
from tests.support.presence.hub import Hub
from tests.support.presence.laws import LAW, LIFE, RANDOM, WATCH, assert_changes_nothing, folded, in_time, lives
from tests.support.presence.observations import KEY, observed, tick
from tests.support.presence.world import T0

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from libs.topics.messages.hub import TimePassed
    from libs.topics.messages.presence import ConnectionObserved
    from services.presence.model import Device
    from tests.support.presence.world import World


@contextmanager
def bounds(*, clients: int = forget.CLIENTS, channels: int = forget.CHANNELS, age: int = forget.AGE) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forget, "CLIENTS", clients)
        patch.setattr(forget, "CHANNELS", channels)
        patch.setattr(forget, "AGE", age)
        patch.setattr(forget, "ROUND", min(forget.ROUND, age // 4))
        yield


@given(world=lives(clients=9, steps=60, pauses=(1000, 2500, 7001)), random=RANDOM)
@LAW
def test_forgetting_clients_changes_no_answer(world: World, random: Random) -> None:
    """As long as nothing is met for the first time after so many clients came and went."""
    with bounds(clients=3):
        assert folded(in_time(world, random)).state() == world.truth()


@given(world=lives(steps=60, acts=(*LIFE, *WATCH, "tick"), pauses=(1, 1000, 2500, 7001)), random=RANDOM)
@LAW
def test_pruning_changes_no_answer(world: World, random: Random) -> None:
    """As long as nothing is met for the first time after the age at which the like of it leaves."""
    with bounds(age=4000):
        hub = folded([*in_time(world, random), *far_off(world)])
        assert hub.state() == world.truth()
    for row in hub.rows.values():
        assert all(connected(row, client) for client in row.clients)
        assert not any(client.notes for client in row.clients)


def far_off(world: World) -> list[TimePassed]:
    """Two ticks at which all that happened in a world is old; at the first of them, leases may lapse."""
    for pause in (100_000, 1):
        world.wait(pause)
        world.tick()
    return world.ticks[-2:]


def row_after(events: list[ConnectionObserved]) -> tuple[Hub, Device]:
    hub = Hub()
    for event in events:
        hub.apply(event)
    return hub, hub.rows[KEY]


def test_of_a_thousand_clients_that_came_and_went_sixteen_are_kept() -> None:
    visits = []
    for n in range(1000):
        visits.append(observed("connect", 2 * n, f"ch{n}", client=f"c{n}"))
        visits.append(observed("tcpclean", 2 * n + 1, f"ch{n}", client=f"c{n}"))
    hub, row = row_after(visits)
    assert [client.id for client in row.clients] == [f"c{n}" for n in range(984, 1000)]
    for event in visits:
        assert_changes_nothing(hub, event)


def test_open_clients_are_never_forgotten() -> None:
    hub, row = row_after([observed("connect", n, f"ch{n}", client=f"c{n}") for n in range(40)])
    assert len(row.clients) == 40
    assert len(hub.documents[KEY].session.channels) == 40


def test_closed_clients_make_room_for_those_that_come() -> None:
    connects = [observed("connect", n, f"ch{n}", client=f"c{n}") for n in range(40)]
    closes = [observed("tcpclean", 100 + n, f"ch{n}", client=f"c{n}") for n in range(40)]
    _, row = row_after([*connects, *closes, observed("connect", 200, "new", client="new")])
    assert len(row.clients) == 16
    assert row.clients[-1].id == "new"


def test_a_thousand_closes_without_their_connects_leave_sixteen_notes() -> None:
    closes = [observed("tcpclean", n, f"ch{n}") for n in range(1000)]
    hub, row = row_after(closes)
    assert [note.channel_id for note in row.clients[0].notes] == [f"ch{n}" for n in range(984, 1000)]
    for close in closes:
        assert_changes_nothing(hub, close)


def test_a_connect_whose_close_was_forgotten_stays_closed() -> None:
    hub, _ = row_after([observed("tcpclean", n, f"ch{n}") for n in range(100)])
    hub.apply(observed("connect", 5, "ch7"))
    assert hub.documents[KEY].session.state == "offline"


def test_marks_of_one_moment_are_bounded() -> None:
    connects = [observed("connect", 0, f"ch{n}", sequence=n) for n in range(2000)]
    closes = [observed("tcpclean", 0, None, sequence=n) for n in range(2000)]
    _, row = row_after([*connects, *closes])
    client = row.clients[0]
    assert client.newest is not None
    assert len(client.newest.rivals) == forget.TIES
    assert len(client.closes[0].sequences) == forget.TIES


def test_a_device_is_offline_since_its_last_end_even_if_that_was_a_forgotten_clients() -> None:
    forgotten = [observed("connect", 1, "x", client="old"), observed("tcpclean", 900, "x", client="old")]
    connects = [observed("connect", 100 + n, f"ch{n}", client=f"c{n}") for n in range(15)]
    closes = [observed("tcpclean", 200 + n, f"ch{n}", client=f"c{n}") for n in range(15)]
    hub, row = row_after([*forgotten, *connects])
    assert row.clients[0].id == "old"
    hub.apply(observed("connect", 901, "y", client="new"))
    assert "old" not in {client.id for client in hub.rows[KEY].clients}
    for close in [*closes, observed("tcpclean", 899, "y", client="new")]:
        hub.apply(close)
    assert hub.documents[KEY].session.state == "offline"
    assert hub.documents[KEY].session.since == T0 + 900_000


def test_what_a_client_had_forgotten_is_forgotten_with_it() -> None:
    with bounds(age=8000):
        late = observed("tcpclean", 10, "early")
        hub, _ = row_after([observed("connect", 4, "ch1"), late])
        hub.apply(tick(20))
        assert hub.rows[KEY].clients[0].notes == ()
        hub.apply(observed("tcpclean", 6, "ch1"))
        hub.apply(tick(30))
        assert hub.rows[KEY].clients == ()
        assert_changes_nothing(hub, late)


def test_a_row_is_due_only_if_there_is_something_to_prune() -> None:
    _, opened = row_after([observed("connect", 0, "ch1")])
    assert forget.deadline(opened) is None
    _, noted = row_after([observed("connect", 0, "ch1"), observed("tcpclean", 5, "early")])
    _, closed = row_after([observed("connect", 0, "ch1"), observed("tcpclean", 5, "ch1")])
    for row in (noted, closed):
        due = forget.deadline(row)
        assert due is not None
        assert 0 < due - (T0 + 5000 + forget.AGE) <= forget.ROUND
        pruned = forget.prune(row, due)
        assert pruned is not None
        assert forget.deadline(pruned) is None
        assert forget.prune(pruned, due) is pruned
