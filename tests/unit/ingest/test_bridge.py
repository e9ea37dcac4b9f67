"""How the process ends, and what it says of its health."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import mqtt5
import pytest
from confluent_kafka import KafkaError

from libs.runtime.mqtt.session import Refused
from services.ingest.books import Account, Books
from services.ingest.bridge import Bridge

C, D = mqtt5.ConnAckReasonCode, mqtt5.DisconnectReasonCode


class Client:
    """A session that lasts until told to stop, or ends with a refusal."""

    def __init__(self, refusal: Refused | None = None) -> None:
        self.refusal, self.subscribed, self.connections = refusal, True, 1

    async def run(self, stop: asyncio.Event) -> None:
        if self.refusal:
            raise self.refusal
        await stop.wait()


class Kafka:
    """Producer and notes in one: counts how they are ended."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def purge(self) -> None:
        self.calls.append("purge")

    def __len__(self) -> int:
        return 0

    def close(self) -> None:
        self.calls.append("close")


class Parts:
    def __init__(self, refusal: Refused | None = None, patience: float = 60.0) -> None:
        self.kafka = Kafka()
        self.pump = SimpleNamespace(
            books=Books(),
            in_flight=0,
            waiting=0,
            noted=True,
            give_back=lambda: self.kafka.calls.append("give back"),
            turn=self.turn,
        )
        self.turns = 0
        self.client = Client(refusal)
        kafka: Any = self.kafka
        self.bridge = Bridge(kafka, cast("Any", self.pump), kafka, cast("Any", self.client), patience=patience)

    def turn(self) -> None:
        self.turns += 1


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        (C.BAD_USER_NAME_OR_PASSWORD, 78),
        (C.NOT_AUTHORIZED, 78),
        (C.CLIENT_ID_NOT_VALID, 78),
        (D.SESSION_TAKEN_OVER, 2),
        (D.ADMINISTRATIVE_ACTION, 2),
    ],
)
async def test_a_refusal_ends_with_78_only_where_configuration_cures_it(code: int, exit_code: int) -> None:
    assert await Parts(Refused("no", int(code))).bridge.run() == exit_code


async def test_a_kafka_beyond_repair_ends_with_70_and_leaves_nothing_open() -> None:
    parts = Parts()
    run = asyncio.create_task(parts.bridge.run())
    await asyncio.sleep(0)
    parts.bridge.kafka_error(KafkaError(KafkaError._FATAL, "fenced", True))
    assert await asyncio.wait_for(run, 5) == 70
    assert parts.kafka.calls == ["purge", "give back", "close"]


async def test_an_idle_producer_is_polled() -> None:
    parts = Parts()
    run = asyncio.create_task(parts.bridge.run())
    for _ in range(3):  # it begins, and so does what it begins
        await asyncio.sleep(0)
    assert parts.turns > 0
    parts.bridge.end()
    assert await asyncio.wait_for(run, 5) == 0


async def test_a_kafka_that_is_away_for_now_ends_nothing() -> None:
    parts = Parts()
    run = asyncio.create_task(parts.bridge.run())
    await asyncio.sleep(0)
    parts.bridge.kafka_error(KafkaError(KafkaError._ALL_BROKERS_DOWN, "away", False))
    await asyncio.sleep(0)
    assert not run.done()
    parts.bridge.fail("enough")
    assert await asyncio.wait_for(run, 5) == 70


def test_it_is_ready_once_subscribed_with_a_note() -> None:
    parts = Parts()
    assert parts.bridge.ready()
    parts.pump.noted = False
    assert not parts.bridge.ready()
    parts.pump.noted, parts.client.subscribed = True, False
    assert parts.bridge.ready().reason == "not subscribed at the broker"


def test_it_is_alive_while_messages_get_through_or_none_are_under_way() -> None:
    parts = Parts()
    parts.bridge._progress.patience = 0.0
    parts.pump.waiting = 5
    assert parts.bridge.live()
    assert "none gets through" in parts.bridge.live().reason
    parts.pump.books.settled[Account.PRODUCED] += 1
    assert parts.bridge.live()
    parts.pump.waiting = 0
    assert parts.bridge.live()


def test_a_loop_that_stands_still_is_not_alive() -> None:
    parts = Parts(patience=0.0)
    assert parts.bridge.live().reason == "the event loop stands still"
