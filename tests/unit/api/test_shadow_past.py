"""Any version of a shadow, folded from what is stored; and never a word about what is only not stored yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from libs.shadow import document
from libs.topics.codec import encode
from libs.topics.messages.shadow_changes import ShadowChangeRefused
from libs.topics.messages.shadow_views import NamedShadows
from services.api import shadow_queries
from services.api.queries import About, Question
from services.api.shadow import NAMED, OWN
from services.api.shadow_id import ShadowId
from tests.support.shadow_log import ShadowLog
from tests.unit.api.test_convergence import AT
from tests.unit.api.test_direct import inhabited as registered
from tests.unit.api.world import FakeHistory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.topics.messages.shadow_changes import ShadowChanged

PATH = "/v1/products/p1/devices/d1/shadow"


class Stored(FakeHistory):
    """A store that has some events of one shadow, and answers as ClickHouse would. It passes the suite of the real one
    in ``tests/integration/api/reads``."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[ShadowChanged] = []

    async def ask(self, question: Question) -> Sequence[Sequence[Any]]:
        self.asked.append(question)
        if "AS last" not in question.statement:
            newest = self.events[-1:]
            return [
                (one.version, one.at, one.cause == "deleted", one.cause == "deleted" and one.via == "registry")
                for one in newest
            ]
        version = question.parameters.get("version")
        moment = None if version is not None else question.parameters["at"].timestamp() * 1000
        fitting = [
            one for one in self.events if one.version == version or (moment is not None and one.at <= round(moment))
        ]
        if not fitting:
            return []
        last = max(fitting, key=lambda one: (one.created_at, one.version))
        return [
            (encode(one), one.checkpoint is not None)
            for one in self.events
            if one.created_at == last.created_at and last.version - 32 < one.version <= last.version
        ]


class Scene:
    """The device p1/d1, of whose shadow `happened` says what is stored."""

    def __init__(self) -> None:
        self.world = registered()
        self.store = Stored()
        self.world.hub.history = self.store

    def happened(self, log: ShadowLog | None, *before: ShadowLog, stored: int | None = None) -> None:
        """Show what the owner shows now, None: nothing; of all events, so many are stored: all, where none is said.

        ``before``: documents that were deleted, or went with their device.
        """
        events = [event for one in (*before, *([log] if log else [])) for event in one.events]
        self.store.events = events[:stored]
        known = self.world.reads.documents
        if log is not None and log.shadow is None:
            known[OWN] = {"p1/d1": document.public("p1", "d1", None, log.document)}
        named = {} if log is None or log.shadow is None else {log.shadow: log.document}
        known[NAMED] = {
            "p1/d1": NamedShadows({name: document.public("p1", "d1", name, one) for name, one in named.items()})
        }

    async def get(self, path: str = PATH, /, **query: Any) -> tuple[int, Any]:
        async with self.world.client() as client:
            answer = await client.get(path, params=query)
        return answer.status_code, answer.json()


@pytest.fixture
def scene() -> Scene:
    return Scene()


def forty(shadow: str | None = None, version: int = 0, at: int = AT) -> ShadowLog:
    """Forty versions, of which each is a second after the one before."""
    log = ShadowLog("p1", "d1", at, shadow, version)
    for n in range(1, 41):
        log.desire(at + 1000 * n, {"n": n, f"k{n % 3}": {"x": n}})
    return log


def code(answer: tuple[int, Any]) -> tuple[int, str]:
    return answer[0], answer[1]["code"]


async def test_every_version_is_as_it_was(scene: Scene) -> None:
    log = forty()
    scene.happened(log)
    for version, known in log.versions.items():
        status, body = await scene.get(version=version)
        assert (status, body["state"]["desired"]) == (200, known.desired)
        assert {**body, "type": "shadow_document"} == msgspec.json.decode(
            encode(document.public("p1", "d1", None, known))
        )
        assert await scene.get(at=AT + 1000 * version) == (status, body)
        assert await scene.get(at=AT + 1000 * version + 999) == (status, body)


async def test_the_present_version_is_told_by_its_owner_alone(scene: Scene) -> None:
    scene.happened(forty(), stored=0)
    for query in ({"version": 40}, {"at": AT + 40_000}, {}):
        assert (await scene.get(**query))[1]["version"] == 40
    assert scene.store.asked == []


