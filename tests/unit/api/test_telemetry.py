from __future__ import annotations

import pytest

from libs.topics.messages.registry import ProductDefaults
from libs.topics.messages.registry_events import ProductDocument
from services.api import queries
from services.api.queries import About
from tests.unit.api.world import NOW, World

SERIES = "/v1/products/p1/telemetry"
EVENTS = "/v1/products/p1/devices/d1/events"


@pytest.fixture
def world(world: World) -> World:
    world.products.held[b"p1"] = ProductDocument("p1", 1, ProductDefaults(), None, None, NOW, NOW)
    return world


async def test_a_series_has_single_values_or_steps(world: World) -> None:
    query = {"device": "d1", "key": "engine.rpm"}
    async with world.client() as client:
        world.history.rows = [(NOW, 3.5), (NOW + 1, 4.0)]
        single = (await client.get(SERIES, params=query)).json()
        world.history.rows = [(NOW, 3.5, 3.0, 4.0, 2)]
        steps = (await client.get(SERIES, params={**query, "step": 60})).json()
    assert single["points"] == [{"at": NOW, "value": 3.5}, {"at": NOW + 1, "value": 4.0}]
    assert steps["points"] == [{"at": NOW, "mean": 3.5, "least": 3.0, "most": 4.0, "count": 2}]
    assert (single["step_s"], steps["step_s"]) == (None, 60)


async def test_more_points_than_an_answer_takes_are_refused(world: World) -> None:
    world.history.rows = [(NOW, 1.0)] * (queries.POINTS + 1)
    async with world.client() as client:
        answer = await client.get(SERIES, params={"device": "d1", "key": "t"})
    assert (answer.status_code, answer.json()["code"]) == (422, "too_much")


async def test_events_are_told_as_the_device_sent_them(world: World) -> None:
    upload = ("data_uploaded", "weather", "", "m1", "json", '{"t":[1.0,null]}', NOW, NOW - 1, 2, 17)
    message = ("device_message_sent", "", "d2", "m2", "base64", "AP8=", NOW, None, 2, 16)
    world.history.rows = [upload, message]
    async with world.client() as client:
        body = (await client.get(EVENTS, params={"type": "weather"})).json()
    assert [(one["payload"], one["to_device_id"], one["device_at"]) for one in body["items"]] == [
        ({"t": [1.0, None]}, None, NOW - 1),
        ("AP8=", "d2", None),
    ]
    assert world.history.asked[0].parameters["data_type"] == "weather"


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (SERIES, {"device": "d1"}),
        (SERIES, {"device": "d/1", "key": "t"}),
        (SERIES, {"device": "d1", "key": "t", "step": "0"}),
        (SERIES, {"device": "d1", "key": "t", "from": "now"}),
        (EVENTS, {"type": "a b"}),
        (EVENTS, {"limit": "1001"}),
    ],
)
async def test_what_does_not_fit_is_refused_before_it_is_asked(world: World, path: str, query: dict[str, str]) -> None:
    async with world.client() as client:
        answer = await client.get(path, params=query)
    assert answer.status_code == 422
    assert not world.history.asked


async def test_a_product_that_the_key_may_not_know_is_never_asked_about(world: World) -> None:
    async with world.client(world.issue("read", products=("p2",))) as client:
        for path in (SERIES, EVENTS):
            answer = await client.get(path, params={"device": "d1", "key": "t"})
            assert (answer.status_code, answer.json()["code"]) == (404, "unknown_product")
    assert not world.history.asked


def test_no_value_of_a_caller_is_in_a_statement() -> None:
    evil = "x' OR 1=1 --"
    about = About(evil, evil, 1, 2)
    asked = [
        queries.presence_at(evil, evil, 7),
        queries.transitions(about, (1, 2, 3), 10),
        queries.events(about, evil, (1, 2, 3), 10),
        queries.points(about, evil, 10),
        queries.steps(about, evil, 10, 60),
    ]
    for question in asked:
        assert evil not in question.statement
        assert "product_id = {product:String}" in question.statement
        assert question.parameters["product"] == evil
