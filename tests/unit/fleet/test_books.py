from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleet import books
from fleet.books import Entry
from fleet.evidence import Arrival
from fleet.truth import Truth
from tests.unit.fleet import worlds
from tests.unit.fleet.worlds import NORTH


@given(st.integers(0, 2**32), st.booleans())
def test_in_a_faultless_hub_the_columns_add_up(seed: int, arrived: bool) -> None:
    world = worlds.truth(seed)
    entries = books.entries(
        world,
        worlds.arrivals(world, every_unacknowledged=arrived),
        worlds.arrivals(world, stored_only=True, every_unacknowledged=arrived),
    )
    assert sum(entry.published for entry in entries) == len(world.sent)
    for entry in entries:
        assert entry.unacknowledged_in_kafka == (entry.unacknowledged if arrived else 0)
        assert entry.kafka == entry.acknowledged + entry.unacknowledged_in_kafka
        assert entry.clickhouse == (entry.kafka if entry.topic == "device.telemetry" else None)


def test_a_double_counts_twice_and_a_stranger_not_at_all() -> None:
    world = Truth("run", 0.0)
    world.enlist(NORTH)
    message = world.publish(NORTH, "weather", b"{}", 1.0)
    (twin,) = worlds.arrivals(world, every_unacknowledged=True)
    stranger = Arrival("device.telemetry", 0, 9, "garden", "station-000", "other-1", b"{}")
    entries = books.entries(world, [twin, twin, stranger], None)
    assert message.message_id == twin.message_id
    assert entries[0] == Entry("weather", "device.telemetry", 1, 0, 1, 2, None)


def test_where_nobody_looked_there_is_no_figure() -> None:
    assert {(entry.kafka, entry.clickhouse) for entry in books.entries(worlds.truth(), None, None)} == {(None, None)}
