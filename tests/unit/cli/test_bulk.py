"""Registering the devices of a file."""

from __future__ import annotations

import csv
import json
import stat
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from cli import bulk
from cli.exits import Exit, Failure
from tests.support.cli import problem

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cli import CommandLine

CALL = "POST /products/shop/devices:bulk"
AWAY = problem(503, "no_answer", "no answer in time", **{"Retry-After": "2"})


def answering(request: httpx.Request) -> httpx.Response:
    devices = json.loads(request.content)["devices"]
    return httpx.Response(200, json={"results": [registered(device["device_id"]) for device in devices]})


def registered(device_id: str) -> dict[str, Any]:
    mqtt = {"host": "hub", "port": 1883, "username": f"shop/{device_id}", "client_id": f"shop/{device_id}"}
    return {"device_id": device_id, "outcome": "created", "secret": f"secret-of-{device_id}", "mqtt": mqtt}


@pytest.fixture
def presses(tmp_path: Path) -> Path:
    file = tmp_path / "presses.csv"
    file.write_text("\ufeffdevice_id,tags,serial\np-1,hall-3 line-a,A17\np-2,,\n", encoding="utf-8")
    return file


def test_a_csv_file_has_tags_and_attributes(presses: Path) -> None:
    first, second = bulk.read(presses)
    assert (first.device_id, first.tags, first.attributes) == ("p-1", ("hall-3", "line-a"), {"serial": "A17"})
    assert (second.device_id, second.tags, second.attributes) == ("p-2", (), {})


def test_json_lines_say_the_same(tmp_path: Path, presses: Path) -> None:
    file = tmp_path / "presses.jsonl"
    file.write_text(
        '{"device_id": "p-1", "tags": ["hall-3", "line-a"], "attributes": {"serial": "A17"}}\n\n{"device_id": "p-2"}\n'
    )
    assert bulk.read(file) == bulk.read(presses)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "id,tags\np-1,\n", "no column device_id"),
        ("a.csv", "device_id,tags\np-1\n", "line 2"),
        ("a.csv", "device_id\np-1,x\n", "line 2"),
        ("a.csv", "device_id\n", "names no device"),
        ("a.csv", "device_id\np-1\np-1\n", "names p-1 twice"),
        ("a.jsonl", '{"device_id": "p-1"}\n{"device": "p-2"}\n', "line 2"),
        ("a.jsonl", "p-1\n", "line 1"),
        ("a.jsonl", "", "names no device"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_the_place(tmp_path: Path, name: str, text: str, said: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(Failure, match=said) as refused:
        bulk.read(file)
    assert refused.value.status is Exit.USAGE


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"device_id\np-\xfc\n"),
        ("a.jsonl", b'{"device_id": "p-\xfc"}\n'),
        ("a.csv", b"device_id\n" + b"x" * 200_000),
    ],
)
def test_a_file_in_another_encoding_is_a_wrong_file(tmp_path: Path, name: str, content: bytes) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(Failure, match="cannot be read") as refused:
        bulk.read(file)
    assert refused.value.status is Exit.USAGE


def test_secrets_go_to_a_file_that_only_its_owner_can_read(fleetlog: CommandLine, presses: Path) -> None:
    ran = fleetlog("devices", "bulk", "shop", str(presses), api={CALL: answering})
    results = presses.with_name("presses.secrets.csv")
    assert (ran.status, ran.out) == (Exit.OK, f"2 created; secrets are in {results}\n")
    assert stat.S_IMODE(results.stat().st_mode) == 0o600
    with results.open() as lines:
        rows = list(csv.DictReader(lines))
    assert [(row["device_id"], row["username"], row["secret"]) for row in rows] == [
        ("p-1", "shop/p-1", "secret-of-p-1"),
        ("p-2", "shop/p-2", "secret-of-p-2"),
    ]
    assert "secret-of" not in ran.out + ran.err


def test_results_as_json_lines_hold_all_that_was_answered(fleetlog: CommandLine, presses: Path, tmp_path: Path) -> None:
    results = tmp_path / "secrets.jsonl"
    ran = fleetlog("devices", "bulk", "shop", str(presses), "--results", str(results), "--json", api={CALL: answering})
    (summary,) = ran.lines
    assert {name: summary[name] for name in ("created", "exists", "refused")} == {
        "created": 2,
        "exists": 0,
        "refused": 0,
    }
    assert [json.loads(line) for line in results.read_text().splitlines()] == [registered("p-1"), registered("p-2")]