async def test_what_is_not_stored_yet_is_never_said_not_to_have_been(scene: Scene) -> None:
    log = forty()
    for stored in (0, 1, 30, 39):
        scene.happened(log, stored=stored)
        for version in range(1, 40):
            told = await scene.get(version=version)
            expected: Any = version if version <= stored else "version_not_stored_yet"
            assert told[1].get("version", told[1].get("code")) == expected
            moment = await scene.get(at=AT + 1000 * version + 1)  # it ends with the version after it
            expected = version if version < stored else "version_not_stored_yet"
            assert moment[1].get("version", moment[1].get("code")) == expected


async def test_what_never_was_is_unknown(scene: Scene) -> None:
    scene.happened(forty())
    for query in ({"version": 0}, {"version": 41}, {"at": AT + 999}):
        assert code(await scene.get(**query)) == (404, "unknown_version")
    assert code(await scene.get(version=1, at=AT)) == (422, "invalid_request")
    for version in (-1, 1 << 64):
        assert code(await scene.get(version=version)) == (422, "invalid_request")
    nobody = "/v1/products/p1/devices/nobody/shadow"
    scene.happened(None)
    assert code(await scene.get(nobody, version=3)) == (404, "unknown_device")
    assert code(await scene.get(nobody, at=AT)) == (404, "unknown_device")


async def test_a_deleted_shadow_of_the_device_is_empty_until_the_next_one_begins(scene: Scene) -> None:
    first = forty()
    first.delete(AT + 41_000)
    scene.happened(ShadowLog("p1", "d1", AT, None, 41), first)
    assert (await scene.get(at=AT + 50_000))[1]["state"] == {}
    second = forty(version=41, at=AT + 60_000)
    scene.happened(second, first)
    assert (await scene.get(version=40))[1]["state"]["desired"]["n"] == 40
    status, gone = await scene.get(version=41)
    assert (status, gone["version"], gone["state"]) == (200, 41, {})
    assert (await scene.get(at=AT + 50_000))[1] == gone
    assert (await scene.get(version=42))[1]["state"]["desired"] == {"n": 1, "k1": {"x": 1}}
    scene.happened(second, first, stored=40)
    assert code(await scene.get(version=41)) == (503, "version_not_stored_yet")


async def test_a_version_that_deleted_named_shadows_left_is_not_waited_for(scene: Scene) -> None:
    """The next shadow of any name goes on from there; the device's own was never at it."""
    empty = ShadowLog("p1", "d1", AT, None, 50)
    scene.happened(empty)
    for query in ({"version": 3}, {"at": AT + 50_000}):
        assert code(await scene.get(**query)) == (404, "unknown_version")
    first = forty()
    first.delete(AT + 41_000)
    scene.happened(empty, first)
    assert code(await scene.get(version=45)) == (404, "unknown_version")
    status, gone = await scene.get(at=AT + 50_000)
    assert (status, gone["version"], gone["state"]) == (200, 41, {})
    scene.happened(ShadowLog("p1", "d1", AT), first, stored=40)  # registered anew, and the end is not stored yet
    assert code(await scene.get(at=AT + 50_000)) == (503, "version_not_stored_yet")


async def test_another_life_of_the_device_is_not_taken_for_this_one(scene: Scene) -> None:
    """It begins with version 1 again: what is stored of the life before says nothing about it."""
    first = forty()
    first.delete(AT + 41_000, via="registry")
    second = forty(at=AT + 60_000)
    scene.happened(second, first, stored=41)
    assert code(await scene.get(version=3)) == (503, "version_not_stored_yet")
    assert (await scene.get(at=AT + 3000))[1]["version"] == 3
    assert code(await scene.get(at=AT + 63_500)) == (503, "version_not_stored_yet")
    scene.happened(second, first)
    assert (await scene.get(version=3))[1]["created_at"] == AT + 60_000
    assert code(await scene.get(at=AT + 50_000)) == (404, "unknown_version")


async def test_the_past_of_a_named_shadow_outlives_it(scene: Scene) -> None:
    log, path = forty("lamp"), "/v1/products/p1/devices/d1/shadows/lamp"
    log.delete(AT + 41_000)
    scene.happened(None, log)
    assert code(await scene.get(path)) == (404, "unknown_shadow")
    status, body = await scene.get(path, version=40)
    assert (status, body["shadow"], body["state"]["desired"]["n"]) == (200, "lamp", 40)
    assert code(await scene.get(path, version=41)) == (404, "unknown_version")
    assert (await scene.get(path, at=AT + 40_500))[1]["version"] == 40
    assert code(await scene.get(path, at=AT + 41_500)) == (404, "unknown_version")
    scene.happened(None, log, stored=40)
    assert code(await scene.get(path, at=AT + 41_500)) == (503, "version_not_stored_yet")
    assert code(await scene.get(path, version=41)) == (503, "version_not_stored_yet")


