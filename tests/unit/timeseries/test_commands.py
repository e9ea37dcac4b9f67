"""Commands' events as rows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.topics import catalog, examples
from libs.topics.codec import encode
from libs.topics.messages.command_events import FanOutStarted, ProbeConcluded
from services.timeseries.commands import STATES, CommandRows
from tests.support.command_log import STEPS, CommandLog
from tests.unit.timeseries.fakes import NOW, Fake

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from libs.topics.messages.base import Message

MIGRATION = Path(__file__).parents[3] / "services/timeseries/migrations/0010_commands.sql"
NONE_YET = dict.fromkeys(("sent_at", "delivered_at", "ended_at", "rtt_ms", "late_at"))
SILENCE = (0, "", "", b"")


def rows_of(events: Iterable[Message | bytes]) -> CommandRows:
    rows = CommandRows("commands.events", 3)
    for offset, event in enumerate(events):
        rows.add(Fake(offset, event if isinstance(event, bytes) else encode(event)))
    return rows


def written(rows: CommandRows) -> dict[str, list[dict[str, Any]]]:
    """Rows by table, each as column to value."""
    return {
        table.name: [
            dict(zip((name for name, _ in table.columns), row, strict=True)) for row in zip(*columns, strict=True)
        ]
        for table, columns in rows.tables()
    }


def log(device: str = "d1", request: str = "r1", **how: Any) -> CommandLog:
    return CommandLog("p1", device, request, NOW, **how)


def test_every_event_of_the_catalog_is_one_row_with_what_it_says() -> None:
    values = [value for kind in catalog.get("commands.events").types for value in examples.values(kind).values()]
    rows = rows_of(values)
    assert (rows.dead_letters, rows.unknown) == ([], 0)
    tables = written(rows)
    found = {row["offset"]: row for name in ("command_events", "probes", "fanouts") for row in tables[name]}
    assert sorted(found) == list(range(len(values)))
    for offset, value in enumerate(values):
        said, row = json.loads(value), found[offset]
        assert (row["topic"], row["partition"], row["id"], row["at"]) == ("commands.events", 3, said["id"], said["at"])
        for name in row.keys() & said.keys() - {"partition"}:
            assert row[name] == said[name], name
        if said["type"] == "command_ended":
            assert row["state"] == said["outcome"]
        elif said["type"] == "probe_concluded":
            assert row["rtt_ms"] == said["round_trip_ms"]
        elif said["type"] == "fan_out_started":
            assert row["answered_by"] == said["partition"]
    assert {row["event"] for row in tables["command_events"]} < set(values)


def test_what_a_block_says_of_a_command_is_added_up() -> None:
    one = log(command="read", mode="rpc")
    one.send(NOW + 10)
    one.deliver(NOW + 20)
    one.reply(NOW + 95, {"temp": 12.8})
    [row] = written(rows_of(one.events))["commands"]
    assert row == {
        "product_id": "p1",
        "device_id": "d1",
        "request_id": "r1",
        "fanout_id": "",
        "mode": "rpc",
        "command": "read",
        "by": "ops",
        "state": "replied",
        "attempts": 1,
        "accepted_at": NOW,
        "expires_at": NOW + 3_600_000,
        "sent_at": NOW + 10,
        "delivered_at": NOW + 20,
        "ended_at": NOW + 95,
        "reason": "",
        "rtt_ms": 85,
        "reply": (NOW + 95, "m3", "json", b'{"temp":12.8}'),
        "late_at": None,
        "late_reply": SILENCE,
        "at": NOW + 95,
    }


def test_a_block_without_the_beginning_says_only_what_it_knows() -> None:
    one = log()
    one.send(NOW + 10)
    one.end(NOW + 50, "expired", "too late")
    one.reply_late(NOW + 60, 1)
    one.reply_late(NOW + 70, 2)
    rows = [written(rows_of([event]))["commands"][0] for event in one.events[1:]]
    assert {(row["command"], row["accepted_at"], row["reply"]) for row in rows} == {("", None, SILENCE)}
    assert [row["state"] for row in rows] == ["sent", "expired", "accepted", "accepted"]
    assert [row["reason"] for row in rows] == ["", "too late", "", ""]
    assert [(row["late_at"], row["late_reply"]) for row in rows[2:]] == [
        (NOW + 60, (NOW + 60, "m3", "json", b"1")),
        (NOW + 70, (NOW + 70, "m4", "json", b"2")),
    ]
    assert {name: rows[0][name] for name in NONE_YET} == NONE_YET | {"sent_at": NOW + 10}


def test_commands_of_devices_are_told_apart_also_where_a_fan_out_gave_them_one_id() -> None:
    logs = [log(device, "f-1", fanout=True) for device in ("d1", "d2")]
    logs[0].queue(NOW + 1)
    found = written(rows_of([event for one in logs for event in one.events]))["commands"]
    assert [(row["device_id"], row["fanout_id"], row["state"]) for row in found] == [
        ("d1", "f-1", "queued"),
        ("d2", "f-1", "accepted"),
    ]


def test_a_reply_is_kept_as_its_event_has_it() -> None:
    one = log()
    event = msgspec.structs.replace(one.reply(NOW), encoding="base64", payload=msgspec.Raw(b'"b3Blbg=="'))
    [row] = written(rows_of([event]))["commands"]
    assert row["reply"] == (NOW, "m1", "base64", b'"b3Blbg=="')


def test_the_table_has_the_states_in_their_order() -> None:
    _, listed = MIGRATION.read_text().split("Enum8(")
    assert tuple(re.findall(r"'(\w+)' = \d+", listed.split(")")[0])) == STATES


LATE = 10**15
ACCEPTED, SENT, REPLIED, ENDED = (
    (one := log()).events[0], one.send(NOW), one.reply(NOW), one.end(NOW, "failed")
)  # fmt: skip
PROBE = ProbeConcluded("i", "p1", "d1", "7", "strict", "reachable", 1, 38, altered=False, at=NOW)
FANOUT = FanOutStarted("i", "f-1", "p1", "line-3", 7, 5, 2, 1, 1, 1, NOW)


@pytest.mark.parametrize(
    ("event", "field", "value"),
    [
        *((event, "at", LATE) for event in (ACCEPTED, SENT, REPLIED, ENDED, PROBE, FANOUT)),
        (ACCEPTED, "expires_at", LATE),
        *((SENT, "attempt", value) for value in (-1, 1 << 32)),
        *((REPLIED, "rtt_ms", value) for value in (-1, 1 << 63)),
        *((PROBE, "attempts", value) for value in (-1, 1 << 32)),
        (PROBE, "round_trip_ms", -1),
        *((FANOUT, name, -1) for name in ("members", "accepted", "queued", "refused", "rejected", "partition")),
        (FANOUT, "partition", 1 << 16),
    ],
)
def test_what_no_column_can_hold_is_a_dead_letter(event: Message, field: str, value: Any) -> None:
    rows = rows_of([msgspec.structs.replace(event, **{field: value})])
    [letter] = rows.dead_letters
    assert field in letter.error
    assert (rows.size, rows.offsets) == (0, [])


def test_a_kind_of_tomorrow_is_counted_and_skipped() -> None:
    rows = rows_of([b'{"type":"command_dreamt"}', PROBE])
    assert (rows.unknown, rows.dead_letters, rows.offsets) == (1, [], [1])


@given(
    st.lists(st.lists(st.sampled_from(STEPS), max_size=8), min_size=1, max_size=4), st.randoms(use_true_random=False)
)
def test_order_and_repetition_change_nothing(lives: list[list[str]], chance: random.Random) -> None:
    events = [event for n, chosen in enumerate(lives) for event in log(request=f"r{n}").live(chosen).events]
    rows = rows_of(events)
    tables = written(rows)
    assert rows.size == sum(map(len, tables.values()))
    wanted = {row["request_id"]: row for row in tables["commands"]}
    mixed = [*events, *chance.sample(events, chance.randrange(len(events) + 1))]
    chance.shuffle(mixed)
    assert {row["request_id"]: row for row in written(rows_of(mixed))["commands"]} == wanted
