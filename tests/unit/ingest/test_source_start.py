"""A session that the broker lost is the start of its source, told although something fails or dies in between.

From CONNACK on the broker has the next session, and does not say a second time that it was lost.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaError, KafkaException

from services.ingest.state import State
from tests.support.virtual_time import pass_time
from tests.unit.ingest.test_pump import broadcasts, story_of
from tests.unit.ingest.world import EVERYTHING, PARTITIONS

if TYPE_CHECKING:
    from services.ingest.notes import Ends
    from tests.unit.ingest.world import World


async def lose_the_session(world: World) -> None:
    """Up to the pause before the next connection; nothing of the last one asks for notes any more."""
    world.broker.session_present = False
    world.broker.lose()
    for _ in range(20):
        if world.life.pump.state is State.CLOSED:
            return
        await asyncio.sleep(0)
    raise AssertionError("the connection does not end")


BEFORE_CONNECT = (None, None)
"""Ends and note are asked for."""


@pytest.mark.parametrize("worked", [0, 1], ids=["the note is not moved", "the mark is not taken off the note"])
def test_a_start_of_the_source_is_told_although_kafka_is_away_at_connack(worked: int) -> None:
    async def story(world: World) -> None:
        await lose_the_session(world)
        world.life.notes.faults = [*BEFORE_CONNECT, *([None] * worked), KafkaException("away")]
        connections = world.life.client.connections
        await world.settle()
        assert world.life.client.connections == connections + 2
        assert world.broker.session_present, "and the broker said so the second time"
        assert len(broadcasts(world)) >= 2 * PARTITIONS
        told = len(broadcasts(world))
        world.broker.lose()
        await world.settle()
        assert len(broadcasts(world)) == told
        assert not world.kafka.opening

    story_of(story)


def test_a_start_of_the_source_that_kafka_does_not_take_is_told_again() -> None:
    async def story(world: World) -> None:
        await lose_the_session(world)
        world.life.producer.error = KafkaError(KafkaError._MSG_TIMED_OUT)
        world.life.producer.may_deliver = EVERYTHING
        await pass_time(0.1)
        assert len(broadcasts(world)) == PARTITIONS, "those of the first session"
        world.life.producer.error = None
        await world.settle()
        assert len(broadcasts(world)) == 2 * PARTITIONS
        extra = world.life.books.extra
        assert extra % PARTITIONS == 0
        assert extra > 2 * PARTITIONS

    story_of(story)


def test_a_bridge_killed_before_it_told_the_start_leaves_that_to_the_next() -> None:
    async def story(world: World) -> None:
        await lose_the_session(world)
        world.life.producer.may_deliver = 0
        await pass_time(0.1)
        assert world.broker.session_present
        await world.life.kill(arrived=0)
        world.broker.lose()
        await world.revive()
        await world.settle()
        assert len(broadcasts(world)) == 2 * PARTITIONS
        await world.life.kill(arrived=0)
        world.broker.lose()
        await world.revive()
        await world.settle()
        assert len(broadcasts(world)) == 2 * PARTITIONS

    story_of(story)


def test_whoever_oversleeps_while_the_note_moves_tells_of_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: World) -> None:
        await lose_the_session(world)
        write = world.life.notes.write

        def oversleep(ends: Ends, *, opening: bool = False) -> None:
            write(ends, opening=opening)
            world.life.tenure.until = -math.inf

        monkeypatch.setattr(world.life.notes, "write", oversleep)
        await pass_time(0.1)
        assert world.kafka.opening
        assert len(world.life.producer) == 0
        monkeypatch.setattr(world.life.notes, "write", write)
        world.life.tenure.until = math.inf
        await world.settle()
        assert len(broadcasts(world)) == 2 * PARTITIONS

    story_of(story)
