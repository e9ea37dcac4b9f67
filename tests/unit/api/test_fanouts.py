"""Commands to all devices of a tag, where what is asked does not go as usual; calls of many devices."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from msgspec.structs import replace

from libs.runtime.requests.client import NoAnswer
from libs.topics.codec import encode
from libs.topics.messages.command_events import CommandEnded, CommandReplied
from libs.topics.messages.command_requests import SendToTag
from libs.topics.messages.command_views import CommandReply
from libs.topics.names import COMMANDS_EVENTS
from services.api import fanouts, group, group_calls
from services.api.conditions import next_cursor
from services.api.fanout_documents import FanOutBegun
from services.api.fanouts import MEMBERS
from services.api.frames import Record
from services.api.group import Group
from services.api.problems import busy
from tests.unit.api.ledgers import FakeCommands
from tests.unit.api.test_commands import stored
from tests.unit.api.test_direct import inhabited
from tests.unit.api.world import NOW, FakeReads

if TYPE_CHECKING:
    from services.api.queries import Question
    from tests.unit.api.world import World

TAG = "/v1/products/p1/tags/red"


@pytest.fixture
def ledger() -> FakeCommands:
    """A product with ten devices that carry the tag, of which d1 and d2 are online."""
    world = inhabited()
    fake = FakeCommands(world)
    known = world.reads.documents
    registered = next(documents for view, documents in known.items() if view[2] == "device")
    for number in range(3, 11):
        registered[f"p1/d{number}"] = {**registered["p1/d1"], "device_id": f"d{number}"}
    world.reads.listed["tag:p1/red"] = [f"p1/d{number}" for number in range(1, 11)]
    fake.online = {"p1/d1": msgspec.Raw(b'{"n":1}'), "p1/d2": msgspec.Raw(b'{"n":2}')}
    return fake


async def posted(world: World, path: str, body: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    async with world.client(headers) as client:
        answer = await client.post(path, json=body)
    assert ("retry-after" in answer.headers) is (answer.status_code == 503)
    return answer.status_code, answer.json()


async def read(world: World, fanout_id: str, **key: Any) -> tuple[int, Any]:
    async with world.client(world.issue(**key)) as client:
        answer = await client.get(f"/v1/fanouts/{fanout_id}")
    return answer.status_code, answer.json()


async def test_every_partition_is_asked_under_one_id(ledger: FakeCommands) -> None:
    world = ledger.world
    status, told = await posted(world, f"{TAG}/commands", {"name": "unlock", "payload": 7, "ttl_s": 60})
    asked = [request for _, _, request in world.requests.asked if isinstance(request, SendToTag)]
    assert [one.partition for one in asked] == list(range(world.hub.settings.kafka.partitions))
    assert {(one.fanout_id, one.mode, one.command, one.ttl, bytes(one.payload)) for one in asked} == {
        (told["fanout_id"], "cmd", "unlock", 60_000, b"7")
    }
    assert (status, told["members"], told["accepted"], told["queued"]) == (202, 10, 2, 8)


async def test_partitions_that_do_not_answer_are_named(ledger: FakeCommands) -> None:
    world = ledger.world
    decide = world.requests.answer

    def answer(request: Any) -> Any:
        if getattr(request, "partition", 0) == 2:
            raise NoAnswer("silent")
        return decide(request)

    world.requests.answer = answer
    status, told = await posted(world, f"{TAG}/commands", {"name": "unlock"})
    assert (status, told["members"], told["missing_partitions"]) == (202, 10, [2])
    ended = await posted(world, f"/v1/fanouts/{told['fanout_id']}:cancel", None)
    assert (ended[0], ended[1]["cancelled"], ended[1]["missing_partitions"]) == (202, 10, [2])
    status, group_told = await posted(world, f"{TAG}/rpc", {"name": "unlock", "wait": "deadline", "timeout_s": 0.1})
    assert (status, group_told["missing_partitions"]) == (200, [2])


@pytest.mark.parametrize("call", ["commands", "rpc"])
async def test_where_nobody_answers_it_is_told_what_may_have_begun(ledger: FakeCommands, call: str) -> None:
    world = ledger.world

    def silent(_: Any) -> Any:
        raise NoAnswer("silent")

    world.requests.answer = silent
    status, told = await posted(world, f"{TAG}/{call}", {"name": "unlock"})
    (fanout_id,) = {request.fanout_id for _, _, request in world.requests.asked if isinstance(request, SendToTag)}
    known = {"fanout_id": fanout_id, "product_id": "p1", "tag": "red"}
    assert (status, told["code"], told["current"]) == (503, "no_answer", known)


async def test_owners_that_remember_all_members_are_believed(ledger: FakeCommands) -> None:
    world = ledger.world
    _, begun = await posted(world, f"{TAG}/commands", {"name": "unlock"})
    partitions = world.hub.settings.kafka.partitions
    world.history.told = {
        "fanouts": [("p1", "red", NOW, partitions, 11, 1)],
        "command_ledger": [("queued", 10, 0)],  # a moment ago
    }
    _, told = await read(world, begun["fanout_id"])
    assert (told["tag"], told["started_at"], told["partitions"]) == ("red", NOW, partitions)
    assert (told["members"], told["refused"], told["accepted"], told["queued"], told["late"]) == (11, 1, 2, 8, 0)
    (command,) = ledger.entries["p1/d9"]
    reply = CommandReply("s1", "json", msgspec.Raw(b"1"), NOW, 8, late=True)
    ledger.entries["p1/d9"] = [replace(command, state="expired", ended_at=NOW, reply=reply)]
    _, told = await read(world, begun["fanout_id"])
    assert (told["queued"], told["expired"], told["late"]) == (7, 1, 1)


async def test_what_owners_have_forgotten_is_counted_as_it_is_stored(ledger: FakeCommands) -> None:
    world = ledger.world
    _, begun = await posted(world, f"{TAG}/commands", {"name": "unlock"})
    for key in ("p1/d3", "p1/d4"):
        ledger.entries[key].clear()
    partitions = world.hub.settings.kafka.partitions
    world.history.told = {
        "fanouts": [("p1", "red", NOW, partitions, 10, 0)],
        "command_ledger": [("replied", 7, 0), ("expired", 3, 2)],
    }
    _, told = await read(world, begun["fanout_id"])
    assert (told["replied"], told["expired"], told["late"], told["open"]) == (7, 3, 2, 0)


async def test_before_anything_is_stored_and_without_the_store_the_owners_tell(ledger: FakeCommands) -> None:
    world = ledger.world
    _, begun = await posted(world, f"{TAG}/commands", {"name": "unlock"})
    for failure in (None, busy("unavailable", "no ClickHouse")):
        world.history.failure = failure
        status, told = await read(world, begun["fanout_id"])
        assert (status, told["members"], told["open"], told["tag"]) == (200, 10, 10, None)
    assert (await read(world, "f-unknown"))[1]["code"] == "unavailable"


async def test_what_nobody_can_count_can_be_cancelled(monkeypatch: pytest.MonkeyPatch, ledger: FakeCommands) -> None:
    """A member was deleted, so that the store must tell of it; and that does not."""
    world = ledger.world
    _, begun = await posted(world, f"{TAG}/commands", {"name": "unlock"})
    world.reads.listed[f"request:{begun['fanout_id']}"].remove("p1/d3")
    started = ("p1", "red", NOW, world.hub.settings.kafka.partitions, 10, 0)

    async def ask(question: Question) -> list[Any]:
        if "FROM fanouts " not in question.statement:
            raise busy("unavailable", "it takes too long")
        return [started]

    monkeypatch.setattr(world.history, "ask", ask)
    assert (await read(world, begun["fanout_id"]))[0] == 503
    status, told = await posted(world, f"/v1/fanouts/{begun['fanout_id']}:cancel", None)
    assert (status, told["cancelled"]) == (200, 9)


async def test_a_key_of_one_product_is_told_of_no_other_fan_outs(ledger: FakeCommands) -> None:
    world = ledger.world
    _, begun = await posted(world, f"{TAG}/commands", {"name": "unlock"})
    world.history.told = {"fanouts": [("p1", "red", NOW, 24, 10, 0)], "command_ledger": []}
    for _ in range(2):
        status, told = await read(world, begun["fanout_id"], products=("p2",))
        assert (status, told["code"]) == (404, "unknown_fanout")
        world.history.told = {"fanouts": []}


@pytest.mark.parametrize("limit", [1, 3, 4, 200])
async def test_members_are_listed_as_owners_remember_them_and_else_as_they_are_stored(
    ledger: FakeCommands, limit: int
) -> None:
    world = ledger.world
    _, begun = await posted(world, f"{TAG}/commands", {"name": "unlock"})
    fanout = begun["fanout_id"]
    for number in (3, 10):
        ledger.entries[f"p1/d{number}"].clear()
        world.reads.listed[f"request:{fanout}"].remove(f"p1/d{number}")
    past = [("d10", "replied"), ("d2", "accepted"), ("d3", "expired"), ("gone", "cancelled")]

    async def ask(question: Question) -> list[Any]:
        asked = question.parameters
        if "device_id > " not in question.statement:
            return [("p1", "red", NOW, 24, 10, 0)]
        rows = [stored(device_id=name, state=state, request_id=fanout, fanout_id=fanout) for name, state in past]
        return [row for row in rows if row[1] > asked["after"]][: asked["limit"]]

    world.history.ask = ask  # type: ignore[method-assign] # it looks at what is asked

    async def listed(**query: Any) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        async with world.client(world.issue()) as client:
            while True:
                answer = await client.get(f"/v1/fanouts/{fanout}/commands", params={"limit": limit, **query})
                assert answer.status_code == 200, answer.text
                found += [(one["device_id"], one["state"]) for one in answer.json()["items"]]
                query["cursor"] = answer.json()["next_cursor"]
                if query["cursor"] is None:
                    return found

    queued = [(f"d{number}", "queued") for number in range(4, 10)]
    assert await listed() == [
        ("d1", "accepted"),
        ("d10", "replied"),
        ("d2", "accepted"),
        ("d3", "expired"),
        *queued,
        ("gone", "cancelled"),
    ]
    assert await listed(state="expired") == [("d3", "expired")]
    assert await listed(state="open") == [("d1", "accepted"), ("d2", "accepted"), *queued]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [("?state=lost", 422, "invalid_request"), (f"?cursor={next_cursor('a/b')}", 400, "invalid_cursor")],
)
async def test_members_that_cannot_be_asked_for(ledger: FakeCommands, query: str, status: int, code: str) -> None:
    world = ledger.world
    _, begun = await posted(world, f"{TAG}/commands", {"name": "unlock"})
    path = f"{begun['fanout_id']}/commands"
    answer, told = await read(world, f"{path}{query}")
    assert (answer, told["code"]) == (status, code)
    for _ in range(2):
        answer, told = await read(world, path, products=("p2",))
        assert (answer, told["code"]) == (404, "unknown_fanout")
        world.reads.listed.clear()


async def test_members_are_asked_for_page_by_page(monkeypatch: pytest.MonkeyPatch, ledger: FakeCommands) -> None:
    world = ledger.world
    _, begun = await posted(world, f"{TAG}/commands", {"name": "unlock"})
    monkeypatch.setattr(fanouts, "MAX_KEYS", 4)
    assert len((await fanouts.members(world.hub, begun["fanout_id"])).states) == 10
    monkeypatch.setattr(fanouts, "MOST_PAGES", 2)
    assert len((await fanouts.members(world.hub, begun["fanout_id"])).states) == 8


async def test_a_call_of_many_is_answered_with_their_replies(ledger: FakeCommands) -> None:
    world = ledger.world
    status, told = await posted(world, f"{TAG}/rpc", {"name": "unlock", "timeout_s": 30})
    assert (status, told["members"], told["replied"], told["rejected"], told["open"]) == (200, 10, 2, 8, 0)
    assert {one["device_id"]: one["reply"]["payload"] for one in told["replies"]} == {"d1": {"n": 1}, "d2": {"n": 2}}
    assert world.streams.listening == []


async def test_a_share_may_be_enough(ledger: FakeCommands) -> None:
    world = ledger.world
    hearing = world.streams.heard

    class One(asyncio.Queue[Record | None]):
        """Tells of one reply, and then of nothing more."""

        def put_nowait(self, item: Record | None) -> None:
            if item is not None and item.kind == "command_replied" and not self.qsize():
                super().put_nowait(item)

    world.streams.heard = One()
    status, told = await posted(world, f"{TAG}/rpc", {"name": "a", "wait": "share", "share": 0.1, "timeout_s": 30})
    assert (status, told["replied"], told["open"]) == (200, 1, 9)
    assert hearing.empty()


@pytest.mark.parametrize(("wait", "status"), [("all", 202), ("deadline", 200)])
async def test_the_end_of_the_time_is_told_as_it_is(
    monkeypatch: pytest.MonkeyPatch, ledger: FakeCommands, wait: str, status: int
) -> None:
    monkeypatch.setattr(group_calls, "GRACE_S", 0.0)
    world = ledger.world
    ledger.online["p1/d2"] = None

    class Lost(asyncio.Queue[Record | None]):
        """Tells only of replies."""

        def put_nowait(self, item: Record | None) -> None:
            if item is not None and item.kind == "command_replied":
                super().put_nowait(item)

    world.streams.heard = Lost()
    told = await posted(world, f"{TAG}/rpc", {"name": "a", "wait": wait, "timeout_s": 0.1})
    assert (told[0], told[1]["replied"], told[1]["open"]) == (status, 1, 9)


async def test_the_end_of_the_process_ends_the_waiting(ledger: FakeCommands) -> None:
    world = ledger.world
    world.streams.heard.put_nowait(None)
    status, told = await posted(world, f"{TAG}/rpc", {"name": "a", "timeout_s": 30})
    assert (status, told["open"]) == (202, 10)


async def test_a_repeated_call_counts_what_came_before(ledger: FakeCommands) -> None:
    world = ledger.world
    headers = {**world.issue(), "Idempotency-Key": "k"}
    first = await posted(world, f"{TAG}/rpc", {"name": "a", "timeout_s": 30}, headers)
    again = await posted(world, f"{TAG}/rpc", {"name": "a", "timeout_s": 30}, headers)
    assert again == (200, {**first[1], "replies": [], "replies_left_out": 2})


async def test_without_kafka_nobody_is_called(ledger: FakeCommands) -> None:
    world = ledger.world
    world.streams.failure = busy("unavailable", "no Kafka")
    status, told = await posted(world, f"{TAG}/rpc", {"name": "a"})
    assert (status, told["code"]) == (503, "unavailable")
    assert world.requests.asked == []


async def test_the_view_is_of_the_ledger(ledger: FakeCommands) -> None:
    world = ledger.world
    _, begun = await posted(world, f"{TAG}/commands", {"name": "unlock"})
    assert isinstance(world.reads, FakeReads)
    found = await world.reads.list(*MEMBERS, f"request:{begun['fanout_id']}")
    assert [key for key, _ in found] == sorted(f"p1/d{number}" for number in range(1, 11))


def begun(members: int, refused: int = 0) -> FanOutBegun:
    return FanOutBegun(
        fanout_id="f-1",
        product_id="p",
        tag="t",
        members=members,
        accepted=members - refused,
        queued=0,
        refused=refused,
        rejected=0,
        partitions=1,
    )


def replied(device: str, payload: bytes = b"1", request_id: str = "f-1") -> Record:
    event = CommandReplied("i", "p", device, request_id, "s", "json", msgspec.Raw(payload), 7, NOW)
    return Record((COMMANDS_EVENTS, 0), 0, "p", "command_replied", encode(event), device)


def test_events_of_others_and_repeated_ones_count_nothing() -> None:
    calls = Group("f-1")
    calls.take(replied("a"))
    calls.take(replied("a", b"2"))
    calls.take(replied("b", b'"f-1"', "f-2"))
    ended = CommandEnded("i", "p", "a", "f-1", "timed_out", "late", NOW)
    calls.take(Record((COMMANDS_EVENTS, 0), 1, "p", "command_ended", encode(ended), "a"))
    assert not calls.over()
    assert not calls.replied(0)
    calls.begin(begun(2))
    told = calls.document()
    assert (told.replied, told.open, [bytes(one.reply.payload) for one in told.replies]) == (1, 1, [b"1"])
    assert calls.replied(0.5)
    assert not calls.replied(0.51)


def test_an_answer_has_only_so_many_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "MOST_REPLIES", 3)
    monkeypatch.setattr(group, "MOST_BYTES", 10)
    calls = Group("f-1")
    calls.begin(begun(6, refused=1))
    for device, size in (("a", 4), ("b", 4), ("c", 4), ("d", 1), ("e", 1)):
        calls.take(replied(device, b"1" * size))
    told = calls.document()
    assert ([one.device_id for one in told.replies], told.replies_left_out) == (["a", "b"], 3)
    assert calls.over()
    assert calls.replied(5 / 6)
