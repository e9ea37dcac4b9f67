"""Commands' history on real Kafka and ClickHouse: every step once through kills, each command as they made it."""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from libs.topics.codec import encode
from libs.topics.messages.command_events import FanOutStarted
from tests.support.command_log import STEPS, CommandLog
from tests.support.killed_sink import killed_twice
from tests.support.names import unique

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.stack import Stack
    from libs.topics.messages.base import Message
    from tests.support.sink import Sink

DEVICES, COMMANDS = 30, 15
REPEATED = 400
"""Events that the ledger says again after a crash, under other offsets."""
TOPIC = "commands.events"
DAY = 24 * 3_600_000
YEAR = 365 * DAY
BEGIN = int(time.time() * 1000) - 30 * DAY
FANOUT = unique("f")
OPEN = {"accepted", "queued", "sent", "delivered"}
Known: TypeAlias = tuple[Any, ...]

COLUMNS = (
    "device_id, request_id, fanout_id, command, toString(state), attempts, toUnixTimestamp64Milli(accepted_at), "
    "toUnixTimestamp64Milli(sent_at), toUnixTimestamp64Milli(delivered_at), toUnixTimestamp64Milli(ended_at), "
    "rtt_ms, reply.payload, toUnixTimestamp64Milli(late_at), late_reply.payload, toUnixTimestamp64Milli(at)"
)


def known(log: CommandLog) -> Known:
    """What `COLUMNS` must be, told from the steps one after the other."""
    state, attempts = "accepted", 0
    sent_at = delivered_at = ended_at = rtt_ms = late_at = None
    reply = late = ""
    for event in log.events[1:]:
        match event.__struct_config__.tag:
            case "command_queued":
                state = "queued"
            case "command_sent":
                state = "delivered" if state == "delivered" else "sent"
                attempts, sent_at = attempts + 1, event.at
            case "command_delivered":
                state = "delivered"
                delivered_at = delivered_at or event.at
            case "command_replied":
                attempts = max(1, attempts)
                state, ended_at, rtt_ms, reply = "replied", event.at, event.rtt_ms, bytes(event.payload).decode()
            case "command_ended":
                state, ended_at = event.outcome, event.at
            case _:
                attempts = max(1, attempts)
                late_at, late = late_at or event.at, bytes(event.payload).decode()
    first = log.events[0]
    fact = (log.device_id, log.request_id, first.fanout_id or "", first.command, state, attempts, first.at)
    return (*fact, sent_at, delivered_at, ended_at, rtt_ms, reply, late_at, late, log.events[-1].at)


class Past:
    """The commands of one product: of every length, also over the end of a month, and a fan-out."""

    def __init__(self, product: str) -> None:
        chance = random.Random(7)
        self.logs = []
        for device in range(DEVICES):
            for n in range(COMMANDS):
                request, fanout = (FANOUT, True) if n == 0 else (f"r{device}-{n}", False)
                begin = BEGIN + chance.randrange(60_000)
                log = CommandLog(product, f"d{device}", request, begin, chance.choice("abc"), fanout=fanout, ttl=YEAR)
                gap = chance.choice((1, 1_000, 4 * DAY))
                self.logs.append(log.live(chance.choices(STEPS, k=chance.randrange(9)), gap))
        self.started = FanOutStarted("f-0", FANOUT, product, "hall", 0, DEVICES, DEVICES, 0, 0, 0, BEGIN)

    def events(self) -> list[Message]:
        """In the order of time."""
        told = [event for log in self.logs for event in log.events]
        return [self.started, *sorted(told, key=lambda event: event.at)]

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        said = self.events()
        for event in [*said, *said[-REPEATED:]]:
            key = f"{event.product_id}/{getattr(event, 'device_id', FANOUT)}"  # type: ignore[attr-defined]
            yield key.encode(), encode(event)


@pytest.fixture(scope="module")
def product() -> str:
    return unique("p")


@pytest.fixture(scope="module")
def past(product: str) -> Past:
    return Past(product)


