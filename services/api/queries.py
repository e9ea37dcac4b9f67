"""Questions to ClickHouse about the past. Pure: statements with parameters, which the server binds.

No value of a caller is ever written into a statement. Every question names its product.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec

from libs.topics.messages.base import Millis

from .moments import stored

Place: TypeAlias = tuple[Millis, int, int]
"""(time, partition, offset): where a page ended."""

POINTS: Final = 10_000
"""Of one series at most."""


class Question(msgspec.Struct, frozen=True):
    statement: str
    parameters: dict[str, Any]


class About(msgspec.Struct, frozen=True):
    """Whose past is asked for, and which part of it."""

    product_id: str
    device_id: str
    since: Millis
    to: Millis
    """Not included."""

    def parameters(self, **more: Any) -> dict[str, Any]:
        own = {"product": self.product_id, "device": self.device_id}
        return {**own, "since": stored(self.since), "to": stored(self.to), **more}


OWN: Final = "product_id = {product:String} AND device_id = {device:String}"
DURING: Final = "{since:DateTime64(3, 'UTC')} <= %s AND %s < {to:DateTime64(3, 'UTC')}"
BEFORE: Final = (
    "(toUnixTimestamp64Milli(%s), toInt64(partition), toInt64(offset)) < "
    "({last_at:Int64}, {last_partition:Int64}, {last_offset:Int64})"
)

AT_LAST: Final = "%s = fromUnixTimestamp64Milli({last_at:Int64}, 'UTC')"
TOLD: Final = (
    f"{AT_LAST} AND (toInt64(partition), toInt64(offset)) >= ({{last_partition:Int64}}, {{last_offset:Int64}})"
)
"""What was on the pages before, as far as it may come again: a repetition has the same time, and another offset."""


def presence_at(product_id: str, device_id: str, at: Millis) -> Question:
    """Ask for a device's session at a moment: (state, since), or no row."""
    select = "SELECT state, toUnixTimestamp64Milli(since) FROM presence_at(moment = {moment:DateTime64(3, 'UTC')})"
    parameters = {"product": product_id, "device": device_id, "moment": stored(at)}
    return Question(f"{select} WHERE {OWN}", parameters)


def transitions(about: About, before: Place | None, limit: int) -> Question:
    """Ask for a device's transitions, the newest first; one that a crash made the hub repeat is told once."""
    select = (
        "SELECT id, old, new, cause, reason, client_id, channel_id, previous_channel_id, source, "
        "toUnixTimestamp64Milli(at), toUnixTimestamp64Milli(observed_at), "
        "toUnixTimestamp64Milli(coalesce(since, at)), partition, offset FROM presence_transitions"
    )
    return page(select, "at", about.parameters(limit=limit), before, once_of="presence_transitions")


def events(about: About, data_type: str | None, before: Place | None, limit: int) -> Question:
    """Ask for what a device has sent, the newest first."""
    select = (
        "SELECT type, data_type, to_device_id, message_id, encoding, payload, toUnixTimestamp64Milli(received_at), "
        "toUnixTimestamp64Milli(device_at), partition, offset FROM raw_events"
    )
    parameters = about.parameters(limit=limit)
    if data_type is None:
        return page(select, "received_at", parameters, before)
    parameters["data_type"] = data_type
    return page(select, "received_at", parameters, before, more=" AND data_type = {data_type:String}")


def page(
    select: str, time: str, parameters: dict[str, Any], before: Place | None, *, more: str = "", once_of: str = ""
) -> Question:
    """Ask for a page of a device's rows, the newest first. ``time``: the column that orders them.

    ``once_of``: the table, where a row that was repeated after a crash is to be told once.
    """
    once = " LIMIT 1 BY id" if once_of else ""
    if before is not None:
        more += f" AND {BEFORE % time}"
        if once_of:
            told = f"SELECT id FROM {once_of} WHERE {OWN} AND {TOLD % time}"  # noqa: S608 - a table of ours
            more += f" AND NOT ({AT_LAST % time} AND id IN ({told}))"
        parameters = {**parameters, **dict(zip(("last_at", "last_partition", "last_offset"), before, strict=True))}
    order = f"{time} DESC, partition DESC, offset DESC"
    where = f"{OWN} AND {DURING % (time, time)}{more}"
    return Question(f"{select} WHERE {where} ORDER BY {order}{once} LIMIT {{limit:UInt32}}", parameters)


SERIES: Final = f"FROM metrics WHERE {OWN} AND key = {{key:String}} AND {DURING % ('ts', 'ts')}"


def points(about: About, key: str, limit: int) -> Question:
    """Ask for the single values of a series, the oldest first: (moment, value)."""
    return Question(
        f"SELECT toUnixTimestamp64Milli(ts), value {SERIES} ORDER BY ts, partition, offset LIMIT {{limit:UInt32}}",
        about.parameters(key=key, limit=limit),
    )


def steps(about: About, key: str, limit: int, step: int) -> Question:
    """Ask for a series in steps of so many seconds, those without values left out: (moment, mean, min, max, count)."""
    return Question(
        "SELECT intDiv(toUnixTimestamp64Milli(ts), {step:Int64}) * {step:Int64} AS moment, avg(value), min(value), "
        f"max(value), count() {SERIES} GROUP BY moment ORDER BY moment LIMIT {{limit:UInt32}}",
        about.parameters(key=key, limit=limit, step=step * 1000),
    )
