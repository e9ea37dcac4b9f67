"""Questions to ClickHouse about the past of commands. Pure, as `queries`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from .command_documents import Command, Reply
from .moments import stored
from .queries import DURING, OWN, Question, page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.topics.messages.base import Millis

    from .queries import About, Place

Cursor: TypeAlias = "tuple[Millis, str]"
"""When a command was accepted, and its request id: where a page ended."""
LEDGER: Final = "command_ledger"
"""One row for each command, as it is by now."""
COLUMNS: Final = (
    "product_id, device_id, request_id, fanout_id, mode, command, toString(state), attempts, "
    "toUnixTimestamp64Milli(assumeNotNull(accepted_at)), toUnixTimestamp64Milli(assumeNotNull(expires_at)), "
    "toUnixTimestamp64Milli(sent_at), toUnixTimestamp64Milli(ended_at), reason, "
    "if(state = 'replied', reply, late_reply) AS told, by, state != 'replied' AND isNotNull(late_at), rtt_ms, "
    "toUnixTimestamp64Milli(tupleElement(told, 'at')), "
    "tupleElement(told, 'message_id'), tupleElement(told, 'encoding'), tupleElement(told, 'payload')"
)
"""Of `LEDGER`: in the order of `Command`'s fields, then what makes its reply: the one in time, else the newest."""
KNOWN: Final = "isNotNull(accepted_at)"
"""The step that tells what a command is may be stored after others."""


def command(row: Sequence[Any]) -> Command:
    """Read a row of `COLUMNS`."""
    fields = dict(zip(Command.__struct_fields__, row, strict=False))
    late, rtt_ms, at, message_id, encoding, payload = row[len(fields) :]
    reply = None
    if late or fields["state"] == "replied":
        since = fields["sent_at"] or fields["accepted_at"]
        elapsed = max(0, at - since) if rtt_ms is None else rtt_ms
        reply = Reply(message_id, encoding, msgspec.Raw(payload.encode()), at, elapsed, late=bool(late))
    given = {"fanout_id": fields["fanout_id"] or None, "reason": fields["reason"] or None, "reply": reply}
    return Command(**{**fields, **given})


def commands_of(request_id: str, device: tuple[str, str] | None) -> Question:
    """Ask for a command by its request id; ``device``: of that device, since a fan-out's are of many."""
    where, parameters = f"{KNOWN} AND request_id = {{request:String}}", {"request": request_id}
    if device is not None:
        where, parameters = f"{where} AND {OWN}", {**parameters, "product": device[0], "device": device[1]}
    return Question(f"SELECT {COLUMNS} FROM {LEDGER} WHERE {where} LIMIT 1", parameters)  # noqa: S608 - ours


def commands(about: About, states: Sequence[str], before: Cursor | None, limit: int) -> Question:
    """Ask for a device's commands in one of these states, or all, those first that were accepted last."""
    where, parameters = f"{OWN} AND {DURING % ('accepted_at', 'accepted_at')}", about.parameters(limit=limit)
    if states:
        where, parameters = f"{where} AND state IN {{states:Array(String)}}", {**parameters, "states": list(states)}
    if before is not None:
        where += " AND (accepted_at, request_id) < ({last_at:DateTime64(3, 'UTC')}, {last_request:String})"
        parameters = {**parameters, "last_at": stored(before[0]), "last_request": before[1]}
    order = "accepted_at DESC, request_id DESC"
    return Question(f"SELECT {COLUMNS} FROM {LEDGER} WHERE {where} ORDER BY {order} LIMIT {{limit:UInt32}}", parameters)  # noqa: S608 - ours


def fanout_commands(product_id: str, fanout_id: str, after: str, limit: int) -> Question:
    """Ask for the commands of a fan-out's members behind a device, in order of the devices."""
    where = f"{KNOWN} AND product_id = {{product:String}} AND request_id = {{fanout:String}} AND fanout_id != ''"
    return Question(
        f"SELECT {COLUMNS} FROM {LEDGER} WHERE {where} AND device_id > {{after:String}} "  # noqa: S608 - ours
        "ORDER BY device_id LIMIT {limit:UInt32}",
        {"product": product_id, "fanout": fanout_id, "after": after, "limit": limit},
    )


def steps(of: Command) -> Question:
    """Ask for a command's events, the oldest first: (event,)."""
    return Question(
        f"SELECT event FROM command_events WHERE {OWN} AND request_id = {{request:String}} "  # noqa: S608 - ours
        "ORDER BY at, partition, offset LIMIT 1 BY id LIMIT 1000",
        {"product": of.product_id, "device": of.device_id, "request": of.request_id},
    )


def fanout_started(fanout_id: str) -> Question:
    """Ask how a fan-out began: (product, tag, at, partitions, members, refused), or no row."""
    return Question(
        "SELECT product_id, any(tag), toUnixTimestamp64Milli(min(at)), count(), sum(members), sum(refused) "
        "FROM fanouts FINAL WHERE fanout_id = {fanout:String} GROUP BY product_id",
        {"fanout": fanout_id},
    )


def fanout_states(product_id: str, fanout_id: str) -> Question:
    """Ask how the members' commands are: (state, commands, of them such as were replied to late)."""
    return Question(
        "SELECT toString(state), count(), countIf(isNotNull(late_at)) "  # noqa: S608 - ours
        f"FROM {LEDGER} WHERE product_id = {{product:String}} AND request_id = {{fanout:String}} GROUP BY state",
        {"product": product_id, "fanout": fanout_id},
    )


def probes(about: About, before: Place | None, limit: int) -> Question:
    """Ask for a device's probes, the newest first."""
    select = (
        "SELECT probe_id, mode, verdict, attempts, rtt_ms, altered, toUnixTimestamp64Milli(at), partition, offset "
        "FROM probes FINAL"
    )
    return page(select, "at", about.parameters(limit=limit), before)
