"""Commands, probes and a fan-out whose history has known answers: two products, within two minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.topics.messages.command_events import FanOutStarted, ProbeConcluded
from tests.support.command_log import HOUR, CommandLog

if TYPE_CHECKING:
    from libs.topics.messages.base import Message

LOCKS, WEATHER = "lock-a1", "weather-v2"
REQUEST, CALL, FANOUT = "5d0a3f10c2", "5d0b77e1aa", "f-01JT8W70"
WEEK = 7 * 24 * HOUR


def unlocked(base: int) -> CommandLog:
    """It waited half a minute for its device, which then replied at once."""
    log = CommandLog(LOCKS, "door-0042", REQUEST, base, payload="open")
    log.queue(base)
    log.send(base + 30_000)
    log.reply(base + 30_180, "done")
    return log


def calls(base: int) -> list[CommandLog]:
    """One replied to, one never, one whose device was offline."""
    replied = CommandLog(WEATHER, "seattle-017", CALL, base + 2_000, "read", mode="rpc", ttl=5_000)
    replied.send(base + 2_010)
    replied.reply(base + 2_105, {"temp": 12.8})
    silent = CommandLog(WEATHER, "seattle-017", "5d0b77e1ab", base + 60_000, "read", mode="rpc", ttl=5_000)
    silent.send(base + 60_010)
    silent.end(base + 65_000, "timed_out")
    offline = CommandLog(WEATHER, "portland-003", "5d0b77e1ac", base + 61_000, "read", mode="rpc", ttl=5_000)
    offline.end(base + 61_000, "rejected", "the device is offline")
    return [replied, silent, offline]


def cancelled(base: int) -> CommandLog:
    log = CommandLog(WEATHER, "tacoma-001", "5d0b77e1ad", base + 61_500, "blink")
    log.queue(base + 61_500)
    log.end(base + 62_000, "cancelled")
    return log


def members(base: int) -> list[CommandLog]:
    """Of the fan-out: one is answered when it was over, one in time, one still waits."""
    late, prompt, waiting = (
        CommandLog(LOCKS, f"door-00{n}", FANOUT, base + 20, "reboot", fanout=True, ttl=WEEK) for n in (42, 43, 44)
    )
    late.send(base + 25)
    late.end(base + 61_000, "expired")
    late.reply_late(base + 63_500)
    prompt.send(base + 30)
    prompt.reply(base + 1_030)
    waiting.queue(base + 20, 1)
    return [late, prompt, waiting]


def started(base: int) -> list[FanOutStarted]:
    """By two partitions."""
    counts = ((2, 2, 0, 0, 0), (2, 0, 1, 1, 0))
    return [
        FanOutStarted(f"commands.inbox-{n}-7-0", FANOUT, LOCKS, "line-3", n, *told, base + 20)
        for n, told in enumerate(counts)
    ]


def probes(base: int) -> list[ProbeConcluded]:
    told = [
        ("seattle-017", "reachable", 1, 38, False, 1_000),
        ("portland-003", "unreachable", 3, None, False, 15_000),
        ("seattle-017", "reachable", 2, 50, True, 62_000),
    ]
    return [
        ProbeConcluded(
            id=f"commands.inbox-8-{number}-0",
            product_id=WEATHER,
            device_id=device,
            probe_id=f"{100 + number}",
            mode="loose",
            verdict="reachable" if verdict == "reachable" else "unreachable",
            attempts=attempts,
            round_trip_ms=rtt,
            altered=altered,
            at=base + after,
        )
        for number, (device, verdict, attempts, rtt, altered, after) in enumerate(told)
    ]


def logs(base: int) -> list[CommandLog]:
    return [unlocked(base), *calls(base), cancelled(base), *members(base)]


def events(base: int) -> list[Message]:
    """All of it, the last steps said twice, as after a crash; ``base``: a whole minute."""
    steps = [event for log in logs(base) for event in log.events]
    told = [*steps, *started(base), *probes(base)]
    return [*told, *steps[-4:], told[-1]]
