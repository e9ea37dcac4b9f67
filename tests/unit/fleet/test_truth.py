from __future__ import annotations

from fleet.truth import Truth
from tests.unit.fleet import worlds
from tests.unit.fleet.worlds import ABSENT, NORTH, SOUTH


def test_the_first_account_of_an_end_stands() -> None:
    truth = Truth("run", 0.0)
    truth.enlist(NORTH)
    connection = truth.opened(NORTH, 1.0, 1.1)
    truth.closed(connection, 2.0, "cut")
    truth.closed(connection, 2.5, "lost")
    assert (connection.closed_at, connection.ending) == (2.0, "cut")


def test_a_connection_that_was_taken_over_goes_on_as_the_next_one() -> None:
    truth = Truth("run", 0.0)
    truth.enlist(NORTH)
    first = truth.opened(NORTH, 1.0, 1.1)
    truth.closed(first, 2.0, "taken_over")
    second = truth.opened(NORTH, 2.0, 2.1)
    assert truth.up(NORTH) is second
    assert list(truth.causes(NORTH)) == ["connected", "taken_over"]
    truth.closed(second, 3.0, "lost")
    assert truth.up(NORTH) is None
    assert list(truth.causes(NORTH)) == ["connected", "taken_over", "connection_lost"]


def test_the_changes_of_a_device_that_comes_and_goes() -> None:
    world = worlds.truth()
    assert list(world.causes(NORTH)) == ["connected", "disconnected", "connected", "connection_lost", "connected"]
    assert list(world.causes(SOUTH)) == ["connected", "taken_over", "connection_lost"]
    assert list(world.causes(ABSENT)) == []


def test_counts() -> None:
    world = worlds.truth()
    assert world.online() == 1
    assert (world.endings("cut"), world.endings("goodbye"), world.endings("taken_over")) == (2, 1, 1)
    assert world.products == {"garden"}
    assert len(world.sent) == 60
    assert world.acknowledgements() == sum(m.acknowledged_at is not None for m in world.sent.values()) < 60


def test_message_ids_begin_with_the_run_and_are_never_repeated() -> None:
    world = worlds.truth()
    assert list(world.sent) == [f"run-{n}" for n in range(60)]
