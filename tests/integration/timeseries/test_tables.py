"""What the sink sends fits what the migrations make, and the views answer."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from libs.topics import names
from libs.topics.topic import FOREVER
from services.timeseries.table import TIME, Columns, Table
from services.timeseries.tables import PRESENCE_TRANSITIONS, RAW_EVENTS, TABLES
from tests.support import stored
from tests.support.command_log import CommandLog
from tests.support.names import unique
from tests.support.polling import eventually
from tests.support.presence.hub import Hub
from tests.support.presence.observations import observed, renewed, tick
from tests.support.presence.world import T0

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clickhouse_connect.driver.client import Client


NOW = datetime.now(UTC).replace(microsecond=0)
ANEW = [table for table in TABLES if table.name.startswith(("shadow_", "status_"))]
"""Tables whose topic Kafka keeps for ever."""


def millis(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def absent(name: str, kind: str) -> Any:
    """What a column has where nothing is told."""
    if kind.startswith("Nullable("):
        return None
    if kind.startswith("Tuple("):
        return (0, "", "", "")
    if kind == "String":
        return "accepted" if name == "state" else ""
    return {"Array(String)": [], "Float64": 0.0}.get(kind, 0)


def insert(client: Client, table: Table, rows: list[dict[str, Any]], token: str = "") -> None:
    """Insert rows; columns that are not given are empty."""
    client.insert(
        table.name,
        [[row.get(name, absent(name, kind)) for name, kind in table.columns] for row in rows],
        column_names=[name for name, _ in table.columns],
        column_type_names=[kind for _, kind in table.columns],
        settings={"insert_deduplication_token": token or unique("token")},
    )


def plain(kind: str) -> str:
    """The kind of value that a column holds, however it is kept and added up."""
    kind = re.sub(r"SimpleAggregateFunction\(\w+, (.*)\)", r"\1", kind)
    kind = re.sub(r"LowCardinality\((.*)\)", r"\1", kind)
    return "String" if kind.startswith("Enum8(") else kind


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_column_is_sent_as_the_table_has_it(client: Client, table: Table) -> None:
    described = client.query(f"DESCRIBE TABLE {table.name}").result_rows
    sent = [(name, kind) for name, kind, default, *_ in described if not default]
    assert [(name, plain(kind)) for name, kind in sent] == list(table.columns)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_rows_under_a_known_token_are_not_taken_again(client: Client, table: Table) -> None:
    time = {name: millis(NOW) for name, kind in table.columns if kind.startswith("DateTime64")}
    product = unique("p")
    for _ in range(3):
        insert(client, table, [{"product_id": product, **time}], token=product)
    found = client.query(f"SELECT count() FROM {table.name} WHERE product_id = '{product}'").result_rows
    assert found == [(1,)]


@pytest.mark.parametrize("table", ANEW, ids=lambda table: table.name)
def test_rows_under_a_known_token_are_taken_once_more_after_the_table_was_emptied(client: Client, table: Table) -> None:
    """So that an operator can have it made again from Kafka: blocks may begin and end where they did before."""
    time = {name: millis(NOW) for name, kind in table.columns if kind.startswith("DateTime64")}
    product = unique("p")
    insert(client, table, [{"product_id": product, **time}], token=product)
    client.command(f"TRUNCATE TABLE {table.name}")
    for _ in range(2):
        insert(client, table, [{"product_id": product, **time}], token=product)
    assert client.query(f"SELECT product_id FROM {table.name}").result_rows == [(product,)]


AGEING = [table for table in TABLES if table.retention_ms != FOREVER]


@pytest.mark.parametrize("table", AGEING, ids=lambda table: table.name)
def test_rows_that_count_as_expired_are_those_that_the_table_drops(client: Client, table: Table) -> None:
    product, kept_for = unique("p"), timedelta(milliseconds=table.retention_ms)
    ages = (timedelta(0), kept_for - timedelta(hours=1), kept_for + timedelta(hours=1), 2 * kept_for)
    others: dict[str, Any] = {name: millis(NOW) for name, kind in table.columns if kind == TIME}
    keys = [dict.fromkeys(("patch_id", "request_id", "fanout_id"), f"k{n}") for n in range(len(ages))]
    rows = [
        others | {"product_id": product} | key | {table.time: millis(NOW - age)}
        for key, age in zip(keys, ages, strict=True)
    ]
    insert(client, table, rows)
    columns: Columns = [[row.get(name) for row in rows] for name, _ in table.columns]
    client.command(f"OPTIMIZE TABLE {table.name} FINAL")
    found = client.query(
        f"SELECT toUnixTimestamp64Milli({table.time}) AS time FROM {table.name} WHERE product_id = '{product}' "
        "ORDER BY time DESC"
    ).result_rows
    assert found == [(millis(NOW - age),) for age in ages[:2]]
    assert table.expired(columns, millis(NOW)) == len(ages) - len(found)


def test_devices_messages_that_arrived_twice_are_marked(client: Client) -> None:
    product = unique("p")
    seen = [("m1", 0), ("m2", 1), ("m1", 2), ("m1", 3)]
    event = {"type": "data_uploaded", "product_id": product, "device_id": "d1", "data_type": "t"}
    rows = [event | {"message_id": m, "received_at": millis(NOW + timedelta(seconds=s))} for m, s in seen]
    insert(client, RAW_EVENTS, [*rows, rows[1] | {"data_type": "other"}, rows[1] | {"type": "device_message_sent"}])
    found = client.query(
        "SELECT message_id, arrivals, last_received_at - first_received_at FROM telemetry_duplicates "
        f"WHERE product_id = '{product}'"
    ).result_rows
    assert [(message, arrivals, float(seconds)) for message, arrivals, seconds in found] == [("m1", 3, 3.0)]


def at(client: Client, product: str, moment: datetime) -> dict[str, tuple[str, str]]:
    """State and channel by device."""
    found = client.query(
        "SELECT device_id, state, channel_id FROM presence_at(moment = {moment:DateTime64(3, 'UTC')}) "
        f"WHERE product_id = '{product}'",
        parameters={"moment": moment},
    )
    return {device: (state, channel) for device, state, channel in found.result_rows}


def test_presence_can_be_asked_for_any_moment(client: Client) -> None:
    product = unique("p")
    history = [
        ("d1", 0, "online"),
        ("d1", 10, "offline"),
        ("d1", 20, "online"),
        ("d2", 5, "online"),
        ("d2", 5, "offline"),
    ]
    insert(
        client,
        PRESENCE_TRANSITIONS,
        [
            {"product_id": product, "device_id": d, "at": millis(NOW + timedelta(seconds=s)), "new": new, "offset": n}
            for n, (d, s, new) in enumerate(history)
        ],
    )

    def online(second: int) -> list[str]:
        found = at(client, product, NOW + timedelta(seconds=second))
        return sorted(device for device, (state, _) in found.items() if state == "online")

    assert [online(second) for second in (-1, 0, 5, 9, 10, 19, 20)] == [[], ["d1"], ["d1"], ["d1"], [], [], ["d1"]]


def test_the_past_is_told_as_it_is_known_now(client: Client) -> None:
    """The source's lease ends at 30 s. What it had not told by then is told from 100 s on, before the renewal."""
    product, base = unique("p"), millis(NOW)
    hub = Hub()
    for event in (
        observed("connect", 0, "stays"),
        observed("connect", 5, "lost", client="c2"),
        renewed(20, 30),
        tick(28),
        tick(32),
        observed("tcpclean", 25, "lost", client="c2"),
    ):
        hub.apply(event)
    store(client, hub, product, base)
    assert states(client, product, (-1, 0, 7, 29, 31, 90)) == {
        -1: None,
        0: ("online", "stays"),
        7: ("online", "lost"),
        29: ("online", "stays"),
        31: ("unknown", "stays"),
        90: ("unknown", "stays"),
    }
    for event in (observed("tcpclean", 40, "stays"), observed("connect", 50, "new"), renewed(105, 120)):
        hub.apply(event)
    store(client, hub, product, base)
    assert states(client, product, (-1, 0, 7, 29, 31, 90)) == {
        -1: None,
        0: ("online", "stays"),
        7: ("online", "lost"),
        29: ("online", "stays"),
        31: ("unknown", "stays"),
        90: ("online", "new"),
    }


