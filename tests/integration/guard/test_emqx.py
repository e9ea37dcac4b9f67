"""The questions to EMQX's REST interface, asked over HTTP of a stand-in that answers as the broker does."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from bench.support.documents import Documents
from devstack.environment import process_environment
from libs.runtime.settings import BrokerApiSettings, Secret
from services.guard.emqx_api import EmqxApi, Session, Unanswered
from tests.support.emqx_api import KEY, SECRET, client
from tests.support.emqx_api import EmqxApi as StandIn
from tests.support.polling import eventually_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from devstack.stack import Stack


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


async def test_the_guard_ends_sessions_and_finds_at_its_start_what_it_has_missed(
    broker: StandIn, guarded: Stack, tmp_path: Path
) -> None:
    """The real process on a real Kafka; only the broker's interface is a stand-in."""
    names = [f"emqx/d{number}" for number in range(4)]
    broker.clients = [
        client(number, 1000, clientid=name, username=name, client_attrs={"credential": "c1"})
        for number, name in enumerate(names)
    ]
    with Documents(guarded.kafka) as documents:
        for number in (0, 1, 2):
            documents.device("emqx", f"d{number}", "secret", enabled=number != 0)  # d3 is registered nowhere
    told = {
        "FLEETLOG_KAFKA_BOOTSTRAP": guarded.kafka,
        "FLEETLOG_GUARD_BROKER": "emqx",
        "FLEETLOG_BROKER_API_URL": broker.url,
        "FLEETLOG_BROKER_API_KEY": KEY,
        "FLEETLOG_BROKER_API_SECRET": SECRET,
    }
    with (tmp_path / "log").open("w") as log:
        guard = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.guard", env=process_environment(told), stdout=log, stderr=log
        )
    try:
        await eventually_async(lambda: kicked(broker, 2), 60, describe="who may not be there is found at the start")
        assert sorted(broker.kicked) == ["emqx/d0", "emqx/d3"]
        with Documents(guarded.kafka) as documents:
            documents.device("emqx", "d1", "secret", version=2, enabled=False)
            documents.device("emqx", "d2", "secret", version=2, tags=("red",))
        await eventually_async(lambda: kicked(broker, 3), 60, describe="a disabled device is cut")
        assert broker.kicked[2:] == ["emqx/d1"]
    finally:
        guard.terminate()
        code = await guard.wait()
    assert code == 0, (tmp_path / "log").read_text()
    assert [row["clientid"] for row in broker.clients] == ["emqx/d2"]


async def kicked(broker: StandIn, count: int) -> bool:
    return len(broker.kicked) >= count
