"""Changes of a product where another replica, or somebody else, was faster than what this one follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from libs.topics.messages.registry import PutProduct
from libs.topics.messages.registry_events import ProductDocument
from libs.topics.messages.registry_views import ProductView
from tests.support.api.life import create, problem
from tests.unit.api.registry import FakeRegistry
from tests.unit.api.world import FakeFollowed, answered, refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from libs.topics.messages.hub import RequestAnswered
    from tests.unit.api.world import World

KEY = b"plant-7"
PATH = "/v1/products/plant-7"


class Lagging(FakeFollowed[ProductDocument]):
    """Shows ``news`` only to those who wait for it; ``news`` None: it does not come in time."""

    def __init__(self, held: dict[bytes, ProductDocument], news: ProductDocument | None) -> None:
        super().__init__()
        self.held, self._news = held, news

    async def until(self, holds: Callable[[], bool], seconds: float) -> None:
        if self._news is not None:
            self.held[KEY] = self._news
        await super().until(holds, seconds)


async def behind(world: World, *, comes: bool) -> tuple[dict[str, Any], ProductDocument]:
    """Create a product that another replica has changed since. Returns how it was created, and what it is."""
    FakeRegistry(world)
    async with world.client() as client:
        created = await create(client, "plant-7", dynamic_registration=True)
    old = world.products.held[KEY]
    new = replace(old, version=old.version + 1, defaults=replace(old.defaults, device_to_device=True))
    world.hub.products = Lagging({KEY: old}, new if comes else None)

    def registry(request: Any) -> RequestAnswered:
        assert isinstance(request, PutProduct)
        if request.expected_version != new.version:
            raise refused(409, "version_conflict")
        put = ProductView("plant-7", new.version + 1, request.defaults, new.credential_id, 1, 2)
        return answered(put, 200, put.version)

    world.requests.answer = registry
    return created, new


@pytest.mark.parametrize("conditional", [True, False])
@pytest.mark.parametrize(
    ("method", "path", "body"), [("PATCH", PATH, {"command_ttl_s": 60}), ("POST", f"{PATH}:rotate-secret", None)]
)
async def test_a_change_undoes_nothing_that_this_replica_does_not_know_yet(
    world: World, conditional: bool, method: str, path: str, body: Any
) -> None:
    _, new = await behind(world, comes=True)
    headers = {"If-Match": f'"{new.version}"'} if conditional else {}
    async with world.client() as client:
        answer = await client.request(method, path, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["device_to_device"], "the other change was undone"


@pytest.mark.parametrize(
    ("method", "path", "body"), [("PATCH", PATH, {"command_ttl_s": 60}), ("POST", f"{PATH}:rotate-secret", None)]
)
async def test_a_version_that_this_replica_never_sees_is_a_conflict_and_nothing_is_asked(
    world: World, method: str, path: str, body: Any
) -> None:
    created, new = await behind(world, comes=False)
    world.requests.asked.clear()
    async with world.client() as client:
        answer = await client.request(method, path, json=body, headers={"If-Match": f'"{new.version}"'})
    assert problem(answer, 409, "version_conflict")["current"]["version"] == created["version"]
    assert world.requests.asked == []


async def test_a_repeated_creation_does_not_show_a_secret_that_was_replaced_meanwhile(world: World) -> None:
    FakeRegistry(world)
    body, headers = {"product_id": "plant-7", "dynamic_registration": True}, {"Idempotency-Key": "k"}
    async with world.client() as client:
        first = await client.post("/v1/products", json=body, headers=headers)
        assert len(first.json()["secret"]) == 43
        document = world.products.held[KEY]
        now = ProductView("plant-7", document.version + 1, document.defaults, "another", 1, 2)
        world.requests.answer = lambda _request: answered(now, 201, now.version)  # as the real one: the present state
        again = await client.post("/v1/products", json=body, headers=headers)
    assert (again.status_code, again.json()["secret"]) == (201, None)


async def test_attributes_are_not_merged_into_a_document_older_than_the_expected_one(world: World) -> None:
    """An owner that has not noticed its loss tells of the past; the registry knows the version that is expected."""
    FakeRegistry(world)
    device = f"{PATH}/devices/press-1"
    async with world.client() as client:
        await create(client, "plant-7")
        registered = await client.post(f"{PATH}/devices", json={"device_id": "press-1", "attributes": {"a": 1}})
        world.requests.asked.clear()
        headers = {"If-Match": f'"{registered.json()["version"] + 1}"'}
        answer = await client.patch(device, json={"attributes": {"b": 2}}, headers=headers)
    assert problem(answer, 409, "version_conflict")["current"]["attributes"] == {"a": 1}
    assert world.requests.asked == []