def test_doubt_leaves_a_time_as_it_was_at_which_another_channel_was_open(client: Client) -> None:
    """Source a lapses at 30 s for good; by source b the device is online from 50 to 60 s."""
    product, hub = unique("p"), Hub()
    for event in (
        observed("connect", 0, "ch1", source="a"),
        renewed(20, 30, source="a"),
        tick(28),
        tick(32),
        observed("connect", 50, "ch2", client="c2", source="b"),
        observed("tcpclean", 60, "ch2", client="c2", source="b"),
    ):
        hub.apply(event)
    store(client, hub, product, millis(NOW))
    assert states(client, product, (29, 31, 55, 61)) == {
        29: ("online", "ch1"),
        31: ("unknown", "ch1"),
        55: ("online", "ch2"),
        61: ("unknown", "ch1"),
    }


def test_a_topic_that_was_made_anew_goes_on_where_the_old_one_ended(client: Client) -> None:
    """Its offsets begin at 0 again."""
    product = unique("p")

    def insert_one(second: int, new: str, offset: int) -> None:
        at = millis(NOW + timedelta(seconds=second))
        row = {"product_id": product, "device_id": "d1", "at": at, "new": new, "channel_id": new, "offset": offset}
        insert(client, PRESENCE_TRANSITIONS, [row])

    def a_millisecond_is_over() -> bool:
        found = client.query("SELECT max(stored_at) < now64(3) FROM presence_transitions").result_rows
        return bool(found[0][0])

    insert_one(0, "unknown", 1000)
    eventually(a_millisecond_is_over)
    insert_one(10, "online", 0)
    assert states(client, product, (9, 10)) == {9: ("unknown", "unknown"), 10: ("online", "online")}


