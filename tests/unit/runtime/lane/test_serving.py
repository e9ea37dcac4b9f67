"""A worker announces what it serves from the first moment to the last, from whatever thread it hears of a change."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from libs.runtime.environment import SettingsError, load
from libs.runtime.lane.serving import Serving
from libs.runtime.lane.settings import ReadsSettings
from libs.topics.codec import Decoder
from libs.topics.messages.hub import PartitionsOwned
from tests.support.polling import eventually_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

decode: Decoder[PartitionsOwned] = Decoder(PartitionsOwned)


class Client:
    """A producer whose records are delivered at the next poll, unless Kafka is away."""

    def __init__(self) -> None:
        self.away = False
        self.said: list[tuple[str, PartitionsOwned | None]] = []
        self._under_way: list[Callable[[], None]] = []

    def produce(self, _topic: str, value: bytes | None, key: bytes, on_delivery: Callable[[Any, Any], None]) -> None:
        def deliver() -> None:
            self.said.append((key.decode(), None if value is None else decode(value)))
            on_delivery(None, None)

        self._under_way.append(deliver)

    def poll(self, _timeout: float) -> None:
        if not self.away:
            ready, self._under_way = self._under_way, []
            for deliver in ready:
                deliver()


class App:
    """What `Serving` asks of an app."""

    def __init__(self, *views: str) -> None:
        self.owned = frozenset[int]()
        self.conf = SimpleNamespace(id="things")
        self.consumer_generation_id = 0
        self.lane_producer = SimpleNamespace(client=Client())
        self.lanes = {
            "things": SimpleNamespace(views=dict.fromkeys(views, object), reads=SimpleNamespace(partition=lambda _: 3))
        }
        self.health = SimpleNamespace(on_owners=[], owners={"things": self.owned})

    def change(self, *partitions: int, generation: int) -> None:
        self.consumer_generation_id = generation
        for call in self.health.on_owners:
            call({"things": frozenset(partitions)})

    @property
    def said(self) -> list[tuple[str, PartitionsOwned | None]]:
        self.lane_producer.client.poll(0)
        said: list[tuple[str, PartitionsOwned | None]] = self.lane_producer.client.said
        return said


@pytest.fixture
async def app() -> App:
    return App("count")


@pytest.fixture
async def serving(app: App) -> AsyncIterator[Serving]:
    fake: Any = app
    made = Serving(fake, ReadsSettings(), "w0")
    await made.start()
    yield made
    await made.stop()


def claims(app: App) -> list[tuple[tuple[int, ...], int] | None]:
    assert {key for key, _ in app.said} <= {"things/things/w0"}
    return [None if claim is None else (claim.partitions, claim.generation) for _, claim in app.said]


async def test_a_worker_says_at_once_that_it_serves_nothing_yet(app: App, serving: Serving) -> None:
    """So what a predecessor of its name claimed, which may have died, is void."""
    assert claims(app) == [((), 0)]


async def test_changes_heard_on_the_consumers_thread_are_said_in_order(app: App, serving: Serving) -> None:
    app.change(2, 0, generation=4)
    await asyncio.sleep(0)
    assert claims(app)[-1] == ((0, 2), 4)
    await asyncio.to_thread(app.change, generation=4)
    await asyncio.sleep(0)
    app.change(1, generation=5)
    await asyncio.sleep(0)
    assert claims(app)[-2:] == [((), 4), ((1,), 5)]


async def test_the_address_announced_answers_and_refuses_after_the_goodbye(app: App, serving: Serving) -> None:
    app.change(3, generation=1)
    await asyncio.sleep(0)
    _, claim = app.said[-1]
    assert claim is not None
    await serving.say_goodbye()
    assert claims(app)[-1] is None
    async with aiohttp.ClientSession() as session, session.get(f"{claim.url}/things/things/count/p/a") as answer:
        assert answer.status == 421
    app.change(3, generation=2)
    await asyncio.sleep(0)
    assert claims(app)[-1] is None, "nothing is claimed after the goodbye"


async def test_a_goodbye_that_kafka_does_not_take_holds_the_end_up_for_a_bounded_time(
    app: App, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libs.runtime.lane.serving.GOODBYE", 0.05)
    app.lane_producer.client.away = True
    await serving.say_goodbye()
    app.lane_producer.client.away = False
    assert claims(app)[-1] is None


async def test_what_kafka_did_not_take_is_repeated(app: App, serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    app.lane_producer.client.away = True
    app.change(1, generation=1)
    await asyncio.sleep(0)
    app.change(1, 2, generation=2)
    await asyncio.sleep(0)
    app.lane_producer.client.away = False

    async def said() -> bool:
        return app.lane_producer.client.said[-1:] != [] and claims(app)[-1] == ((1, 2), 2)

    await eventually_async(said, describe="the newest claim")


async def test_nothing_is_served_or_said_without_views() -> None:
    app: Any = App()
    serving = Serving(app, ReadsSettings(), "w0")
    async with serving:
        await serving.say_goodbye()
    assert app.said == []
    assert app.health.on_owners == []


async def test_the_address_of_others_is_announced_where_it_is_another(app: App) -> None:
    fake: Any = app
    serving = Serving(fake, ReadsSettings(url="http://10.1.2.3:8081"), "")
    async with serving:
        [(key, claim)] = app.said
    assert claim is not None
    assert claim.url == "http://10.1.2.3:8081"
    assert key == f"things/things/{claim.worker}"
    assert claim.worker


def test_an_address_for_all_needs_one_to_announce() -> None:
    with pytest.raises(SettingsError, match="FLEETLOG_URL is needed with the host"):
        load(ReadsSettings, {"FLEETLOG_HOST": "0.0.0.0"})
    assert load(ReadsSettings, {"FLEETLOG_HOST": "0.0.0.0", "FLEETLOG_URL": "http://a:1"}).url == "http://a:1"