@pytest.fixture(scope="module")
def sink(brokers: Stack, past: Past, product: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sink]:
    """It has stored everything. Twice it was killed where each inserter waited with a block that was half stored."""
    records, ours = list(past.records()), f"product_id = '{product}'"
    with killed_twice(brokers, tmp_path_factory.mktemp("history"), TOPIC, records, block_rows=200) as sink:
        sink.await_count("command_events", ours, len(records) - 1)
        sink.await_count("fanouts", ours, 1)
        assert sink.end() == 0
        yield sink


def test_every_step_is_stored_once_through_kills(sink: Sink, past: Past, product: str) -> None:
    ours, steps = f"product_id = '{product}'", len(past.events()) - 1
    [(rows, places, ids)] = sink.rows(
        f"SELECT count(), uniqExact(partition, offset), uniqExact(id) FROM command_events WHERE {ours}"
    )
    assert (rows, places, ids) == (steps + REPEATED, steps + REPEATED, steps)
    assert "replays=['commands.events-" in sink.said()


def ledger(sink: Sink, product: str, source: str = "command_ledger") -> list[Known]:
    return sorted(sink.rows(f"SELECT {COLUMNS} FROM {source} WHERE product_id = '{product}'"), key=repr)


def test_each_command_is_as_its_steps_made_it_merged_or_not(sink: Sink, past: Past, product: str) -> None:
    wanted = sorted(map(known, past.logs), key=repr)
    assert ledger(sink, product) == wanted
    [(before,)] = sink.rows(f"SELECT count() FROM commands WHERE product_id = '{product}'")
    sink.merge("commands")
    [(after,)] = sink.rows(f"SELECT count() FROM commands WHERE product_id = '{product}'")
    assert before > after > len(past.logs), "only what crosses the end of a month stays in two rows"
    assert ledger(sink, product) == wanted


def test_commands_are_counted_by_state(sink: Sink, past: Past, product: str) -> None:
    wanted = Counter((log.events[0].command, known(log)[4]) for log in past.logs)
    found = sink.rows(
        f"SELECT command, toString(state), commands FROM command_counts(since = {BEGIN // 1000}) "
        f"WHERE product_id = '{product}'"
    )
    assert {(command, state): count for command, state, count in found} == wanted


def test_what_is_open_is_listed(sink: Sink, past: Past, product: str) -> None:
    wanted = [fact[:2] for fact in map(known, past.logs) if fact[4] in OPEN]
    found = sink.rows(f"SELECT device_id, request_id FROM commands_open WHERE product_id = '{product}'")
    assert sorted(found) == sorted(wanted)


@pytest.mark.parametrize("after", [0, 30_000, 8 * DAY, 400 * DAY])
def test_what_happened_since_a_moment_is_told_whole(sink: Sink, past: Past, product: str, after: int) -> None:
    moment = BEGIN + after
    wanted = sorted((known(log) for log in past.logs if log.events[-1].at >= moment), key=repr)
    assert ledger(sink, product, f"commands_since(since = {moment / 1000:.3f})") == wanted
    assert bool(wanted) == (after < 400 * DAY)


def test_a_fan_outs_members_are_counted_as_they_are(sink: Sink, past: Past) -> None:
    members = [known(log) for log in past.logs if log.request_id == FANOUT]
    states = [member[4] for member in members]
    [found] = sink.rows(
        "SELECT members, open, waiting, sent, delivered, replied, expired, timed_out, late, failed + cancelled "
        f"FROM fanout_progress(fanout = '{FANOUT}')"
    )
    waiting = states.count("accepted") + states.count("queued")
    assert found == (
        DEVICES,
        waiting + states.count("sent") + states.count("delivered"),
        waiting,
        sum(member[7] is not None for member in members),
        sum(member[8] is not None for member in members),
        states.count("replied"),
        states.count("expired"),
        states.count("timed_out"),
        sum(member[12] is not None for member in members),
        0,
    )
