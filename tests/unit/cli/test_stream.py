"""Server-sent events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from cli.api import REOPENED
from cli.exits import Exit
from cli.stream import Event, events
from tests.support.cli import problem

if TYPE_CHECKING:
    from tests.support.cli import CommandLine

CHANGE = (
    '{"type":"presence_changed","product_id":"shop","device_id":"freezer","old":"offline","new":"online",'
    '"cause":"connected","at":1772362800123}'
)
WATCH = "GET /products/shop/stream"


def stream(text: str) -> httpx.Response:
    return httpx.Response(200, text=text, headers={"Content-Type": "text/event-stream"})


def test_fields_comments_and_several_lines_of_data() -> None:
    text = ": hello\n\nid: 0-7\nevent: change\ndata: {\ndata: }\nretry: 10\n\ndata:x\n\nid\n\ndata\n\ndata: cut short"
    assert list(events(text.split("\n"))) == [
        Event("{\n}", "change", "0-7"),
        Event("x", "message", "0-7"),
        Event("", "", ""),
        Event("", "message", ""),
    ]


def test_transitions_are_lines_for_people(fleetlog: CommandLine) -> None:
    answer = stream(f": hello\n\nid: 0-7\nevent: presence_changed\ndata: {CHANGE}\n\n")
    ran = fleetlog("presence", "watch", "shop", "--count", "1", api={WATCH: answer})
    assert (ran.status, ran.out) == (Exit.OK, "2026-03-01 11:00:00.123  shop/freezer  online   connected\n")
    assert fleetlog.api.asked[0].target == "/products/shop/stream?types=presence_changed"


def test_transitions_are_json_lines_with_the_place_to_go_on_from(fleetlog: CommandLine) -> None:
    answer = stream(f"id: 0-7\ndata: {CHANGE}\n\n")
    ran = fleetlog("presence", "watch", "shop", "--count", "1", "--json", api={WATCH: answer})
    assert ran.lines[0]["event_id"] == "0-7"
    assert ran.lines[0]["at"] == "2026-03-01T11:00:00.123Z"


def test_a_stream_that_ends_is_opened_again_behind_its_last_event(fleetlog: CommandLine) -> None:
    answers = [stream(f"id: 0-7\ndata: {CHANGE}\n\n"), stream(f"id: 0-8\ndata: {CHANGE}\n\n")]
    ran = fleetlog("presence", "watch", "shop", "--count", "2", "--after", "0-6", api={WATCH: answers})
    assert ran.status == Exit.OK
    assert [asked.headers["last-event-id"] for asked in fleetlog.api.asked] == ["0-6", "0-7"]


def test_a_stream_goes_on_where_it_said_it_was_and_waits_for_an_api_that_is_restarted(fleetlog: CommandLine) -> None:
    """What the API sends when it ends: a position of a quiet stream, and an event about the stream itself."""
    quiet = "retry: 1000\nid: 0-7\n\nid: 0-9\n\n"
    ended = 'event: ended\ndata: {"code":"stopping","detail":"this process of the API ends"}\n\n'
    back = stream(f"id: 0-10\ndata: {CHANGE}\n\n")
    answers = [stream(quiet + ended), problem(503, "unavailable", "not yet"), back]
    ran = fleetlog("presence", "watch", "shop", "--count", "1", api={WATCH: answers})
    assert (ran.status, ran.err, len(ran.out.splitlines())) == (Exit.OK, "", 1)
    assert [asked.headers.get("last-event-id") for asked in fleetlog.api.asked] == [None, "0-9", "0-9"]
    assert fleetlog.slept == [1.0, 1.0]


def test_a_gap_is_told_and_is_no_transition(fleetlog: CommandLine) -> None:
    gap = 'event: gap\ndata: {"topic":"presence.transitions","partition":0,"records":7}\nid: 0-6\n\n'
    answer = stream(f"{gap}id: 0-7\ndata: {CHANGE}\n\n")
    ran = fleetlog("presence", "watch", "shop", "--count", "1", "--json", api={WATCH: answer})
    assert (ran.status, [line["event_id"] for line in ran.lines]) == (Exit.OK, ["0-7"])
    assert "gone" in ran.err


def test_a_stream_that_breaks_says_how_to_go_on(fleetlog: CommandLine) -> None:
    answers = [stream(f"id: 0-7\ndata: {CHANGE}\n\n"), problem(503, "unavailable", "not now", advice="later")]
    ran = fleetlog("presence", "watch", "shop", api={WATCH: answers})
    assert ran.status == Exit.UNAVAILABLE
    assert len(fleetlog.slept) == REOPENED
    assert "go on with --after 0-7" in ran.err