def test_an_existing_results_file_is_never_overwritten(fleetlog: CommandLine, presses: Path) -> None:
    presses.with_name("presses.secrets.csv").write_text("the only copy")
    ran = fleetlog("devices", "bulk", "shop", str(presses), api={CALL: answering})
    assert ran.status == Exit.USAGE
    assert presses.with_name("presses.secrets.csv").read_text() == "the only copy"
    assert fleetlog.api.asked == []


def test_a_piece_without_an_answer_is_sent_again_under_the_same_key(fleetlog: CommandLine, presses: Path) -> None:
    ran = fleetlog("devices", "bulk", "shop", str(presses), api={CALL: [AWAY, AWAY, answering]})
    assert ran.status == Exit.OK
    assert len({asked.headers["idempotency-key"] for asked in fleetlog.api.asked}) == 1
    assert fleetlog.slept == [2.0, 2.0]


def test_when_nobody_answers_it_says_how_to_go_on(fleetlog: CommandLine, presses: Path) -> None:
    ran = fleetlog("devices", "bulk", "shop", str(presses), api={CALL: AWAY})
    assert ran.status == Exit.UNAVAILABLE
    assert len(fleetlog.api.asked) == bulk.ATTEMPTS
    run = fleetlog.api.asked[0].headers["idempotency-key"].rpartition("-")[0]
    assert f"--run {run}" in ran.err
    assert ran.err.startswith(f"This is run {run}."), "told before the first piece is sent: Ctrl-C tells nothing"
    again = presses.with_name("again.csv")
    fleetlog("devices", "bulk", "shop", str(presses), "--run", run, "--results", str(again), api={CALL: answering})
    assert fleetlog.api.asked[0].headers["idempotency-key"] == f"{run}-0"


def test_devices_without_an_answer_are_asked_for_again(fleetlog: CommandLine, presses: Path) -> None:
    half = {"results": [registered("p-1"), {"device_id": "p-2", "outcome": "unanswered"}]}
    ran = fleetlog("devices", "bulk", "shop", str(presses), api={CALL: [half, AWAY, answering]})
    assert (ran.status, ran.out.split(";")[0]) == (Exit.OK, "2 created")
    assert len({asked.headers["idempotency-key"] for asked in fleetlog.api.asked}) == 1


def test_devices_that_never_get_an_answer_are_told_and_the_others_keep_their_secrets(
    fleetlog: CommandLine, presses: Path
) -> None:
    half = {"results": [registered("p-1"), {"device_id": "p-2", "outcome": "unanswered"}]}
    ran = fleetlog("devices", "bulk", "shop", str(presses), api={CALL: half})
    assert ran.status == Exit.UNAVAILABLE
    assert "1 devices got no answer" in ran.err
    assert "--run" in ran.err
    assert "secret-of-p-1" in presses.with_name("presses.secrets.csv").read_text()


def test_a_large_file_goes_in_pieces_with_keys_of_their_own(fleetlog: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "many.csv"
    file.write_text("device_id\n" + "".join(f"p-{n}\n" for n in range(bulk.PIECE * 2 + 1)))
    assert fleetlog("devices", "bulk", "shop", str(file), api={CALL: answering}).status == Exit.OK
    assert [len(asked.body["devices"]) for asked in fleetlog.api.asked] == [bulk.PIECE, bulk.PIECE, 1]
    assert len({asked.headers["idempotency-key"] for asked in fleetlog.api.asked}) == 3


def test_refused_devices_are_a_failure_that_names_the_file(fleetlog: CommandLine, presses: Path) -> None:
    refused = {"device_id": "p-2", "outcome": "refused", "code": "invalid_name", "detail": "no"}
    ran = fleetlog("devices", "bulk", "shop", str(presses), api={CALL: {"results": [registered("p-1"), refused]}})
    assert ran.status == Exit.FAILED
    assert ran.out.startswith("1 created, 1 refused;")
    assert "1 of 2 devices were refused" in ran.err
