"""Calls about shadows, where what is asked does not go as usual."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from libs.runtime.owners.reads import Unavailable
from libs.runtime.requests.client import NoAnswer, NotAsked
from libs.shadow import document
from libs.topics.messages.shadow_changes import PatchTagged
from services.api import newcomers
from services.api.devices import SUMMARY
from services.api.shadow import OWN, STATUS
from tests.unit.api.test_direct import inhabited
from tests.unit.api.world import NOW, FakeReads, World, answered, refused

if TYPE_CHECKING:
    import msgspec

DEVICE = "/v1/products/p1/devices/d1"
PATH = f"{DEVICE}/shadow"


class SoonKnown:
    """The shadow service, which hears of p1/d1 when it was asked so often."""

    def __init__(self, world: World, after: int) -> None:
        self.left = after
        world.requests.answer = self.answer
        world.reads.documents[OWN] = self.Shown(self)

    class Shown(dict[str, Any]):
        def __init__(self, known: SoonKnown) -> None:
            super().__init__()
            self.known = known

        def get(self, _key: str, _default: Any = None) -> Any:
            return shown() if self.known.asked() else None

    def asked(self) -> bool:
        self.left -= 1
        return self.left < 0

    def answer(self, _request: Any) -> Any:
        if not self.asked():
            raise refused(404, "unknown_device")
        return answered(shown(), 200, 0)


def shown() -> Any:
    return document.public("p1", "d1", None, document.empty(NOW))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newcomers, "PAUSES", (0.0, 0.0, 0.0))


@pytest.mark.parametrize("method", ["GET", "PATCH"])
@pytest.mark.parametrize(("after", "status"), [(0, 200), (1, 200), (3, 200), (4, 503)])
async def test_a_device_that_was_just_registered_is_asked_about_again(method: str, after: int, status: int) -> None:
    world = inhabited()
    SoonKnown(world, after)
    async with world.client() as client:
        answer = await client.request(method, PATH, json={"a": 1} if method == "PATCH" else None)
    assert answer.status_code == status, answer.text
    if status == 503:
        assert (answer.json()["code"], answer.headers["retry-after"]) == ("unavailable", "1")


async def test_a_device_that_nobody_knows_is_not_waited_for() -> None:
    world = inhabited()
    SoonKnown(world, 9)
    async with world.client() as client:
        for device, code in (("p1/devices/d9", "unknown_device"), ("p9/devices/d1", "unknown_product")):
            answer = await client.get(f"/v1/products/{device}/shadow")
            assert (answer.status_code, answer.json()["code"]) == (404, code)


async def test_the_page_of_a_device_tells_of_its_shadows_and_status() -> None:
    world = inhabited()
    versions = {"version": 3, "desired_version": 3, "reported_version": 1, "converged": False}
    status = {"status": {"app_ver": "2"}, "message_id": "s1", "reported_at": NOW}
    world.reads.documents[SUMMARY] = {"p1/d1": {"status": status, "shadow": versions, "named": {"lamp": versions}}}
    world.reads.documents[STATUS] = {"p1/d1": status}
    async with world.client() as client:
        page, new = (await client.get(DEVICE)).json(), (await client.get("/v1/products/p1/devices/d2")).json()
        assert (await client.get(f"{DEVICE}/status")).json() == status
    assert (page["status"], page["shadow"], page["shadows"]) == (status, versions, {"lamp": versions})
    nothing = {"version": 0, "desired_version": 0, "reported_version": 0, "converged": True}
    assert (new["status"], new["shadow"], new["shadows"]) == (None, nothing, {})


async def test_a_shadow_service_that_is_silent_takes_nothing_from_the_rest_of_the_page() -> None:
    world = inhabited()

    class Silent(FakeReads):
        async def get(self, service: str, table: str, view: str, product_id: str, device_id: str) -> msgspec.Raw | None:
            if service == "shadow":
                raise Unavailable(service, table, [0])
            return await world.reads.get(service, table, view, product_id, device_id)

    world.hub.reads = Silent()
    async with world.client() as client:
        page = (await client.get(DEVICE)).json()
        assert (await client.get(PATH)).json()["code"] == "unavailable"
    assert (page["presence"]["session"]["state"], page["version"]) == ("online", 7)
    assert (page["status"], page["shadow"], page["shadows"]) == (None, None, None)


def counted(patch: PatchTagged) -> Any:
    return answered(
        {"type": "tagged_patch_applied", "matched": 3, "changed": 2, "refused": 1, "by": patch.requested_by}
    )


async def patched(world: World) -> tuple[int, Any]:
    async with world.client() as client:
        answer = await client.post("/v1/products/p1/tags/red/shadow", json={"on": True})
    return answer.status_code, answer.json()


async def test_partitions_that_do_not_answer_are_named() -> None:
    world = inhabited()

    def answer(patch: PatchTagged) -> Any:
        if patch.partition == 2:
            raise NoAnswer("it is silent")
        return counted(patch)

    world.requests.answer = answer
    status, body = await patched(world)
    partitions = world.hub.settings.kafka.partitions
    assert (status, body["partitions"], body["missing_partitions"]) == (202, partitions - 1, [2])
    assert (body["matched"], body["changed"], body["refused"]) == tuple((partitions - 1) * n for n in (3, 2, 1))
    asked = [request for _, _, request in world.requests.asked if isinstance(request, PatchTagged)]
    assert [request.partition for request in asked] == list(range(partitions))
    assert {request.patch_id for request in asked} == {body["patch_id"]}


async def test_only_the_same_request_again_is_the_same_patch() -> None:
    """A row that has met the patch does not take it again: what is another must not have its name."""
    world, ids = inhabited(), list[str]()
    world.requests.answer = counted
    tag = "/v1/products/p1/tags/red"
    same: tuple[str, dict[str, bool]] = (f"{tag}/shadow", {"on": True})
    async with world.client() as client:
        for path, body in (same, same, (f"{tag}/shadow", {"on": False}), (f"{tag}/shadows/night", {"on": True})):
            answer = await client.post(path, json=body, headers={"Idempotency-Key": "k"})
            ids.append(answer.json()["patch_id"])
    assert [ids.index(one) for one in ids] == [0, 0, 2, 3]


@pytest.mark.parametrize(
    ("ends", "status", "code"),
    [
        ([NotAsked("full")], 503, "not_asked"),
        ([NotAsked("full"), NoAnswer("silent")], 503, "no_answer"),
        ([NoAnswer("silent"), refused(413, "document_too_deep")], 413, "document_too_deep"),
    ],
)
async def test_a_patch_by_tag_that_nobody_takes_is_a_problem(ends: list[Exception], status: int, code: str) -> None:
    world = inhabited()

    def answer(patch: PatchTagged) -> Any:
        raise ends[patch.partition % len(ends)]

    world.requests.answer = answer
    told = await patched(world)
    assert (told[0], told[1]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "shadow"),
        ("PUT", "shadow"),
        ("DELETE", "shadow"),
        ("POST", "shadow:clear"),
        ("PATCH", "shadows/lamp"),
        ("PUT", "shadows/lamp"),
        ("DELETE", "shadows/lamp"),
        ("POST", "shadows/lamp:clear"),
        ("POST", "../../tags/red/shadow"),
        ("POST", "../../tags/red/shadows/lamp"),
    ],
)
async def test_a_key_that_may_only_read_changes_nothing(method: str, path: str) -> None:
    world = inhabited()
    headers = world.issue("read", "admin")
    async with world.client(headers) as client:
        url = f"/v1/products/p1/{path.removeprefix('../../')}" if path.startswith("..") else f"{DEVICE}/{path}"
        answer = await client.request(method, url, json={"a": 1})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert world.requests.asked == []
