"""Calls about commands, where what is asked does not go as usual."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from libs.runtime.owners.reads import Unavailable
from libs.runtime.requests.client import NoAnswer
from libs.topics.codec import encode
from libs.topics.messages.command_requests import SendCommand
from libs.topics.messages.command_views import CommandView
from services.api import commands, newcomers
from services.api.commands import LEDGER
from services.api.conditions import next_cursor
from services.api.devices import PENDING
from services.api.problems import busy
from tests.unit.api.ledgers import FakeCommands
from tests.unit.api.test_direct import inhabited
from tests.unit.api.world import NOW, FakeRequests, World, refused

if TYPE_CHECKING:
    from libs.topics.messages.base import Request
    from libs.topics.messages.hub import RequestAnswered

DEVICE = "/v1/products/p1/devices/d1"
ENTRY: dict[str, Any] = {
    "product_id": "p1",
    "device_id": "d1",
    "request_id": "c-1",
    "fanout_id": None,
    "mode": "cmd",
    "command": "unlock",
    "state": "replied",
    "attempts": 1,
    "accepted_at": NOW,
    "expires_at": NOW + 9000,
    "sent_at": NOW + 2,
    "ended_at": NOW + 9,
    "reason": None,
    "reply": {
        "message_id": "s1",
        "encoding": "json",
        "payload": {"a": 1},
        "received_at": NOW + 9,
        "rtt_ms": 7,
        "late": False,
    },
    "by": "ops",
}
NO_TIME = 0


def stored(**other: Any) -> tuple[Any, ...]:
    """`ENTRY` as ClickHouse has it; ``other``: columns that differ."""
    row = {**ENTRY, "fanout_id": "", "reason": "", "reply": None, **other}
    reply = ("s1", "json", '{"a":1}') if row["state"] == "replied" or row.get("late") else ("", "", "")
    told = NOW + 9 if reply[0] else NO_TIME
    return (*(row[name] for name in ENTRY), bool(row.get("late")), None if row.get("late") else 7, told, *reply)


@pytest.fixture
def ledger() -> FakeCommands:
    world = inhabited()
    fake = FakeCommands(world)
    fake.online["p1/d1"] = msgspec.Raw(b'{"open": true}')
    return fake


async def posted(world: World, path: str, body: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    async with world.client(headers) as client:
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        answer = await client.post(path, content=content, headers={"Content-Type": "application/json"})
    return answer.status_code, answer.json()


def asked(world: World) -> SendCommand:
    [request] = [one for _, _, one in world.requests.asked if isinstance(one, SendCommand)]
    return request


async def test_an_rpc_is_answered_with_the_devices_reply(ledger: FakeCommands) -> None:
    world = ledger.world
    status, told = await posted(world, f"{DEVICE}/rpc", b'{"name": "unlock", "payload": {"door":  1e2}}')
    assert (status, told["state"], told["reply"]["payload"]) == (200, "replied", {"open": True})
    request = asked(world)
    assert (request.mode, request.ttl, request.encoding) == ("rpc", 5000, "json")
    assert bytes(request.payload) == b'{"door":  1e2}'  # as it was written
    assert told["request_id"] == request.request_id


@pytest.mark.parametrize(
    ("body", "encoding", "payload"),
    [
        ({"name": "a"}, "base64", b'""'),
        ({"name": "a", "payload": None}, "json", b"null"),
        ({"name": "a", "payload": "x"}, "json", b'"x"'),
        ({"name": "a", "payload_base64": "AP8="}, "base64", b'"AP8="'),
        ({"name": "a", "payload_base64": ""}, "base64", b'""'),
    ],
)
async def test_payloads_are_carried_as_messages_have_them(
    ledger: FakeCommands, body: Any, encoding: str, payload: bytes
) -> None:
    status, _ = await posted(ledger.world, f"{DEVICE}/commands", body)
    request = asked(ledger.world)
    assert (status, request.encoding, bytes(request.payload)) == (202, encoding, payload)


async def test_json_that_is_not_in_utf_8_is_no_payload(ledger: FakeCommands) -> None:
    status, told = await posted(ledger.world, f"{DEVICE}/commands", b'{"name": "a", "payload": "\xff"}')
    assert (status, told["code"]) == (400, "malformed_body")
    assert ledger.world.requests.asked == []


class Silent(FakeRequests):
    """An owner that does not answer in time, or a Kafka that does not take the request."""

    def __init__(self, *, at_once: bool) -> None:
        super().__init__()
        self.at_once = at_once

    async def ask(self, inbox: str, key: bytes, request: Request, timeout: float = 10.0) -> RequestAnswered:  # noqa: ASYNC109 - as the real one
        self.asked.append((inbox, key, request))
        try:
            async with asyncio.timeout(0 if self.at_once else timeout):
                await asyncio.Event().wait()
        except TimeoutError:
            raise NoAnswer("silent") from None
        raise AssertionError("nobody sets the event")


@pytest.mark.parametrize(("at_once", "status", "code"), [(True, 503, "no_answer"), (False, 504, "rpc_timed_out")])
async def test_an_rpc_of_which_nothing_is_heard_names_its_request_id(
    monkeypatch: pytest.MonkeyPatch, at_once: bool, status: int, code: str
) -> None:
    monkeypatch.setattr(commands, "GRACE_S", 0.01)
    world = inhabited()
    world.requests = world.hub.requests = Silent(at_once=at_once)
    told = await posted(world, f"{DEVICE}/rpc", {"name": "unlock", "timeout_s": 0.1})
    assert (told[0], told[1]["code"]) == (status, code)
    assert told[1]["current"] == {"product_id": "p1", "device_id": "d1", "request_id": asked(world).request_id}


async def test_a_repeated_rpc_has_the_same_request_id_and_another_one_has_not(ledger: FakeCommands) -> None:
    world = ledger.world
    ids, headers = [], {**world.issue(), "Idempotency-Key": "k"}
    for name in ("unlock", "unlock", "lock"):
        ledger.forget()  # as an owner that has had eight others since
        status, told = await posted(world, f"{DEVICE}/commands", {"name": name}, headers)
        assert status == 202
        ids.append(told["request_id"])
    assert ids[0] == ids[1] != ids[2]


async def test_a_device_of_which_the_ledger_has_not_heard_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newcomers, "PAUSES", (0.0, 0.0))
    world = inhabited()
    ledger = FakeCommands(world)
    decide, left = ledger.decide, [2]

    def soon(request: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise refused(404, "unknown_device")
        return decide(request)

    world.requests.answer = soon
    assert (await posted(world, f"{DEVICE}/commands", {"name": "a"}))[0] == 202
    left[0] = 3
    status, told = await posted(world, f"{DEVICE}/commands", {"name": "a"})
    assert (status, told["code"]) == (503, "unavailable")


async def test_what_the_owner_has_forgotten_is_found_in_the_past(ledger: FakeCommands) -> None:
    world = ledger.world
    world.history.rows = [stored()]
    async with world.client() as client:
        world.history.told["command_events"] = [('{"type":"command_sent","at":7}',)]
        told = (await client.get("/v1/commands/c-1")).json()
        over = await client.post("/v1/commands/c-1:cancel")
    assert told == {**ENTRY, "steps": [{"type": "command_sent", "at": 7, "event": {"type": "command_sent", "at": 7}}]}
    assert (over.status_code, over.json()["code"], over.json()["current"]) == (409, "command_over", ENTRY)


async def test_a_late_reply_is_told_as_late(ledger: FakeCommands) -> None:
    world = ledger.world
    world.history.rows = [stored(state="expired", late=True, reason="its time was over")]
    world.history.told["command_events"] = []
    async with world.client() as client:
        told = (await client.get("/v1/commands/c-1")).json()
    assert (told["state"], told["reason"]) == ("expired", "its time was over")
    assert told["reply"] == {**ENTRY["reply"], "late": True}


async def test_a_fan_outs_command_is_found_by_its_device_alone(ledger: FakeCommands) -> None:
    world = ledger.world
    world.history.rows = [stored(fanout_id="f-1", request_id="f-1")]
    world.history.told["command_events"] = []
    async with world.client() as client:
        alone = await client.get("/v1/commands/f-1")
        told = await client.get("/v1/commands/f-1?device=p1/d1")
    assert (alone.status_code, alone.json()["errors"][0]["field"]) == (422, "device")
    assert (told.status_code, told.json()["fanout_id"]) == (200, "f-1")


async def test_a_key_of_one_product_finds_no_commands_of_others(ledger: FakeCommands) -> None:
    world = ledger.world
    _, sent = await posted(world, f"{DEVICE}/commands", {"name": "a"})
    world.history.rows = [stored(request_id=sent["request_id"])]
    async with world.client(world.issue(products=("p2",))) as client:
        for query in ("", "?device=p1/d1"):
            read = await client.get(f"/v1/commands/{sent['request_id']}{query}")
            cancelled = await client.post(f"/v1/commands/{sent['request_id']}:cancel{query}")
            assert (read.status_code, read.json()["code"]) == (404, "unknown_command")
            assert (cancelled.status_code, cancelled.json()["code"]) == (404, "unknown_command")
    assert ledger.entries["p1/d1"][0].state == "accepted"


async def test_without_the_store_of_the_past_the_entry_is_told_without_its_steps(ledger: FakeCommands) -> None:
    world = ledger.world
    _, sent = await posted(world, f"{DEVICE}/commands", {"name": "a"})
    world.history.failure = busy("unavailable", "no ClickHouse")
    async with world.client() as client:
        told = await client.get(f"/v1/commands/{sent['request_id']}")
        unknown = await client.get("/v1/commands/c-unknown")
    assert told.json() == {**sent, "steps": None}
    assert (unknown.status_code, unknown.json()["code"]) == (503, "unavailable")


async def test_a_reply_that_was_too_large_to_remember_comes_from_its_step(ledger: FakeCommands) -> None:
    world = ledger.world
    _, made = await posted(world, f"{DEVICE}/rpc", {"name": "a"})
    [entry] = ledger.entries["p1/d1"]
    ledger.entries["p1/d1"] = [msgspec.structs.replace(entry, reply=None)]
    step = {**made["reply"], "type": "command_replied", "at": made["reply"]["received_at"]}
    world.history.told["command_events"] = [(encode(step).decode(),)]
    async with world.client() as client:
        told = (await client.get(f"/v1/commands/{made['request_id']}")).json()
    assert told["reply"] == made["reply"]


async def test_the_past_comes_page_by_page(ledger: FakeCommands) -> None:
    world = ledger.world
    world.history.rows = [stored(request_id=f"c-{number}", accepted_at=NOW - number) for number in range(3)]
    async with world.client() as client:
        first = (await client.get(f"{DEVICE}/commands?state=ended&limit=2")).json()
        assert [one["request_id"] for one in first["items"]] == ["c-0", "c-1"]
        world.history.rows = world.history.rows[2:]
        second = await client.get(f"{DEVICE}/commands?state=ended&limit=2&cursor={first['next_cursor']}")
        assert ([one["request_id"] for one in second.json()["items"]], second.json()["next_cursor"]) == (["c-2"], None)
        for text in ("x", f"{NOW}", f"{NOW}.a b", "99999999999999.c-1"):
            strange = await client.get(f"{DEVICE}/commands?state=all&cursor={next_cursor(text)}")
            assert (strange.status_code, strange.json()["code"]) == (400, "invalid_cursor")
        unfit = await client.get(f"{DEVICE}/commands?state=lost")
    assert (unfit.status_code, unfit.json()["errors"][0]["field"]) == (422, "state")
    last = world.history.asked[-1].parameters
    assert (last["last_request"], last["states"][0]) == ("c-1", "replied")


async def test_what_is_over_and_not_stored_yet_is_in_the_past_once(ledger: FakeCommands) -> None:
    """c-1 is stored as it is, of c-2 nothing, and of c-3 only that it was accepted; c-0 has been forgotten."""
    world = ledger.world
    known = [
        msgspec.json.decode(encode({**ENTRY, "request_id": f"c-{n}", "accepted_at": NOW - 9 + n}), type=CommandView)
        for n in range(5)
    ]
    ledger.entries["p1/d1"] = [*known[1:4], msgspec.structs.replace(known[4], state="sent", ended_at=None, reply=None)]
    rows = [stored(request_id=f"c-{n}", accepted_at=NOW - 9 + n) for n in (1, 0)]

    async def pages(state: str, limit: int) -> list[str]:
        found: list[str] = []
        query: dict[str, Any] = {"state": state, "limit": limit}
        async with world.client() as client:
            while True:
                asked = world.history.asked
                world.history.rows = [row for row in rows if row[2] not in found][: limit + 1]
                page = (await client.get(f"{DEVICE}/commands", params=query)).json()
                assert asked[-1].parameters["limit"] == limit + 1
                found += [one["request_id"] for one in page["items"]]
                if page["next_cursor"] is None:
                    return found
                assert len(page["items"]) == limit
                query["cursor"] = page["next_cursor"]

    for limit in (1, 2, 3, 10):
        assert await pages("ended", limit) == ["c-3", "c-2", "c-1", "c-0"]
    rows.insert(0, stored(request_id="c-3", accepted_at=NOW - 6, state="accepted", ended_at=None))
    assert await pages("all", 2) == ["c-4", "c-3", "c-2", "c-1", "c-0"]


async def test_the_past_is_told_without_the_owner(ledger: FakeCommands) -> None:
    world = ledger.world
    world.history.rows = [stored()]
    world.reads.failure = Unavailable(*LEDGER[:2], [0])
    async with world.client() as client:
        page = (await client.get(f"{DEVICE}/commands?state=ended")).json()
    assert page == {"items": [ENTRY], "next_cursor": None}


async def test_a_silent_owner_takes_nothing_from_the_rest_of_the_page(ledger: FakeCommands) -> None:
    world = ledger.world

    class Unreachable(dict[str, Any]):
        def get(self, _key: str, _default: Any = None) -> Any:
            raise Unavailable(*PENDING[:2], [0])

    async with world.client() as client:
        assert (await client.get(DEVICE)).json()["pending_commands"] == {"open": 0, "queued": 0}
        world.reads.documents[PENDING] = Unreachable()
        page = (await client.get(DEVICE)).json()
    assert (page["pending_commands"], page["device_id"]) == (None, "d1")


@pytest.mark.parametrize("path", [f"{DEVICE}/commands", f"{DEVICE}/rpc", "/v1/commands/c-1:cancel"])
async def test_a_key_that_may_only_read_commands_nothing(ledger: FakeCommands, path: str) -> None:
    world = ledger.world
    async with world.client(world.issue("read", "admin")) as client:
        answer = await client.post(path, json={"name": "a"})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert world.requests.asked == []
