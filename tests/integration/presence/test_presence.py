"""The presence service on the real Kafka: what it publishes, and that killing it changes none of it."""

from __future__ import annotations

import random
import signal
from typing import TYPE_CHECKING

import pytest

from libs.topics import catalog, names
from libs.topics.identity import device_key
from tests.integration.presence.inbox import Inbox, at_rest, current, published, replayed, unlike_the_replay, written
from tests.support.names import unique
from tests.support.polling import eventually
from tests.support.presence.world import World
from tests.support.records import await_records

if TYPE_CHECKING:
    from devstack.stack import Stack
    from services.presence.step import Event

FEEDS = (names.SHADOW_INBOX, names.COMMANDS_INBOX, names.OTA_INBOX)


@pytest.fixture
def inbox(stack: Stack) -> Inbox:
    return Inbox(stack.kafka, stack.partitions)


def test_a_connection_becomes_a_transition_a_document_and_three_feeds(stack: Stack, inbox: Inbox) -> None:
    world = World(unique("presence"), prefix=unique("source"))
    client, broker = ("d1", "c1"), world.brokers[3]
    world.connect(client, broker)
    world.wait(5000)
    world.close(client, broker, goodbye=True, twice=False)
    world.wait(5000)
    world.connect(client, broker)
    inbox.write(broker.events)
    inbox.flush()
    key = device_key(world.product, "d1")

    transitions = await_records(stack.kafka, names.PRESENCE_TRANSITIONS, 3, key=key)
    assert [record.message["cause"] for record in transitions] == ["connected", "disconnected", "connected"]
    assert catalog.get(names.PRESENCE_TRANSITIONS).feeds == FEEDS
    for feed in FEEDS:
        fed = await_records(stack.kafka, feed, 3, key=key)
        assert [record.value for record in fed] == [record.value for record in transitions]
        assert {record.partition for record in fed} == {transitions[0].partition}
    documents = await_records(stack.kafka, names.PRESENCE_STATE, 3, key=key)
    assert [record.message["session"]["state"] for record in documents] == ["online", "offline", "online"]
    assert current(stack.kafka, world.product) == world.truth()


def test_a_restarted_broker_closes_its_channels_in_every_partition(stack: Stack, inbox: Inbox) -> None:
    world = World(unique("presence"), prefix=unique("source"))
    mosquitto, emqx = world.brokers[0], world.brokers[1]
    for number in range(100):
        world.connect((f"d{number}", "c1"), mosquitto if number % 2 else emqx)
    world.wait(5000)
    world.restart(mosquitto)
    inbox.write([*mosquitto.events, *emqx.events])
    inbox.flush()

    def settled() -> bool:
        return current(stack.kafka, world.product) == world.truth()

    eventually(settled, describe="50 devices offline, 50 online")
    restarted = [
        record.message
        for record in published(stack.kafka, names.PRESENCE_TRANSITIONS, world.product)
        if record.message["cause"] == "source_restarted"
    ]
    assert len(restarted) == 50
    assert len({message["id"] for message in restarted}) == 50


def lived(product: str, seed: int, steps: int) -> tuple[World, list[Event]]:
    """A world of 200 devices, and its reports in an order that keeps each source's, some of them repeated."""
    chance = random.Random(seed)
    world = World(product, prefix=unique("source"))
    for _ in range(steps):
        world.wait(chance.choice([0, 1, 40, 700]))
        client = (f"d{chance.randrange(200)}", f"c{chance.randrange(2)}")
        broker = chance.choice(world.brokers)
        act = chance.random()
        if act < 0.55:
            world.connect(client, broker)
        elif act < 0.9:
            world.close(client, broker, goodbye=chance.random() < 0.5, twice=chance.random() < 0.5)
        elif act < 0.998:
            world.send(client[0])
        else:
            world.restart(broker)
    left = [list(reversed(log)) for log in world.logs() if log]
    events: list[Event] = []
    while left:
        log = chance.choice(left)
        events.append(log.pop())
        left = [log for log in left if log]
        if chance.random() < 0.1:
            events.append(chance.choice(events))
    return world, events


def kill_at_work(stack: Stack) -> None:
    """Wait until presence publishes, kill it, wait until it was started again."""
    seen, before = written(stack.kafka, names.PRESENCE_TRANSITIONS), stack.restarts("presence")
    eventually(lambda: written(stack.kafka, names.PRESENCE_TRANSITIONS) > seen + 500, describe="presence at work")
    stack.kill("presence", signal.SIGKILL)
    eventually(lambda: stack.restarts("presence") > before, describe="presence started again")


def test_killed_three_times_under_load_presence_is_exact(stack: Stack, inbox: Inbox) -> None:
    world, events = lived(unique("presence"), seed=7, steps=24_000)
    writing = inbox.write_slowly(events, per_second=1500)
    for _ in range(3):
        kill_at_work(stack)
        assert writing.is_alive(), "the load ended before the kills did"
    writing.join()
    stack.wait_ready()

    def is_true() -> bool:
        return current(stack.kafka, world.product) == world.truth()

    eventually(is_true, timeout=60, describe="presence.state is the truth")
    contents: dict[str, set[bytes | None]] = {}
    for record in published(stack.kafka, names.PRESENCE_TRANSITIONS, world.product):
        contents.setdefault(record.message["id"], set()).add(record.value)
    assert [cause for cause, values in contents.items() if len(values) > 1] == [], "one id, two contents"
    wanted = transitions_of(replayed(stack.kafka, world.product))
    assert {value for values in contents.values() for value in values} == wanted
    for feed in FEEDS:
        fed = {record.value for record in published(stack.kafka, feed, world.product)}
        assert fed == wanted, f"{len(wanted - fed)} transitions are missing in {feed}"
    eventually(lambda: at_rest(stack.kafka, stack.partitions), describe="presence at rest")
    assert unlike_the_replay(stack.kafka, stack.partitions, world.product) == []


def transitions_of(outputs: dict[tuple[str, bytes], set[bytes]]) -> set[bytes]:
    return {value for (topic, _), values in outputs.items() if topic == names.PRESENCE_TRANSITIONS for value in values}
