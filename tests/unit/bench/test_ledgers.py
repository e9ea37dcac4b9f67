"""What the ledger's benchmark asks for is what the ledger's own rules make of it."""

from __future__ import annotations

from typing import Any

import msgspec

from bench.support.ledgers import STEPS, WAITING, Work
from libs.runtime.lane.model import At, Shared
from libs.topics import names
from libs.topics.codec import Decoder
from services.commands.model import Entry
from services.commands.step import Message, step


def test_each_command_takes_the_steps_that_are_counted() -> None:
    work = Work(online=5, offline=5, pending=20, commands=200)
    decode, rows, told = Decoder[Message](Message), dict[bytes, Entry | None](), dict[str, list[str]]()
    for offset, (key, value) in enumerate(work.records()):
        message = decode(value)
        at = At("inbox", 0, offset, getattr(message, "requested_at", 0), key)
        rows[key], outputs = step(rows.get(key), message, at, Shared(-1, {}))
        for topic, _, event, _ in outputs:
            if topic == names.COMMANDS_EVENTS:
                said = msgspec.json.decode(event, type=dict[str, Any])  # type: ignore[arg-type]  # no tombstones here
                told.setdefault(said["request_id"], []).append(said["type"])
    expected = {f"w-{n}": list(WAITING) for n in range(20)}
    expected |= {f"h-{n}": list(STEPS) for n in range(5)} | {f"c-{n}": list(STEPS) for n in range(200)}
    assert told == expected
    assert sum(map(len, told.values())) == work.before + work.events
