from __future__ import annotations

import json
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.topics import catalog, examples
from libs.topics.codec import encode
from libs.topics.messages.presence import PresenceChanged
from libs.topics.messages.registry_events import DeviceDeleted
from libs.topics.messages.telemetry import DeviceMessageSent
from libs.topics.topic import FOREVER
from services.timeseries.records import OVERHEAD, Rows
from services.timeseries.rows import MAKERS, PresenceRows, RegistryRows, TelemetryRows
from services.timeseries.tables import TABLES
from tests.unit.timeseries.fakes import NOW, Fake, uploaded

MIGRATIONS = Path(__file__).parents[3] / "services/timeseries/migrations"


def written(rows: Rows[Any]) -> dict[str, list[dict[str, Any]]]:
    """Rows by table, each by column name."""
    return {
        table.name: [
            dict(zip((name for name, _ in table.columns), row, strict=True)) for row in zip(*columns, strict=True)
        ]
        for table, columns in rows.tables()
    }


def telemetry(*records: Fake) -> TelemetryRows:
    rows = TelemetryRows("device.telemetry", 3)
    for record in records:
        rows.add(record)
    return rows


def test_an_upload_becomes_a_raw_event_and_its_metrics() -> None:
    tables = written(telemetry(uploaded(40, b'{"t": 21.5, "ok":true,"state":"open"}')))
    place = {"topic": "device.telemetry", "partition": 3, "offset": 40}
    owner = {"product_id": "p1", "device_id": "d1", "data_type": "weather"}
    assert tables["raw_events"] == [
        {
            **place,
            **owner,
            "type": "data_uploaded",
            "to_device_id": "",
            "message_id": "m40",
            "encoding": "json",
            "payload": b'{"t": 21.5, "ok":true,"state":"open"}',
            "received_at": NOW,
            "device_at": None,
        }
    ]
    assert tables["metrics"] == [
        {**owner, "key": "t", "ts": NOW, "value": 21.5, **place},
        {**owner, "key": "ok", "ts": NOW, "value": True, **place},
    ]
    assert tables["metric_strings"] == [{**owner, "key": "state", "ts": NOW, "value": "open", **place}]


def test_a_message_to_another_device_is_kept_but_gives_no_metrics() -> None:
    event = DeviceMessageSent("p1", "d1", "d2", "m1", 7, "json", msgspec.Raw(b'{"t":1}'), NOW)
    tables = written(telemetry(Fake(0, encode(event))))
    assert [(row["type"], row["to_device_id"], row["data_type"]) for row in tables["raw_events"]] == [
        ("device_message_sent", "d2", "")
    ]
    assert tables["metrics"] == tables["metric_strings"] == []


def test_bytes_that_are_no_json_are_kept_as_base64_without_quotes() -> None:
    text = b64encode(b"\x00\xff")
    tables = written(telemetry(uploaded(0, b'"' + text + b'"', encoding="base64")))
    assert [(row["encoding"], row["payload"]) for row in tables["raw_events"]] == [("base64", text)]
    assert tables["metrics"] == []


@pytest.mark.parametrize(
    "broken",
    [
        b"not json",
        b"",
        None,
        b'{"type":"data_uploaded"}',
        b'{"no":"type"}',
        uploaded(0, b'{"not":"text"}', encoding="base64").content,
        uploaded(0, received_at=-1).content,
        uploaded(0, received_at=NOW * 1000).content,
    ],
)
def test_a_broken_record_becomes_one_dead_letter_and_no_row(broken: bytes | None) -> None:
    rows = telemetry(Fake(8, broken, b"\xffkey"), uploaded(9))
    [letter] = rows.dead_letters
    assert (letter.service, letter.reason, letter.origin) == (
        "timeseries", "invalid_message", "kafka:device.telemetry-3-8",
    )  # fmt: skip
    assert b64decode(letter.payload) == (broken or b"")
    assert letter.key is not None
    assert b64decode(letter.key) == b"\xffkey"
    assert letter.received_at == NOW + 5
    assert [row["offset"] for row in written(rows)["raw_events"]] == [9]
    assert [row["offset"] for row in written(rows)["metrics"]] == [9]


def test_the_same_record_gives_the_same_dead_letter() -> None:
    first, again = (telemetry(Fake(8, b"{", None)).dead_letters for _ in range(2))
    assert [encode(letter) for letter in first] == [encode(letter) for letter in again]


def test_an_unknown_kind_is_counted_and_skipped() -> None:
    rows = telemetry(Fake(0, b'{"type":"firmware_dreamt"}'), uploaded(1))
    assert (rows.unknown, rows.dead_letters, rows.offsets) == (1, [], [1])


def test_size_counts_rows_of_all_tables_and_bytes_count_every_record() -> None:
    records = [uploaded(0, b'{"a":1,"b":"x"}'), uploaded(1, b"null"), Fake(2, b"{"), Fake(3, None)]
    rows = telemetry(*records)
    assert rows.size == sum(len(table) for table in written(rows).values()) == 4
    assert rows.bytes == sum(OVERHEAD + len(record.content or b"") for record in records)