async def test_two_versions_are_compared_field_by_field(scene: Scene) -> None:
    log = ShadowLog("p1", "d1", AT)
    log.desire(AT, {"a": 1, "b": {"c": [1]}, "t": True})
    log.report(AT + 1, {"a": 1})
    log.desire(AT + 2, {"a": None, "b": {"c": [1, 2]}, "d/e": {}, "t": 1})
    scene.happened(log)
    status, body = await scene.get(f"{PATH}/diff", **{"from": 1, "to": 3})
    assert (status, body["from"], body["to"]) == (200, 1, 3)
    assert body["desired"] == [
        {"path": "/a", "old": 1},
        {"path": "/b/c", "old": [1], "new": [1, 2]},
        {"path": "/d~1e", "new": {}},
        {"path": "/t", "old": True, "new": 1},
    ]
    assert body["reported"] == [{"path": "/a", "new": 1}]
    assert (await scene.get(f"{PATH}/diff", **{"from": 2, "to": 2}))[1]["desired"] == []
    assert code(await scene.get(f"{PATH}/diff", **{"from": 1, "to": 4})) == (404, "unknown_version")


async def test_a_history_tells_of_changes_and_refusals_page_by_page(scene: Scene) -> None:
    log = ShadowLog("p1", "d1", AT)
    change = encode(log.desire(AT, {"a": 1})).decode()
    refusal = encode(
        ShadowChangeRefused("i-2", "p1", "d1", None, "api", "ops", "version_conflict", "it is 1", 0, 1, None, AT + 1)
    ).decode()
    history = FakeHistory()
    scene.world.hub.history = history
    history.rows = [(refusal, AT + 1, 2, 8), (change, AT, 2, 7), (change, AT, 2, 6)]
    status, body = await scene.get(f"{PATH}/history", limit=2)
    assert (status, [one["type"] for one in body["items"]]) == (200, ["shadow_change_refused", "shadow_changed"])
    assert (body["items"][1]["desired"], "checkpoint" in body["items"][1]) == ({"a": 1}, False)
    await scene.get("/v1/products/p1/devices/d1/shadows/lamp/history", cursor=body["next_cursor"])
    asked = [question.parameters for question in history.asked]
    assert [one["shadow"] for one in asked] == ["", "lamp"]
    assert [asked[1][f"last_{name}"] for name in ("at", "partition", "offset")] == [AT, 2, 7]


async def test_how_far_a_patch_by_tag_is(scene: Scene) -> None:
    history = FakeHistory()
    scene.world.hub.history = history
    path = "/v1/products/p1/shadow-patches/x1"
    assert code(await scene.get(path)) == (404, "unknown_patch")
    history.rows = [("hall", "", "ops", AT, 4, 9, 8, 1, 5)]
    status, body = await scene.get(path)
    assert (status, body["shadow"], body["matched"], body["converged"]) == (200, None, 9, 5)


@pytest.mark.parametrize("path", ["shadow?version=1", "shadow/history", "shadow/diff?from=1&to=2", "shadows/n?at=1"])
async def test_a_product_that_the_key_may_not_know_is_never_asked_about(scene: Scene, path: str) -> None:
    async with scene.world.client(scene.world.issue("read", products=("p2",))) as client:
        answer = await client.get(f"/v1/products/p1/devices/d1/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_product")
    assert scene.store.asked == []


def test_no_value_of_a_caller_is_in_a_statement() -> None:
    evil = "x' OR 1=1 --"
    shadow = ShadowId(evil, evil, evil)
    asked = [
        shadow_queries.history(About(evil, evil, 1, 2), evil, (1, 2, 3), 10),
        shadow_queries.newest(shadow),
        shadow_queries.leading_to_version(shadow, 7),
        shadow_queries.leading_to_moment(shadow, 7),
        shadow_queries.patch_progress(evil, evil),
    ]
    for question in asked:
        assert evil not in question.statement
        assert "{product:String}" in question.statement
        assert question.parameters["product"] == evil
