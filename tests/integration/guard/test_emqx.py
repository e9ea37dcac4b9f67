"""The questions to EMQX's REST interface, asked over HTTP of a stand-in that answers as the broker does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from libs.runtime.settings import BrokerApiSettings, Secret
from services.guard.emqx_api import EmqxApi, Session, Unanswered
from tests.support.emqx_api import KEY, SECRET, client
from tests.support.emqx_api import EmqxApi as StandIn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def broker() -> AsyncIterator[StandIn]:
    async with StandIn().served() as served:
        yield served


@pytest.fixture
async def api(broker: StandIn) -> AsyncIterator[EmqxApi]:
    settings = BrokerApiSettings(url=broker.url + "/", key=KEY, secret=Secret(SECRET))
    asked = EmqxApi(settings, rows=2, timeout=5.0)
    yield asked
    await asked.close()


async def test_sessions_are_found_by_user_name_and_ended_by_client_id(broker: StandIn, api: EmqxApi) -> None:
    attributes = {"credential": "c1"}
    broker.clients = [client(1, 1000, clientid="p/d1", client_attrs=attributes), client(2, 1000, connected=False)]
    assert await api.of("p/d1") == [Session("p/d1", connected=True, username="p/d1", client_attrs=attributes)]
    await api.end("p/d1")
    await api.end("p/d1")  # gone already
    assert broker.kicked == ["p/d1"]
    assert await api.of("p/d1") == []
    assert [session.connected for session in await api.of("p/d2")] == [False]


async def test_a_client_id_stays_one_part_of_the_path(broker: StandIn, api: EmqxApi) -> None:
    for name in ("p/d/..", "a?b=c", "100%", "%2F", "ä b"):
        broker.clients = [client(1, 1000, clientid=name)]
        await api.end(name)
        assert broker.kicked[-1] == name


async def test_all_sessions_are_read_part_by_part(broker: StandIn, api: EmqxApi) -> None:
    broker.clients = [client(number, 1000) for number in range(5)]
    assert [session.username async for session in api.everyone()] == [f"p/d{number}" for number in range(5)]
    assert [question.get("cursor") for question in broker.asked] == [None, "2", "4"]


async def test_what_is_no_answer_is_no_empty_list(broker: StandIn, api: EmqxApi) -> None:
    async def broken(_: web.Request) -> web.Response:
        return web.Response(text="<html>", status=200)

    async def down(_: web.Request) -> web.Response:
        return web.json_response({"code": "SERVICE_UNAVAILABLE"}, status=503)

    for answer in (broken, down):
        broker.answer = {"/api/v5/clients": answer}
        with pytest.raises(Unanswered):
            await api.of("p/d1")
    broker.answer = {"/api/v5/clients/p/d1": down}
    with pytest.raises(Unanswered):
        await api.end("p/d1")