def test_metrics_have_the_time_that_the_device_gave_and_the_raw_event_has_both() -> None:
    hour = 60 * 60 * 1000
    said = [NOW - 5, NOW - 2 * hour, 42, "noon"]
    rows = telemetry(*(uploaded(n, json.dumps({"ts": ts, "t": 1, "s": "x"}).encode()) for n, ts in enumerate(said)))
    tables = written(rows)
    assert [row["received_at"] for row in tables["raw_events"]] == [NOW] * 4
    assert [row["device_at"] for row in tables["raw_events"]] == [NOW - 5, NOW - 2 * hour, 42_000, None]
    assert [(row["offset"], row["key"], row["ts"]) for row in tables["metrics"]] == [
        (0, "t", NOW - 5),
        (1, "t", NOW - 2 * hour),
        (2, "ts", NOW),
        (2, "t", NOW),
        (3, "t", NOW),
    ]
    assert [(row["offset"], row["key"], row["ts"]) for row in tables["metric_strings"]] == [
        (0, "s", NOW - 5),
        (1, "s", NOW - 2 * hour),
        (2, "s", NOW),
        (3, "ts", NOW),
        (3, "s", NOW),
    ]
    assert rows.clocks == {"late": 1, "ancient": 1, "not_a_time": 1}


@pytest.mark.parametrize(("table", "days"), [("raw_events", 90), ("metrics", 400), ("metric_strings", 400)])
def test_rows_older_than_their_table_keeps_them_are_counted_by_table(table: str, days: int) -> None:
    """By the second, as ClickHouse counts: a row of this very second, so many days ago, is dropped."""
    second = NOW // 1000 * 1000 - days * 24 * 60 * 60 * 1000
    times = (second - 1, second + 999, second + 1000)
    rows = telemetry(*(uploaded(n, b'{"t":1,"s":"x"}', received_at=time) for n, time in enumerate(times)))
    assert {t.name: t.expired(columns, NOW) for t, columns in rows.tables()}[table] == 2
    assert [t.expired(columns, NOW) for t, columns in telemetry(uploaded(0)).tables()] == [0, 0, 0]
    assert [t.expired(columns, NOW) for t, columns in telemetry().tables()] == [0, 0, 0]


def changed(**fields: Any) -> bytes:
    event = PresenceChanged(
        id="presence.inbox-0-7-0",
        product_id="p1",
        device_id="d1",
        old="offline",
        new="online",
        cause="connected",
        reason=None,
        client_id="p1/d1",
        channel_id="c1",
        previous_channel_id=None,
        source="mosquitto:main",
        at=NOW,
        observed_at=NOW + 3,
        since=NOW - 5,
    )
    return encode(msgspec.structs.replace(event, **fields))


def test_a_transition_becomes_a_row() -> None:
    rows = PresenceRows("presence.transitions", 1)
    rows.add(Fake(5, changed()))
    rows.add(Fake(6, changed(new="offline", reason="timeout", channel_id=None, previous_channel_id="c1", since=None)))
    [(_, columns)] = rows.tables()
    first, second = written(rows)["presence_transitions"]
    assert len(columns) == len(first)
    assert (first["new"], first["reason"], first["channel_id"], first["at"]) == ("online", "", "c1", NOW)
    assert (second["offset"], second["reason"], second["previous_channel_id"]) == (6, "timeout", "c1")
    assert (first["since"], second["since"]) == (NOW - 5, None)


@pytest.mark.parametrize("field", ["at", "observed_at", "since"])
def test_a_transition_at_an_impossible_time_is_a_dead_letter(field: str) -> None:
    rows = PresenceRows("presence.transitions", 1)
    rows.add(Fake(5, changed(**{field: 10**15})))
    [letter] = rows.dead_letters
    assert field in letter.error
    assert rows.size == 0


def test_every_event_of_the_registry_is_one_row_with_all_that_it_says() -> None:
    values = [value for kind in catalog.get("registry.events").types for value in examples.values(kind).values()]
    rows = RegistryRows("registry.events", 1)
    for offset, value in enumerate(values):
        rows.add(Fake(offset, value))
    found = written(rows)["registry_events"]
    assert [row["event"] for row in found] == values
    for row in found:
        said = json.loads(row["event"])
        owners = ("product_id", "device_id", "key_id", "by")
        assert [row[name] for name in owners] == [said.get(name, "") for name in owners]
        assert (row["id"], row["type"], row["at"]) == (said["id"], said["type"], said["at"])
        assert row["version"] == said.get("version", 0)


def test_an_event_of_the_registry_at_an_impossible_time_is_a_dead_letter() -> None:
    rows = RegistryRows("registry.events", 1)
    rows.add(Fake(5, encode(DeviceDeleted("registry.inbox-1-5-0", "p1", "d1", 2, "ops", 10**15))))
    assert [letter.reason for letter in rows.dead_letters] == ["invalid_message"]
    assert rows.size == 0


@given(st.binary() | st.sampled_from([changed(), uploaded(0).content]))
def test_no_bytes_whatever_stop_the_sink(value: bytes) -> None:
    for topic, make in MAKERS.items():
        rows = make(topic, 0)
        rows.add(Fake(0, value))
        assert len(rows.events) + len(rows.dead_letters) + rows.unknown == 1
        assert all(len({len(column) for column in columns}) == 1 for _, columns in rows.tables())


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_retention_is_what_the_migrations_say(table: Any) -> None:
    sql = "".join(path.read_text() for path in sorted(MIGRATIONS.glob("*.sql")))
    definition = sql.split(f"CREATE TABLE IF NOT EXISTS {table.name} (")[1].split(";\n")[0]
    if table.retention_ms == FOREVER:
        assert "TTL" not in definition
    else:
        assert f"INTERVAL {table.retention_ms // (24 * 60 * 60 * 1000)} DAY" in definition


def test_rows_are_made_of_every_topic_that_the_catalog_gives_to_the_sink() -> None:
    given = {topic.name: topic.stage for topic in catalog.TOPICS if "timeseries" in topic.consumers}
    assert {name for name, stage in given.items() if stage == "live"} <= MAKERS.keys() <= given.keys()
