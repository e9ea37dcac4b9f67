"""EMQX's list of clients over HTTP: whole, exact, or nothing."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from libs.runtime.settings import BrokerApiSettings, Secret
from services.ingest.listing import MARGIN, EmqxRoll, Unlisted
from tests.support.emqx_api import KEY, SECRET, EmqxApi, client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from libs.topics.messages.presence import ConnectionObserved

NOW = 1_795_260_069_500
SOURCE = "emqx:emqx@a"


@pytest.fixture
async def api() -> AsyncIterator[EmqxApi]:
    async with EmqxApi().served() as api:
        yield api


def roll(api: EmqxApi, *, rows: int = 10, timeout: float = 10.0, key: str = KEY, secret: str = SECRET) -> EmqxRoll:
    settings = BrokerApiSettings(url=api.url + "/", key=key, secret=Secret(secret))
    return EmqxRoll(settings, rows=rows, timeout=timeout)


async def listed(roll: EmqxRoll, source: str = SOURCE) -> list[ConnectionObserved]:
    return await roll.connections(source, "l1", NOW)


async def test_nodes_that_run_are_sources_that_speak_at_a_time_that_is_surely_past(api: EmqxApi) -> None:
    sight = await roll(api).sight()
    assert sight.uptimes == {SOURCE: 60_000}
    again = await roll(api).sight()
    assert sight.time % 1000 == 0
    assert sight.time <= again.time <= sight.time + 60_000 + MARGIN


async def test_every_connection_of_the_node_is_named_as_its_events_name_it(api: EmqxApi) -> None:
    chance = random.Random(7)
    times = [NOW - chance.choice([0, 1, 1, 999, chance.randrange(10**9)]) for _ in range(137)]
    api.clients = [client(n, at) for n, at in enumerate(times)]
    api.clients += [client(n, NOW, "emqx@b") for n in range(200, 205)]
    api.clients += [
        client(300, NOW, connected=False),
        client(301, NOW, username="fleetlog", clientid="fleetlog-ingest"),
    ]
    chance.shuffle(api.clients)
    found = await listed(roll(api, rows=100))
    named = sorted((each.device_id, each.client_id, each.time, each.channel_id) for each in found)
    assert named == sorted((f"d{n}", f"c{n}", at, f"{at}-emqx@a") for n, at in enumerate(times))


async def test_ranges_are_cut_until_each_is_one_whole_answer(api: EmqxApi) -> None:
    chance = random.Random(3)
    api.clients = [client(n, NOW - chance.randrange(100_000)) for n in range(500)]
    found = await listed(roll(api, rows=20))
    assert sorted(each.device_id for each in found) == sorted(f"d{n}" for n in range(500))
    assert len(api.asked) < 4 * 500 / 20
    assert {(query["page"], query["node"], query["conn_state"]) for query in api.asked} == {
        ("1", "emqx@a", "connected")
    }


async def test_a_client_that_leaves_while_the_list_is_read_hides_nobody(api: EmqxApi) -> None:
    """With pages, each one that leaves an earlier page moves another to a page that was read already."""
    api.clients = [client(n, NOW - n) for n in range(100)]
    whole = api.handle

    async def leave(request: web.Request) -> web.StreamResponse:
        del api.answer["/api/v5/clients"]
        answer = await whole(request)
        del api.clients[0]
        api.answer["/api/v5/clients"] = leave
        return answer

    api.answer["/api/v5/clients"] = leave
    found = await listed(roll(api, rows=10))
    assert {each.device_id for each in found} >= {row["username"].removeprefix("p/") for row in api.clients}


async def test_more_than_an_answer_holds_within_one_millisecond_is_no_list(api: EmqxApi) -> None:
    api.clients = [client(n, NOW) for n in range(11)]
    assert len(await listed(roll(api, rows=11))) == 11
    with pytest.raises(Unlisted, match="list_too_long"):
        await listed(roll(api))


async def test_a_node_that_does_not_run_has_no_list(api: EmqxApi) -> None:
    with pytest.raises(Unlisted, match="500"):
        await listed(roll(api), "emqx:emqx@b")


async def test_a_wrong_secret_is_no_list_and_is_not_told_to_anybody(api: EmqxApi) -> None:
    for asked in (roll(api, secret="x").sight(), listed(roll(api, key=""))):
        with pytest.raises(Unlisted, match="401") as caught:
            await asked
        assert SECRET not in str(caught.value)


async def test_an_interface_that_is_not_there_is_no_list(api: EmqxApi) -> None:
    asked = roll(api)
    api.url = ""
    async with EmqxApi().served() as other:
        gone = roll(other)
    for each in (gone.sight(), listed(gone)):
        with pytest.raises(Unlisted, match="GET"):
            await each
    assert await asked.sight()


async def text(_: web.Request) -> web.StreamResponse:
    return web.Response(text='{"data": [{"clientid": "c1", "connected": true, "conne')


async def other_form(_: web.Request) -> web.StreamResponse:
    return web.json_response({"data": [client(1, NOW)], "meta": {"page": 1, "limit": 10}})


async def other_times(_: web.Request) -> web.StreamResponse:
    return web.json_response({"data": [client(1, 0)], "meta": {"hasnext": False}})


async def no_time(_: web.Request) -> web.StreamResponse:
    return web.json_response({"data": [client(1, NOW, connected_at="2026-11-21 10:00:00")], "meta": {"hasnext": False}})


async def elsewhere(_: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/login")


async def broken(request: web.Request) -> web.StreamResponse:
    """The connection ends in the middle of the body."""
    answer = web.StreamResponse(headers={"Content-Length": "1000"})
    await answer.prepare(request)
    await answer.write(b'{"data": [')
    assert request.transport
    request.transport.abort()
    return answer


@pytest.mark.parametrize("fault", [text, other_form, other_times, no_time, elsewhere, broken])
async def test_an_answer_that_proves_nothing_is_no_list(api: EmqxApi, fault: object) -> None:
    api.answer["/api/v5/clients"] = fault  # type: ignore[assignment]
    with pytest.raises(Unlisted):
        await listed(roll(api))


async def test_an_answer_that_takes_too_long_is_no_list(api: EmqxApi) -> None:
    released = asyncio.Event()

    async def silent(_: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.json_response([])

    api.answer["/api/v5/nodes"] = silent
    with pytest.raises(Unlisted, match="nodes"):
        await roll(api, timeout=0.2).sight()
    released.set()


async def test_an_answer_without_the_brokers_time_is_no_sight(api: EmqxApi) -> None:
    async def timeless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Date": "soon"})
        await answer.prepare(request)
        await answer.write(b"[]")
        return answer

    api.answer["/api/v5/nodes"] = timeless
    with pytest.raises(Unlisted, match="time"):
        await roll(api).sight()
