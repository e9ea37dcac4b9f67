"""Ticks go to the partitions served here, one at a time, and a lost one is no more than counted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from libs.runtime.lane.counters import Counters
from libs.runtime.lane.ticker import Ticker
from libs.topics.codec import Decoder
from libs.topics.identity import BROADCAST_KEY
from libs.topics.messages.hub import TimePassed

if TYPE_CHECKING:
    from collections.abc import Callable

decode: Decoder[TimePassed] = Decoder(TimePassed)


class Tick(NamedTuple):
    topic: str
    value: bytes
    key: bytes
    partition: int
    report: Callable[[object, object], None]


class Client:
    """In place of librdkafka's producer: reports come with `poll`, for what the test says was delivered or lost."""

    def __init__(self) -> None:
        self.ticks: list[Tick] = []
        self.full = False
        self.verdicts: list[tuple[Tick, object]] = []

    def produce(self, topic: str, value: bytes, key: bytes, partition: int, *, on_delivery: Any) -> None:
        if self.full:
            raise BufferError("queue full")
        self.ticks.append(Tick(topic, value, key, partition, on_delivery))

    def poll(self, _timeout: float) -> None:
        for tick, error in self.verdicts:
            tick.report(error, None)
        self.verdicts.clear()


class App:
    """What `Ticker` asks of an app: a lane that wants ticks and one that does not."""

    def __init__(self) -> None:
        self.client = Client()
        self.lane_producer = SimpleNamespace(client=self.client)
        self.owned = {0, 2}
        self.lanes = {"things": self.lane("things.inbox", tick=True), "others": self.lane("others.inbox", tick=False)}

    def lane(self, inbox: str, *, tick: bool) -> Any:
        reads = SimpleNamespace(owned=lambda: frozenset(self.owned))
        return SimpleNamespace(inbox=inbox, ticks=tick, reads=reads, counters=Counters())

    def told(self) -> list[tuple[int, int]]:
        """Partition and time of every tick so far."""
        return [(tick.partition, decode(tick.value).at) for tick in self.client.ticks]

    def report(self, error: object = None) -> None:
        self.client.verdicts = [(tick, error) for tick in self.client.ticks]


@pytest.fixture
def app() -> Any:
    return App()


def test_every_partition_served_here_is_told_the_time_by_a_broadcast(app: Any) -> None:
    Ticker(app, 1.0).beat(5_000)
    assert app.told() == [(0, 5_000), (2, 5_000)]
    assert {(tick.topic, tick.key) for tick in app.client.ticks} == {("things.inbox", BROADCAST_KEY)}
    assert [decode(tick.value).partition for tick in app.client.ticks] == [0, 2]


def test_nothing_is_told_where_nothing_is_served(app: Any) -> None:
    app.owned = set()  # a rebalance, or rows not recovered yet
    Ticker(app, 1.0).beat(5_000)
    assert app.told() == []


def test_at_most_one_tick_per_partition_is_under_way(app: Any) -> None:
    ticker = Ticker(app, 1.0)
    ticker.beat(1_000)
    app.client.verdicts = [(app.client.ticks[0], None)]
    for now in (2_000, 3_000):
        ticker.beat(now)
    assert app.told() == [(0, 1_000), (2, 1_000), (0, 2_000)]
    assert (app.lanes["things"].counters.ticks, app.lanes["things"].counters.ticks_lost) == (1, 0)


def test_a_tick_that_was_lost_is_counted_and_the_next_one_goes_out(app: Any) -> None:
    ticker = Ticker(app, 1.0)
    ticker.beat(1_000)
    app.report("timed out")
    ticker.beat(30_000)
    assert app.told() == [(0, 1_000), (2, 1_000), (0, 30_000), (2, 30_000)]
    assert (app.lanes["things"].counters.ticks, app.lanes["things"].counters.ticks_lost) == (0, 2)


def test_a_producer_that_is_full_loses_ticks_and_nothing_else(app: Any) -> None:
    ticker = Ticker(app, 1.0)
    app.client.full = True
    ticker.beat(1_000)
    app.client.full = False
    ticker.beat(2_000)
    assert app.told() == [(0, 2_000), (2, 2_000)]
    assert app.lanes["things"].counters.ticks_lost == 2


async def test_the_clock_beats_only_for_lanes_that_want_it(app: Any) -> None:
    idle = Ticker(SimpleNamespace(lanes={"others": app.lanes["others"]}), 1.0)  # type: ignore[arg-type] # no more is asked
    await idle._beat.fun(idle)

    class Enough(Exception):
        """Ends the loop after its first beat."""

    class Once(Ticker):
        async def sleep(self, n: Any, **_: Any) -> None:
            assert n == 0.25
            if app.client.ticks:
                raise Enough

    ticker = Once(app, 0.25)
    with pytest.raises(Enough):
        await ticker._beat.fun(ticker)
    assert len(app.told()) == 2