def test_a_step_that_another_machine_saw_earlier_belongs_to_its_command_too(client: Client) -> None:
    """The broker, whose clock is ahead, sees the delivery before the downlink tells of the sending."""
    begin = millis(NOW) - 3_600_000
    log = CommandLog(unique("p"), "d1", "r1", begin)
    log.deliver(begin + 300_000)
    sent = log.send(begin + 1_000)
    stored.store(client, names.COMMANDS_EVENTS, log.events[:2])
    stored.store(client, names.COMMANDS_EVENTS, [sent], first=2)

    def attempts(after: int) -> list[tuple[int]]:
        since = (begin + after) / 1000
        sql = f"SELECT attempts FROM commands_since(since = {since}) WHERE product_id = '{log.product_id}'"
        return [tuple(row) for row in client.query(sql).result_rows]

    assert [attempts(after) for after in (0, 120_000, 300_000, 300_001)] == [[(1,)], [(1,)], [(1,)], []]


def store(client: Client, hub: Hub, product: str, base: int) -> None:
    """Store what a hub said under another product and time."""
    moved = [
        {
            **{name: getattr(one, name) or "" for name in ("old", "new", "cause", "channel_id", "previous_channel_id")},
            **{name: getattr(one, name) - T0 + base for name in ("at", "observed_at", "since")},
            "product_id": product,
            "device_id": "d1",
            "id": one.id,
            "offset": offset,
        }
        for offset, one in enumerate(hub.transitions)
    ]
    insert(client, PRESENCE_TRANSITIONS, moved)


def states(client: Client, product: str, seconds: Sequence[int]) -> dict[int, tuple[str, str] | None]:
    """State and channel of the one device at some seconds."""
    return {second: at(client, product, NOW + timedelta(seconds=second)).get("d1") for second in seconds}
