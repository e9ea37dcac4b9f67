"""How commands end: exit statuses, and failures as people and scripts read them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from cli.exits import MEANINGS, Exit
from tests.support.cli import problem

if TYPE_CHECKING:
    from tests.support.cli import CommandLine

SHOW = "GET /products/shop/devices/freezer"


@pytest.mark.parametrize(
    ("status", "code", "ends"),
    [
        (400, "invalid_name", Exit.FAILED),
        (401, "unauthorized", Exit.FAILED),
        (403, "forbidden", Exit.FAILED),
        (404, "unknown_device", Exit.NOT_FOUND),
        (409, "version_conflict", Exit.CONFLICT),
        (412, "version_conflict", Exit.CONFLICT),
        (422, "invalid_request", Exit.FAILED),
        (429, "rate_limited", Exit.UNAVAILABLE),
        (500, "internal_error", Exit.FAILED),
        (503, "no_answer", Exit.UNAVAILABLE),
        (504, "rpc_timed_out", Exit.UNAVAILABLE),
    ],
)
def test_a_refusal_of_the_api_is_an_exit_status(fleetlog: CommandLine, status: int, code: str, ends: Exit) -> None:
    ran = fleetlog("devices", "show", "shop/freezer", api={SHOW: problem(status, code, "no")})
    assert (ran.status, ran.out) == (ends, "")
    assert code in ran.err


def test_a_problem_is_one_block(fleetlog: CommandLine) -> None:
    answer = problem(
        409,
        "version_conflict",
        "the document is at version 9",
        advice="look at it and decide anew",
        current={"version": 9},
        request_id="r-1",
    )
    ran = fleetlog("devices", "show", "shop/freezer", api={SHOW: answer})
    assert ran.err.splitlines() == [
        "error: the document is at version 9",
        "  code        version_conflict",
        "  request_id  r-1",
        "  advice      look at it and decide anew",
    ]


def test_each_field_at_fault_is_named(fleetlog: CommandLine) -> None:
    errors = [{"field": "tags[0]", "source": "body", "detail": "does not match"}]
    answer = problem(422, "invalid_request", "the request does not fit", errors=errors)
    ran = fleetlog("devices", "show", "shop/freezer", api={SHOW: answer})
    assert ran.err.splitlines()[:2] == ["error: the request does not fit", "  tags[0]: does not match"]
    alone = problem(422, "invalid_request", "tags[0]: does not match", errors=errors)
    ran = fleetlog("devices", "show", "shop/freezer", api={SHOW: alone})
    assert ran.err.count("does not match") == 1, "said once"


def test_scripts_get_the_problem_as_json(fleetlog: CommandLine) -> None:
    answer = problem(409, "version_conflict", "no", advice="look", current={"version": 9})
    ran = fleetlog("devices", "show", "shop/freezer", "--json", api={SHOW: answer})
    assert json.loads(ran.err) == {
        "error": "no",
        "code": "version_conflict",
        "advice": "look",
        "current": {"version": 9},
    }


def test_an_error_that_is_no_problem_document_is_told_all_the_same(fleetlog: CommandLine) -> None:
    ran = fleetlog("devices", "show", "shop/freezer", api={SHOW: httpx.Response(502, text="<html>")})
    assert ran.status == Exit.UNAVAILABLE
    assert "answered 502" in ran.err


def test_nobody_listens(fleetlog: CommandLine) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused", request=request)

    ran = fleetlog("devices", "show", "shop/freezer", api={SHOW: refuse})
    assert ran.status == Exit.UNAVAILABLE
    assert ran.err.splitlines()[0] == "error: the API at http://hub.example cannot be reached: Connection refused"


@pytest.mark.parametrize(
    "command",
    [
        "nonsense",
        "devices show freezer",
        "devices show shop/",
        "devices show shop/a/b",
        "devices show shop/a#b",
        "devices register shop+",
        "tags add shop/freezer",
        "tags add shop/freezer a/b",
        "products set shop",
        "products set shop --acl read:x",
        "products set shop --command-ttl soon",
        "presence at shop/freezer yesterday",
        "presence batch shop",
        "keys issue reader",
        "keys issue reader --scope all",
        "keys revoke nothing --yes",
        "tail device.telemetry --from nowhere",
        "devices list shop --limit 0",
    ],
)
def test_a_wrong_command_line_asks_nobody(fleetlog: CommandLine, command: str) -> None:
    ran = fleetlog(*command.split())
    assert (ran.status, ran.out) == (Exit.USAGE, ""), ran.err
    assert ran.err
    assert fleetlog.api.asked == []


@pytest.mark.parametrize("command", ["devices delete shop/freezer", "products delete shop", "keys revoke aaaaaaaaaaaa"])
def test_what_cannot_be_undone_is_not_done_where_nobody_can_be_asked(fleetlog: CommandLine, command: str) -> None:
    ran = fleetlog(*command.split())
    assert ran.status == Exit.USAGE
    assert "--yes" in ran.err
    assert fleetlog.api.asked == []


def test_on_a_terminal_somebody_is_asked(fleetlog: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["n\n", "y\n"])

    class Terminal:
        @staticmethod
        def isatty() -> bool:
            return True

        @staticmethod
        def readline(*_: Any) -> str:
            return next(answers)

    monkeypatch.setattr("sys.stdin", Terminal())
    api = {"DELETE /products/shop": httpx.Response(204)}
    assert fleetlog("products", "delete", "shop", api=api).status == Exit.FAILED
    assert fleetlog.api.asked == []
    ran = fleetlog("products", "delete", "shop", api=api)
    assert (ran.status, ran.out.strip()) == (Exit.OK, "product shop is deleted")


def test_without_an_address_it_says_where_one_comes_from(fleetlog: CommandLine) -> None:
    fleetlog.environ.clear()
    ran = fleetlog("products", "list")
    assert ran.status == Exit.USAGE
    assert "FLEETLOG_API_URL" in ran.err


def test_a_wrong_setting_is_named(fleetlog: CommandLine) -> None:
    fleetlog.environ["FLEETLOG_KAFKA_BOOTSTRAP"] = "nowhere"
    ran = fleetlog("topics", "diff")
    assert ran.status == Exit.USAGE
    assert "FLEETLOG_KAFKA_BOOTSTRAP" in ran.err


def test_variables_of_services_do_not_matter(fleetlog: CommandLine) -> None:
    fleetlog.environ["FLEETLOG_LANE_DATA_DIR"] = "/var/lib"
    assert fleetlog("products", "list", api={"GET /products": {"items": []}}).status == Exit.OK


def test_an_unknown_topic_is_not_found(fleetlog: CommandLine) -> None:
    assert fleetlog("tail", "no.such").status == Exit.NOT_FOUND
    assert fleetlog("topics", "show", "no.such").status == Exit.NOT_FOUND


def test_every_status_is_documented(fleetlog: CommandLine) -> None:
    assert MEANINGS.keys() == set(Exit)
    told = fleetlog("--help").out
    assert all(meaning in told for meaning in MEANINGS.values())


def test_an_answer_that_is_no_json_is_of_another_server(fleetlog: CommandLine) -> None:
    ran = fleetlog("devices", "show", "shop/freezer", api={SHOW: httpx.Response(200, content=b"<h1>\xff</h1>")})
    assert (ran.status, ran.out) == (Exit.FAILED, "")
    assert "not_the_api" in ran.err


def test_a_key_that_cannot_be_one_is_a_wrong_setting(fleetlog: CommandLine) -> None:
    fleetlog.environ["FLEETLOG_API_KEY"] = "fl_schlüssel"
    ran = fleetlog("devices", "show", "shop/freezer")
    assert ran.status == Exit.USAGE
    assert "FLEETLOG_API_KEY" in ran.err
    assert "schlüssel" not in ran.err
