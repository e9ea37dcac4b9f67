"""What the history says of each command is what the ledger's owner says of it, whatever happened to it."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from libs.topics import names
from libs.topics.messages.command_views import CommandReply, CommandView
from services.commands.limits import Rules
from services.timeseries.commands import CommandRows
from tests.support.commands import asking
from tests.support.commands.hub import Hub
from tests.unit.timeseries.fakes import Fake

if TYPE_CHECKING:
    from collections.abc import Iterator

RULES = Rules(open=6, ttl=40_000, longest_ttl=60_000, pace=2, window=500)
deeds = st.tuples(
    st.sampled_from(("send", "call", "fan_out", "cancel", "reply", "publish", "refuse", "deliver", "connect", "wait")),
    st.integers(0, 5),
)


def happened(chosen: list[tuple[str, int]]) -> Hub:
    """Let all that happen, at another time each; the number says to which command, or how long is waited."""
    hub, ids = Hub(rules=RULES), count()
    hub.write(asking.retag("line-3"))
    asked: list[str] = ["unheard-of"]
    for deed, number in chosen:
        hub.time += 1
        known = asked[number % len(asked)]
        match deed:
            case "send" | "call":
                asked.append(f"r{next(ids)}")
                hub.ask(getattr(asking, deed)(asked[-1], {"n": number}, ttl=(None, 1, 900)[number % 3]))
            case "fan_out":
                asked.append(f"f{next(ids)}")
                hub.write(asking.send_to_tag(asked[-1], mode=("cmd", "rpc")[number % 2]))
            case "cancel":
                hub.write(asking.cancel(known))
            case "reply":
                hub.write(asking.reply(known, number, message_id=f"m{number % 3}", at=hub.time))
            case "publish":
                hub.write(asking.published(known, at=hub.time))
            case "refuse":
                hub.write(asking.refused(known))
            case "deliver":
                hub.write(asking.delivered(known, at=hub.time))
            case "connect":
                hub.connect("offline" if number == 0 else "online")
            case _:
                hub.wait((1, 400, 500, 1_000, 5_000, 50_000)[number])
    return hub


def history(hub: Hub) -> Iterator[CommandView]:
    """Every command, as one block of all events says it; of late replies the newest, where none came in time."""
    rows = CommandRows(names.COMMANDS_EVENTS, 0)
    said = [value for topic, _, value in hub.log if topic == names.COMMANDS_EVENTS]
    for offset, value in enumerate(said):
        rows.add(Fake(offset, value))
    assert not rows.dead_letters
    for table, columns in rows.tables():
        if table.name == "commands":
            for row in zip(*columns, strict=True):
                yield view(dict(zip((name for name, _ in table.columns), row, strict=True)))


def view(row: dict[str, Any]) -> CommandView:
    in_time = row["state"] == "replied"
    at, message_id, encoding, payload = row["reply"] if in_time else row["late_reply"]
    rtt = row["rtt_ms"] if in_time else at - (row["sent_at"] or row["accepted_at"])
    reply = CommandReply(message_id, encoding, msgspec.Raw(payload), at, rtt, late=not in_time)
    return CommandView(
        **{name: row[name] for name in CommandView.__struct_fields__ if name not in {"reply", "fanout_id", "reason"}},
        fanout_id=row["fanout_id"] or None,
        reason=row["reason"] or None,
        reply=reply if in_time or row["late_at"] else None,
    )


@given(st.lists(deeds, max_size=40))
@example([("connect", 1), ("send", 0), ("deliver", 1), ("publish", 1)])
def test_history_and_owner_say_the_same_of_each_command(chosen: list[tuple[str, int]]) -> None:
    hub = happened(chosen)
    shown = hub.commands()
    told = {one.request_id: one for one in history(hub)}
    for one in (*shown.open, *shown.ended):
        assert told.pop(one.request_id) == one
    assert all(one.ended_at is not None for one in told.values()), "only what is over is forgotten"
