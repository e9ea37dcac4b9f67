"""The commands about shadows: which calls they make, what they print, how they end."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from cli.exits import Exit
from tests.support.cli import problem

if TYPE_CHECKING:
    from tests.support.cli import CommandLine

DEVICE = "/products/plant-7/devices/press-1"
OWN, NIGHT = f"{DEVICE}/shadow", f"{DEVICE}/shadows/night"
WHEN, ECO = "2026-03-01 11:00:00.000", '{"mode":"eco"}'
AT = 1_772_362_800_000
DOCUMENT: dict[str, Any] = {
    "product_id": "plant-7",
    "device_id": "press-1",
    "shadow": None,
    "state": {"desired": {"mode": "eco", "sent_at": 7}, "reported": {"mode": "full"}},
    "metadata": {"desired": {"mode": {"timestamp": AT}}},
    "delta": {"mode": "eco", "sent_at": 7},
    "pending_since": AT,
    "version": 3,
    "desired_version": 3,
    "reported_version": 2,
    "created_at": AT,
    "updated_at": AT,
}
CHANGE: dict[str, Any] = {
    "type": "shadow_changed",
    "id": "shadow.inbox-0-1-0",
    "cause": "desired_changed",
    "via": "api",
    "by": "ops",
    "desired": {"mode": "eco"},
    "reported": None,
    "cleared": [],
    "version_before": 2,
    "version": 3,
    "delta": {"mode": "eco"},
    "converged": [],
    "created_at": AT,
    "patch_id": None,
    "at": AT,
}
REPORT: dict[str, Any] = {
    **CHANGE,
    "cause": "acknowledged",
    "via": "iothub",
    "by": "device",
    "desired": None,
    "reported": {"mode": "eco"},
    "cleared": ["desired"],
    "converged": [{"path": "/mode", "since": AT, "drifted": False}],
    "version": 4,
}
REFUSAL: dict[str, Any] = {
    "type": "shadow_change_refused",
    "id": "shadow.inbox-0-2-0",
    "via": "api",
    "by": "ops",
    "code": "version_conflict",
    "detail": "",
    "given_version": 2,
    "version": 3,
    "patch_id": None,
    "at": AT,
}
PATCH: dict[str, Any] = {"patch_id": "m2", "matched": 2, "changed": 2, "refused": 0, "partitions": 4}

CALLS: list[tuple[str, str, str, Any]] = [
    ("shadow get plant-7/press-1", "GET", OWN, None),
    ("shadow get plant-7/press-1 --version 2", "GET", f"{OWN}?version=2", None),
    ("shadow get plant-7/press-1 --name night --at 1h", "GET", f"{NIGHT}?at=1772362800000", None),
    ("shadow set plant-7/press-1 led.mode=eco led.on=true speed=null", "PATCH", OWN, None),
    ('shadow set plant-7/press-1 {"a":{"b":1}} --name night --wait 10s', "PATCH", f"{NIGHT}?wait=10s", {"a": {"b": 1}}),
    ("shadow replace plant-7/press-1 a=1", "PUT", OWN, {"a": 1}),
    ("shadow clear plant-7/press-1 --name night", "POST", f"{NIGHT}:clear", None),
    ("shadow delete plant-7/press-1 --yes", "DELETE", OWN, None),
    ("shadow patch-tag plant-7 hall-3 a=1", "POST", "/products/plant-7/tags/hall-3/shadow", {"a": 1}),
    ("shadow patch-tag plant-7 hall-3 a=1 --name x", "POST", "/products/plant-7/tags/hall-3/shadows/x", {"a": 1}),
    ("shadow patched plant-7 m2", "GET", "/products/plant-7/shadow-patches/m2", None),
    ("shadow history plant-7/press-1 --limit 5", "GET", f"{OWN}/history?limit=5", None),
    ("shadow history plant-7/press-1 --name night --from 1h", "GET", f"{NIGHT}/history?limit=50&from={AT}", None),
    ("shadow diff plant-7/press-1 3 7", "GET", f"{OWN}/diff?from=3&to=7", None),
    ("status plant-7/press-1", "GET", f"{DEVICE}/status", None),
]
CALLS[3] = (*CALLS[3][:3], {"led": {"mode": "eco", "on": True}, "speed": None})


@pytest.mark.parametrize(("command", "method", "target", "body"), CALLS, ids=[call[0] for call in CALLS])
def test_a_command_is_one_call(fleetlog: CommandLine, command: str, method: str, target: str, body: Any) -> None:
    answer = {**DOCUMENT, "items": [], "desired": [], "reported": []}
    ran = fleetlog(*command.split(), "--json", api={f"{method} {target.partition('?')[0]}": answer})
    assert (ran.status, ran.err) == (Exit.OK, ""), ran.err
    (asked,) = fleetlog.api.asked
    assert (asked.method, asked.target, asked.body) == (method, target, body)
    if method != "GET":
        assert asked.headers["idempotency-key"]
        assert "if-match" not in asked.headers
    media = "application/merge-patch+json" if method == "PATCH" else "application/json"
    assert asked.headers.get("content-type", media) == media


@pytest.mark.parametrize("command", ["set plant-7/press-1 a=1", "replace plant-7/press-1 a=1", "clear plant-7/press-1"])
def test_an_expected_version_goes_along_and_a_conflict_has_its_status(fleetlog: CommandLine, command: str) -> None:
    refusal = problem(409, "version_conflict", "it is at version 3", current=DOCUMENT)
    calls = (f"PATCH {OWN}", f"PUT {OWN}", f"POST {OWN}:clear")
    ran = fleetlog("shadow", *command.split(), "--expected", "2", "--json", api=dict.fromkeys(calls, refusal))
    assert fleetlog.api.asked[0].headers["if-match"] == '"2"'
    assert ran.status == Exit.CONFLICT
    assert '"version":3' in ran.err


def test_what_is_not_reported_in_time_is_desired_all_the_same(fleetlog: CommandLine) -> None:
    late = {f"PATCH {OWN}": httpx.Response(202, json=DOCUMENT)}
    ran = fleetlog("shadow", "set", "plant-7/press-1", "mode=eco", "--wait", "3s", "--json", api=late)
    assert (ran.status, ran.lines[0]["version"]) == (Exit.UNAVAILABLE, 3)
    assert "not_reported" in ran.err


def test_a_part_of_the_hub_that_is_late_is_told(fleetlog: CommandLine) -> None:
    answer = httpx.Response(202, json={**PATCH, "missing_partitions": [3]})
    call = {"POST /products/plant-7/tags/hall-3/shadow": answer}
    ran = fleetlog("shadow", "patch-tag", "plant-7", "hall-3", "a=1", api=call)
    assert (ran.status, "shadow patched plant-7 m2" in ran.err) == (Exit.UNAVAILABLE, True)


@pytest.mark.parametrize(
    "command",
    [
        "get plant-7/press-1 --version 1 --at 1h",
        "get plant-7/press-1 --name a/b",
        "set plant-7/press-1 {",
        "set plant-7/press-1 [1]",
        "set plant-7/press-1 mode",
        "set plant-7/press-1 a=1 a.b=2",
        "set plant-7/press-1 a.b=2 a=1",
        "set plant-7/press-1 a=1 --wait 31s",
        "set plant-7/press-1 a=1 --wait 0s",
        "delete plant-7/press-1",
        "watch plant-7/",
        "verify --from-offset 1 --from-beginning",
        "verify --from-beginning --from-time 1h",
        "verify --from-time never",
    ],
)
def test_what_cannot_be_meant_is_refused_before_anybody_is_asked(fleetlog: CommandLine, command: str) -> None:
    ran = fleetlog("shadow", *command.split())
    assert (ran.status, fleetlog.api.asked) == (Exit.USAGE, []), ran.err


def test_a_document_is_read_from_standard_input(fleetlog: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"mode": "eco"}')))
    assert fleetlog("shadow", "replace", "plant-7/press-1", "-", api={f"PUT {OWN}": DOCUMENT}).status == Exit.OK
    assert fleetlog.api.asked[0].body == {"mode": "eco"}


def test_all_shadows_of_a_device_are_listed(fleetlog: CommandLine) -> None:
    api = {f"GET {OWN}": DOCUMENT, f"GET {DEVICE}/shadows": {"items": [{**DOCUMENT, "shadow": "night"}]}}
    ran = fleetlog("shadow", "list", "plant-7/press-1", "--json", api=api)
    assert [line["shadow"] for line in ran.lines] == [None, "night"]


def test_people_see_what_changed_and_who_did_it(fleetlog: CommandLine) -> None:
    ran = fleetlog(
        "shadow", "history", "plant-7/press-1", api={f"GET {OWN}/history": {"items": [REPORT, CHANGE, REFUSAL]}}
    )
    assert ran.out.splitlines() == [
        f"{WHEN}  4  acknowledged via iothub by device  desired cleared  reported {ECO}  converged /mode",
        f"{WHEN}  3  desired changed via api by ops  desired {ECO}",
        f"{WHEN}  3  refused via api by ops: version_conflict",
    ]


def test_people_see_in_what_two_versions_differ(fleetlog: CommandLine) -> None:
    found = {
        "from": 3,
        "to": 7,
        "desired": [{"path": "/mode", "old": "eco", "new": "full"}, {"path": "/speed", "old": 1}],
        "reported": [],
    }
    ran = fleetlog("shadow", "diff", "plant-7/press-1", "3", "7", api={f"GET {OWN}/diff": found})
    assert ran.out.splitlines() == ['desired   /mode  "eco" -> "full"', "desired   /speed  1 -> -"]


def stream(*changes: dict[str, Any]) -> httpx.Response:
    lines = [
        f"event: {change['type']}\nid: {n}\ndata: {httpx.Response(200, json=change).text}\n\n"
        for n, change in enumerate(changes)
    ]
    return httpx.Response(200, text="".join(lines), headers={"Content-Type": "text/event-stream"})


def test_changes_are_watched_of_one_device_or_of_all(fleetlog: CommandLine) -> None:
    who = {"product_id": "plant-7", "device_id": "press-1", "shadow": "night"}
    told = stream({**CHANGE, **who, "device_id": "press-2"}, {**REFUSAL, **who})
    api = {"GET /products/plant-7/stream": told}
    ran = fleetlog("shadow", "watch", "plant-7", "--count", "2", "--json", api=api)
    assert [line["device_id"] for line in ran.lines] == ["press-2", "press-1"]
    assert fleetlog.api.asked[0].target.endswith("?types=shadow_changed%2Cshadow_change_refused")
    ran = fleetlog("shadow", "watch", "plant-7/press-1", "--count", "1", api=api)
    assert ran.out == ("2026-03-01 11:00:00.000  plant-7/press-1 night  3  refused via api by ops: version_conflict\n")


def test_what_devices_say_is_never_taken_for_a_moment(fleetlog: CommandLine) -> None:
    ran = fleetlog("shadow", "get", "plant-7/press-1", "--json", api={f"GET {OWN}": DOCUMENT})
    assert ran.lines[0]["delta"]["sent_at"] == 7
    assert ran.lines[0]["pending_since"] == "2026-03-01T11:00:00.000Z"
    told = {"status": {"booted_at": 5}, "message_id": "m", "reported_at": AT}
    for command, document in (("status", told), ("devices show", {"status": told})):
        call = f"{DEVICE}/status" if command == "status" else DEVICE
        (shown,) = fleetlog(*command.split(), "plant-7/press-1", "--json", api={f"GET {call}": document}).lines
        inner = shown if command == "status" else shown["status"]
        assert inner == {"status": {"booted_at": 5}, "message_id": "m", "reported_at": "2026-03-01T11:00:00.000Z"}
