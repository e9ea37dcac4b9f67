"""The commands about commands: which calls they make, what they print, how they end."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from cli.exits import Exit
from cli.times import rfc3339
from tests.support.cli import problem

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cli import CommandLine

DEVICE = "/products/plant-7/devices/press-1"
TAG = "/products/plant-7/tags/hall-3"
AT = 1_772_362_800_000
WHEN = "2026-03-01 11:00:00.000"
STEP: dict[str, Any] = {"product_id": "plant-7", "device_id": "press-1", "request_id": "c-1", "at": AT}
ENTRY: dict[str, Any] = {
    **{name: STEP[name] for name in ("product_id", "device_id", "request_id")},
    "command": "unlock",
    "mode": "cmd",
    "state": "replied",
    "attempts": 1,
    "accepted_at": AT,
    "ended_at": AT,
    "by": "ops",
}
COUNTS: dict[str, Any] = {
    "fanout_id": "f-1",
    "members": 3,
    "open": 0,
    **dict.fromkeys(("accepted", "queued", "sent", "delivered", "failed", "rejected"), 0),
    **dict.fromkeys(("expired", "timed_out", "cancelled", "refused", "late"), 0),
    "replied": 3,
}

CALLS: list[tuple[str, str, str, Any]] = [
    ("command send plant-7/press-1 unlock", "POST", f"{DEVICE}/commands", {"name": "unlock"}),
    (
        "command send plant-7/press-1 unlock door.n=2 now=true --ttl 1h",
        "POST",
        f"{DEVICE}/commands",
        {"name": "unlock", "payload": {"door": {"n": 2}, "now": True}, "ttl_s": 3600},
    ),
    ("command list plant-7/press-1", "GET", f"{DEVICE}/commands?limit=1000&state=open", None),
    (
        "command list plant-7/press-1 --state ended --from 1h --limit 5",
        "GET",
        f"{DEVICE}/commands?limit=5&state=ended&from={AT}",
        None,
    ),
    ("command show c-1", "GET", "/commands/c-1", None),
    ("command show f-1 --device plant-7/press-1", "GET", "/commands/f-1?device=plant-7%2Fpress-1", None),
    ("command cancel c-1", "POST", "/commands/c-1:cancel", None),
    ("command cancel f-1 --device plant-7/press-1", "POST", "/commands/f-1:cancel?device=plant-7/press-1", None),
    ("rpc plant-7/press-1 unlock [1,2]", "POST", f"{DEVICE}/rpc", {"name": "unlock", "payload": [1, 2]}),
    (
        "rpc plant-7/press-1 unlock 7 --timeout 10s",
        "POST",
        f"{DEVICE}/rpc",
        {"name": "unlock", "payload": 7, "timeout_s": 10},
    ),
    ("probe plant-7/press-1 --mode loose", "POST", f"{DEVICE}/probe", {"mode": "loose"}),
    ("probes plant-7/press-1 --limit 3", "GET", f"{DEVICE}/probes?limit=3", None),
    (
        "message plant-7/press-1 recipes recipe=12",
        "POST",
        f"{DEVICE}/messages",
        {"topic": "recipes", "payload": {"recipe": 12}},
    ),
    ("fanout send plant-7 hall-3 reboot --ttl 60s", "POST", f"{TAG}/commands", {"name": "reboot", "ttl_s": 60}),
    ("fanout rpc plant-7 hall-3 measure", "POST", f"{TAG}/rpc", {"name": "measure", "wait": "all"}),
    (
        "fanout rpc plant-7 hall-3 measure --wait 0.5 --timeout 3s",
        "POST",
        f"{TAG}/rpc",
        {"name": "measure", "wait": "share", "share": 0.5, "timeout_s": 3},
    ),
    ("fanout show f-1", "GET", "/fanouts/f-1", None),
    ("fanout members f-1 --state expired --limit 5", "GET", "/fanouts/f-1/commands?limit=5&state=expired", None),
    ("fanout cancel f-1", "POST", "/fanouts/f-1:cancel", None),
]


@pytest.mark.parametrize(("command", "method", "target", "body"), CALLS, ids=[call[0] for call in CALLS])
def test_a_command_is_one_call(fleetlog: CommandLine, command: str, method: str, target: str, body: Any) -> None:
    answer = {**COUNTS, "items": [], "verdict": "reachable", "message_id": "m-1"}
    ran = fleetlog(*command.split(), "--json", api={f"{method} {target.partition('?')[0]}": answer})
    assert (ran.status, ran.err) == (Exit.OK, ""), ran.err
    (asked,) = fleetlog.api.asked
    assert (asked.method, asked.target, asked.body) == (method, target, body)
    assert ("idempotency-key" in asked.headers) is (method != "GET")


def test_a_file_is_sent_as_it_is(fleetlog: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"\x00\xff")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\x01")))
    for name, sent in ((str(image), "AP8="), ("-", "AQ==")):
        ran = fleetlog("rpc", "plant-7/press-1", "show", "--file", name, api={f"POST {DEVICE}/rpc": ENTRY})
        assert ran.status == Exit.OK
        assert fleetlog.api.asked[0].body == {"name": "show", "payload_base64": sent}


@pytest.mark.parametrize(
    "command",
    [
        "command send plant-7/press-1",
        "command send plant-7 unlock",
        "command send plant-7/press-1 unlock {",
        "command send plant-7/press-1 unlock door",
        "command send plant-7/press-1 unlock a=1 --file x",
        "command send plant-7/press-1 unlock --file /nowhere/at/all",
        "command send plant-7/press-1 unlock --ttl soon",
        "command cancel f-1 --device plant-7",
        "command show f-1 --device plant-7",
        "command watch plant-7/",
        "fanout send plant-7 a/b reboot",
        "fanout rpc plant-7 hall-3 measure --wait some",
        "fanout rpc plant-7 hall-3 measure --wait 0",
    ],
)
def test_what_cannot_be_meant_is_refused_before_anybody_is_asked(fleetlog: CommandLine, command: str) -> None:
    ran = fleetlog(*command.split())
    assert (ran.status, fleetlog.api.asked) == (Exit.USAGE, []), ran.err


@pytest.mark.parametrize(
    ("status", "code", "ends"),
    [
        (409, "device_offline", Exit.UNAVAILABLE),
        (504, "rpc_timed_out", Exit.UNAVAILABLE),
        (409, "command_cancelled", Exit.CONFLICT),
        (404, "unknown_device", Exit.NOT_FOUND),
        (413, "payload_too_large", Exit.FAILED),
    ],
)
def test_a_call_without_a_reply_has_its_status(fleetlog: CommandLine, status: int, code: str, ends: Exit) -> None:
    refusal = problem(status, code, "it is so", current=ENTRY)
    ran = fleetlog("rpc", "plant-7/press-1", "unlock", "--json", api={f"POST {DEVICE}/rpc": refusal})
    assert ran.status == ends
    told = json.loads(ran.err)
    assert (told["current"]["request_id"], told["current"]["accepted_at"]) == ("c-1", rfc3339(ENTRY["accepted_at"]))
    nothing_comes_of_it = code == "device_offline"
    assert ("fleetlog command show c-1 --device plant-7/press-1" in told["advice"]) is not nothing_comes_of_it


def test_a_device_that_does_not_answer_has_a_status_too(fleetlog: CommandLine) -> None:
    told = {"probe_id": "p-1", "mode": "strict", "verdict": "unreachable", "attempts": 1}
    ran = fleetlog("probe", "plant-7/press-1", "--json", api={f"POST {DEVICE}/probe": told})
    assert (ran.status, ran.lines) == (Exit.UNAVAILABLE, [told])
    assert "unreachable" in ran.err


@pytest.mark.parametrize("command", ["send plant-7 hall-3 reboot", "rpc plant-7 hall-3 reboot", "cancel f-1"])
def test_a_part_of_the_hub_that_is_late_is_told(fleetlog: CommandLine, command: str) -> None:
    late = httpx.Response(202, json={"fanout_id": "f-1", "missing_partitions": [3]})
    calls = (f"POST {TAG}/commands", f"POST {TAG}/rpc", "POST /fanouts/f-1:cancel")
    ran = fleetlog("fanout", *command.split(), api=dict.fromkeys(calls, late))
    assert (ran.status, "fleetlog fanout show f-1" in ran.err) == (Exit.UNAVAILABLE, True)


def test_fewer_replies_than_asked_for_have_a_status(fleetlog: CommandLine) -> None:
    told = {**COUNTS, "members": 10, "replied": 4, "missing_partitions": []}
    for share, ends in (("0.4", Exit.OK), ("0.5", Exit.UNAVAILABLE), ("all", Exit.OK)):
        arguments = ("rpc", "plant-7", "hall-3", "measure", "--wait", share, "--json")
        ran = fleetlog("fanout", *arguments, api={f"POST {TAG}/rpc": told})
        assert (ran.status, len(ran.lines), "4 of 10" in ran.err) == (ends, 1, ends is Exit.UNAVAILABLE)


@pytest.mark.parametrize(
    ("payload", "shown"),
    [("b2sgwrU=", ["text", "ok µ"]), ("AP8B", ["base64", "AP8B"]), ("AQI=", ["base64", "AQI="]), ("", ["text", "-"])],
)
def test_people_read_a_reply_that_is_text(fleetlog: CommandLine, payload: str, shown: list[str]) -> None:
    reply = {"encoding": "base64", "payload": payload}
    entry = {**ENTRY, "reply": reply}
    calls = {f"POST {DEVICE}/rpc": entry}
    ran = fleetlog("rpc", "plant-7/press-1", "a", api=calls)
    lines = ran.out.splitlines()
    assert [line.split(maxsplit=1)[1] for line in lines[lines.index("reply") + 1 :][:2]] == shown
    assert fleetlog("rpc", "plant-7/press-1", "a", "--json", api=calls).lines[0]["reply"] == reply


@pytest.mark.parametrize("call", ["send", "rpc"])
def test_a_fan_out_that_may_have_begun_can_be_found(fleetlog: CommandLine, call: str) -> None:
    silent = problem(503, "no_answer", "no answer", current={"fanout_id": "f-1", "product_id": "plant-7"})
    calls = dict.fromkeys((f"POST {TAG}/commands", f"POST {TAG}/rpc"), silent)
    ran = fleetlog("fanout", call, "plant-7", "hall-3", "reboot", api=calls)
    assert (ran.status, "fleetlog fanout show f-1" in ran.err) == (Exit.UNAVAILABLE, True)


def test_people_see_a_list(fleetlog: CommandLine) -> None:
    ran = fleetlog("command", "list", "plant-7/press-1", api={f"GET {DEVICE}/commands": {"items": [ENTRY]}})
    header, row = ran.out.splitlines()
    assert header.split() == ["request", "command", "mode", "state", "sent", "accepted", "over", "by"]
    assert row.split()[:5] == ["c-1", "unlock", "cmd", "replied", "1"]


def test_people_see_a_command_step_by_step(fleetlog: CommandLine) -> None:
    sent = {**STEP, "type": "command_sent", "attempt": 1}
    entry = {**ENTRY, "steps": [{"type": "command_sent", "at": AT, "event": sent}]}
    ran = fleetlog("command", "show", "c-1", api={"GET /commands/c-1": entry})
    *shown, step = ran.out.splitlines()
    assert [line.split()[0] for line in shown] == list(ENTRY)
    assert step == f"{WHEN}  plant-7/press-1  c-1  sent"
    silent = fleetlog("command", "show", "c-1", api={"GET /commands/c-1": {**ENTRY, "steps": None}})
    assert "does not answer" in silent.err


def stream(*steps: dict[str, Any]) -> httpx.Response:
    lines = [
        f"event: {step['type']}\nid: {n}\ndata: {httpx.Response(200, json=step).text}\n\n"
        for n, step in enumerate(steps)
    ]
    return httpx.Response(200, text="".join(lines), headers={"Content-Type": "text/event-stream"})


STEPS: list[tuple[dict[str, Any], str]] = [
    ({"type": "command_accepted", "command": "unlock", "by": "ops"}, "accepted unlock by ops"),
    ({"type": "command_queued", "pending": 2}, "queued, 2 wait"),
    ({"type": "command_sent", "attempt": 1}, "sent"),
    ({"type": "command_sent", "attempt": 2}, "sent, the 2. time"),
    ({"type": "command_delivered"}, "delivered"),
    (
        {"type": "command_replied", "rtt_ms": 38, "encoding": "json", "payload": {"open": True}},
        'replied after 38 ms  {"open":true}',
    ),
    ({"type": "command_ended", "outcome": "timed_out", "reason": "no reply"}, "timed out: no reply"),
    (
        {"type": "late_reply_recorded", "encoding": "json", "payload": "x"},
        'replied when it was over  "x"',
    ),
    ({"type": "late_reply_recorded", "encoding": "base64", "payload": "b2s="}, "replied when it was over  ok"),
    ({"type": "late_reply_recorded", "encoding": "base64", "payload": ""}, "replied when it was over  (nothing)"),
]


def test_people_see_every_step_as_it_happens(fleetlog: CommandLine) -> None:
    others = [{**STEP, "type": "command_delivered", name: "other"} for name in ("device_id", "request_id")]
    told = stream({"type": "gap", "topic": "commands.events"}, *others, *({**STEP, **step} for step, _ in STEPS))
    arguments = ("plant-7/press-1", "--request", "c-1", "--count", str(len(STEPS)))
    ran = fleetlog("command", "watch", *arguments, api={"GET /products/plant-7/stream": told})
    assert ran.out.splitlines() == [f"{WHEN}  plant-7/press-1  c-1  {line}" for _, line in STEPS]
    assert "gone" in ran.err
    assert "command_ended" in fleetlog.api.asked[0].target


def test_scripts_get_every_step_with_its_place(fleetlog: CommandLine) -> None:
    told = stream({**STEP, "type": "command_sent", "attempt": 1})
    ran = fleetlog("command", "watch", "plant-7", "--count", "1", "--json", api={"GET /products/plant-7/stream": told})
    assert (ran.lines[0]["event_id"], ran.lines[0]["type"]) == ("0", "command_sent")


def told(*events: tuple[str, dict[str, Any]]) -> httpx.Response:
    lines = [f"event: {name}\ndata: {httpx.Response(200, json=data).text}\n\n" for name, data in events]
    return httpx.Response(200, text="retry: 1000\n\n:\n\n" + "".join(lines))


BEGUN = {**COUNTS, "open": 3, "replied": 0, "queued": 1, "sent": 2}
MOVED = {**COUNTS, "open": 1, "replied": 1, "timed_out": 1, "sent": 1, "missing_partitions": [0, 3]}
WATCHED = "GET /fanouts/f-1/stream"


def test_a_fan_out_is_watched_until_all_is_over(fleetlog: CommandLine) -> None:
    unseen = {**BEGUN, "tag": "hall-3"}
    stream = told(("counts", BEGUN), ("counts", unseen), ("counts", MOVED), ("final", COUNTS), ("counts", BEGUN))
    ran = fleetlog("fanout", "watch", "f-1", api={WATCHED: stream})
    assert (ran.status, ran.err) == (Exit.OK, "")
    assert ran.out.splitlines() == [
        "3 devices: 1 queued, 2 sent",
        "3 devices: 1 sent, 1 replied, 1 timed out; partitions that do not answer now: 0, 3",
        "3 devices: 3 replied",
    ]
    assert len(fleetlog.api.asked) == 1
    nobody = told(("final", {**COUNTS, "members": 0, "replied": 0}))
    assert fleetlog("fanout", "watch", "f-1", api={WATCHED: nobody}).out == "0 devices\n"


def test_a_watch_goes_on_where_it_was_cut(fleetlog: CommandLine) -> None:
    ended = told(("counts", BEGUN), ("ended", {"code": "stopping", "detail": "the process ends"}))
    away = problem(503, "unavailable", "no owner")
    ran = fleetlog(
        "fanout", "watch", "f-1", "--json", api={WATCHED: [ended, away, told(("counts", BEGUN), ("final", COUNTS))]}
    )
    assert (ran.status, ran.lines) == (Exit.OK, [BEGUN, COUNTS])
    assert len(fleetlog.slept) == 2


def test_a_fan_out_that_nobody_knows_cannot_be_watched(fleetlog: CommandLine) -> None:
    ran = fleetlog("fanout", "watch", "f-1", api={WATCHED: problem(404, "unknown_fanout", "there is no fan-out f-1")})
    assert (ran.status, ran.out) == (Exit.NOT_FOUND, "")


def test_on_a_terminal_the_counts_change_in_their_place(fleetlog: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")
    ran = fleetlog("fanout", "watch", "f-1", api={WATCHED: told(("counts", BEGUN), ("final", COUNTS))})
    first, _, last = ran.out.partition("1 queued, 2 sent")
    assert "3 devices: " in first
    assert "\r\x1b[2K" in last
    assert last.count("3 devices: 3 replied") >= 1
    assert ran.status == Exit.OK
