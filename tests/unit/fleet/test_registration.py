"""Registering a fleet, on an API that answers from memory."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import httpx
import pytest

from fleet import registration
from fleet.registration import ApiAccess, NotRegistered, Registry

DEVICES = [("garden", "station-1"), ("garden", "station-2"), ("harbour", "station-1")]
AT_ONCE = {"Retry-After": "0"}


class Hub:
    """Keeps what is registered; refuses what it is told to refuse."""

    def __init__(self) -> None:
        self.products: set[str] = set()
        self.secrets: dict[tuple[str, str], str] = {}
        self.refused: str | None = None
        self.busy = 0
        self.unanswered = False
        self.keys = Counter[str]()
        self.pieces: list[int] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.keys[request.headers["idempotency-key"]] += 1
        if self.busy:
            self.busy -= 1
            return httpx.Response(503, headers=AT_ONCE)
        assert request.headers["authorization"] == "Bearer fl_key"
        path = request.url.path.removeprefix("/v1/products")
        body = json.loads(request.content) if request.content else {}
        if not path:
            return self._create(body["product_id"])
        if path.endswith("devices:bulk"):
            return self._bulk(path.split("/")[1], body["devices"])
        return self._verb(request.method, path)

    def _create(self, product_id: str) -> httpx.Response:
        if product_id in self.products:
            return httpx.Response(409, json={"code": "product_exists", "detail": "there is one"})
        self.products.add(product_id)
        return httpx.Response(201, json={"product_id": product_id})

    def _bulk(self, product_id: str, devices: list[dict[str, Any]]) -> httpx.Response:
        assert product_id in self.products
        self.pieces.append(len(devices))
        if self.unanswered:
            self.unanswered = False
            results = [{"device_id": one["device_id"], "outcome": "unanswered"} for one in devices]
            return httpx.Response(200, json={"results": results, "unanswered": len(results)}, headers=AT_ONCE)
        results = [self._one(product_id, one["device_id"]) for one in devices]
        return httpx.Response(200, json={"results": results, "unanswered": 0})

    def _one(self, product_id: str, device_id: str) -> dict[str, Any]:
        if device_id == self.refused:
            return {"device_id": device_id, "outcome": "refused", "code": "reserved_name", "detail": "no"}
        if (product_id, device_id) in self.secrets:
            return {"device_id": device_id, "outcome": "exists"}
        self.secrets[product_id, device_id] = f"first-{device_id}"
        return {"device_id": device_id, "outcome": "created", "secret": f"first-{device_id}"}

    def _verb(self, method: str, path: str) -> httpx.Response:
        _, product_id, _, name = path.split("/")
        device_id, _, verb = name.partition(":")
        if (product_id, device_id) not in self.secrets:
            return httpx.Response(404, json={"code": "unknown_device", "detail": "there is no such device"})
        if method == "DELETE":
            del self.secrets[product_id, device_id]
            return httpx.Response(204)
        if verb == "rotate-secret":
            self.secrets[product_id, device_id] = f"second-{device_id}"
        return httpx.Response(200, json={"secret": self.secrets[product_id, device_id]})


@pytest.fixture
def hub() -> Hub:
    return Hub()


def registry(hub: Hub) -> Registry:
    return Registry(ApiAccess("http://hub", "fl_key"), httpx.MockTransport(hub))


async def test_every_device_is_registered_under_its_product_and_has_its_secret(hub: Hub) -> None:
    async with registry(hub) as own:
        assert await own.enlist(DEVICES) == hub.secrets
    assert hub.products == {"garden", "harbour"}
    assert hub.secrets.keys() == set(DEVICES)


async def test_devices_of_an_earlier_run_get_new_secrets(hub: Hub) -> None:
    async with registry(hub) as own:
        await own.enlist(DEVICES[:1])
        assert await own.enlist(DEVICES) == hub.secrets
    assert hub.secrets["garden", "station-1"] == "second-station-1"
    assert hub.secrets["garden", "station-2"] == "first-station-2"


async def test_a_large_fleet_goes_in_pieces(hub: Hub) -> None:
    async with registry(hub) as own:
        await own.enlist([("garden", f"station-{n}") for n in range(registration.PIECE + 1)])
    assert sorted(hub.pieces) == [1, registration.PIECE]


async def test_a_busy_hub_is_asked_again_under_the_same_key(hub: Hub) -> None:
    hub.busy = 3
    async with registry(hub) as own:
        await own.enlist(DEVICES[:1])
    assert max(hub.keys.values()) == 4


async def test_devices_without_an_answer_are_asked_for_again(hub: Hub) -> None:
    hub.unanswered = True
    async with registry(hub) as own:
        assert await own.enlist(DEVICES[:2]) == hub.secrets
    assert hub.pieces == [2, 2]


async def test_a_refused_device_ends_the_run(hub: Hub) -> None:
    hub.refused = "station-2"
    async with registry(hub) as own:
        with pytest.raises(NotRegistered, match=r"garden/station-2 was refused: .*reserved_name"):
            await own.enlist(DEVICES)


async def test_what_is_done_to_one_device(hub: Hub) -> None:
    async with registry(hub) as own:
        await own.enlist(DEVICES)
        await own.disable(DEVICES[0])
        await own.enable(DEVICES[0])
        assert await own.rotate(DEVICES[0]) == "second-station-1"
        await own.delete(DEVICES[0])
        with pytest.raises(NotRegistered, match=r"404 unknown_device: there is no such device"):
            await own.disable(DEVICES[0])


async def test_an_api_that_is_not_there_is_one_clear_error() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    async with Registry(ApiAccess("http://hub", "fl_key"), httpx.MockTransport(refuse)) as own:
        with pytest.raises(NotRegistered, match="the API at http://hub does not answer: ConnectError"):
            await own.enlist(DEVICES)
