"""Probes, and messages for one device, where what is asked does not go as usual."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from libs.runtime.requests.client import NoAnswer
from libs.topics.messages.command_requests import ProbeDevice
from libs.topics.messages.command_views import ProbeView
from libs.topics.messages.downlink import SendToClient
from libs.topics.names import APP_P2P
from services.api.uplink import NotDelivered
from tests.unit.api.test_direct import inhabited
from tests.unit.api.world import NOW, FakeRequests, World, answered

if TYPE_CHECKING:
    from libs.topics.messages.base import Request
    from libs.topics.messages.hub import RequestAnswered

DEVICE = "/v1/products/p1/devices/d1"


class Prober(FakeRequests):
    """``seconds``: how long each was to be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self.failure: Exception | None = None

    async def ask(self, inbox: str, key: bytes, request: Request, timeout: float = 10.0) -> RequestAnswered:  # noqa: ASYNC109 - as the real one
        self.seconds.append(timeout)
        self.asked.append((inbox, key, request))
        if self.failure is not None:
            raise self.failure
        assert isinstance(request, ProbeDevice)
        return answered(ProbeView(request.probe_id, request.mode, "reachable", 1, 12, altered=False))


@pytest.fixture
def prober() -> tuple[World, Prober]:
    world, prober = inhabited(), Prober()
    world.hub.requests = prober
    return world, prober


@pytest.mark.parametrize(
    ("body", "mode", "seconds"),
    [(None, "normal", 23), ({}, "normal", 23), ({"mode": "strict"}, "strict", 13), ({"mode": "loose"}, "loose", 33)],
)
async def test_a_probe_gets_the_time_of_its_attempts(
    prober: tuple[World, Prober], body: Any, mode: str, seconds: float
) -> None:
    world, asks = prober
    async with world.client() as client:
        answer = await (client.post(f"{DEVICE}/probe") if body is None else client.post(f"{DEVICE}/probe", json=body))
    told = answer.json()
    assert (answer.status_code, told["mode"], told["verdict"], told["rtt_ms"]) == (200, mode, "reachable", 12)
    assert asks.seconds == [seconds]
    assert told["probe_id"].startswith("p-")


async def test_an_owner_that_says_nothing_is_no_verdict(prober: tuple[World, Prober]) -> None:
    world, asks = prober
    asks.failure = NoAnswer("silent")
    async with world.client() as client:
        answer = await client.post(f"{DEVICE}/probe")
        unfit = await client.post(f"{DEVICE}/probe", json={"mode": "rude"})
    assert (answer.status_code, answer.json()["code"]) == (503, "no_answer")
    assert unfit.status_code == 422


async def test_probes_of_the_past_come_page_by_page() -> None:
    world = inhabited()
    world.history.rows = [("p-1", "loose", "unreachable", 3, None, False, NOW - n, 2, 70 - n) for n in range(3)]
    async with world.client() as client:
        first = (await client.get(f"{DEVICE}/probes?limit=2")).json()
        await client.get(f"{DEVICE}/probes?limit=2&cursor={first['next_cursor']}")
    item = {"probe_id": "p-1", "mode": "loose", "verdict": "unreachable", "attempts": 3, "rtt_ms": None}
    assert first["items"] == [{**item, "altered": False, "at": NOW - n} for n in range(2)]
    assert world.history.asked[-1].parameters["last_offset"] == 69


async def test_a_message_goes_to_kafka_as_it_was_written() -> None:
    world = inhabited()
    async with world.client() as client:
        content = b'{"topic": "recipes/p1/new", "payload": {"r":  1.0}}'
        answer = await client.post(f"{DEVICE}/messages", content=content, headers={"Content-Type": "application/json"})
    [(topic, key, value)] = world.uplink.sent
    message = msgspec.json.decode(value, type=SendToClient)
    assert (answer.status_code, answer.json()) == (202, {"message_id": message.message_id})
    assert (topic, key, message.topic, message.client_id) == (APP_P2P, b"p1/d1", "recipes/p1/new", "p1/d1")
    assert (message.encoding, bytes(message.payload), message.requested_by) == ("json", b'{"r":  1.0}', "ops")


async def test_a_message_that_kafka_does_not_take_is_told_so() -> None:
    world = inhabited()
    world.uplink.failure = NotDelivered("no Kafka")
    async with world.client() as client:
        answer = await client.post(f"{DEVICE}/messages", json={"topic": "a"})
    assert (answer.status_code, answer.json()["code"]) == (503, "no_answer")


@pytest.mark.parametrize("call", ["probe", "messages"])
async def test_a_key_that_may_only_read_asks_no_device(call: str) -> None:
    world = inhabited()
    async with world.client(world.issue("read", "admin")) as client:
        answer = await client.post(f"{DEVICE}/{call}", json={"topic": "a"} if call == "messages" else {})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (world.requests.asked, world.uplink.sent) == ([], [])
