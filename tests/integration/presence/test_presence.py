"""The presence service on the real Kafka: what it publishes, and that killing it changes none of it."""

from __future__ import annotations

import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from libs.topics import catalog, names
from libs.topics.identity import device_key
from libs.topics.messages.hub import TimePassed
from tests.integration.presence.inbox import (
    Inbox,
    await_folded,
    await_work,
    current,
    published,
    replayed,
    unlike_the_replay,
)
from tests.integration.presence.owner import ask, owner
from tests.support.names import unique
from tests.support.polling import eventually
from tests.support.presence.world import Broker, World
from tests.support.records import await_records

if TYPE_CHECKING:
    import threading

    from devstack.stack import Stack
    from services.presence.step import Event

HOUR = 3_600_000
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


def now() -> int:
    return time.time_ns() // 1_000_000


def test_a_source_that_nobody_watches_is_in_doubt_until_it_lists_its_clients_and_is_watched_again(
    stack: Stack, inbox: Inbox
) -> None:
    """The ticks are presence's own. Another source has no lease and stays as it is."""
    world = World(unique("presence"), prefix=unique("source"), now=now() - 60_000)
    watched, other = world.brokers[3], world.brokers[0]
    for number in range(60):
        world.connect((f"d{number}", "c1"), watched if number < 40 else other)
    world.now = now()
    world.renew(watched, 1000)
    inbox.write([*watched.events, *other.events])
    inbox.flush()
    key = {number: device_key(world.product, f"d{number}") for number in range(60)}

    def states(first: int, last: int) -> set[str]:
        shown = current(stack.kafka, world.product)
        return {shown[key[number]].session.state for number in range(first, last) if key[number] in shown}

    eventually(lambda: states(0, 40) == {"unknown"}, describe="40 devices unknown")
    eventually(lambda: states(40, 60) == {"online"}, describe="20 devices online")

    told = len(watched.events)
    world.lose(("d0", "c1"), watched)
    world.close(("d1", "c1"), watched, goodbye=False, twice=False)
    world.now = now()
    world.begin_listing(watched)
    world.end_listing(watched)
    world.renew(watched, HOUR)
    inbox.write(watched.events[told:])
    inbox.flush()
    eventually(lambda: current(stack.kafka, world.product) == world.truth(), describe="38 of 40 devices online again")

    causes: dict[bytes | None, list[str]] = {}
    for record in published(stack.kafka, names.PRESENCE_TRANSITIONS, world.product):
        causes.setdefault(record.key, []).append(record.message["cause"])
    assert causes.pop(key[0]) == ["connected", "lease_lapsed", "reconciled"]
    assert causes.pop(key[1]) == ["connected", "lease_lapsed", "connection_lost"]
    assert all(causes.pop(key[number]) == ["connected", "lease_lapsed", "lease_renewed"] for number in range(2, 40))
    assert set(map(tuple, causes.values())) == {("connected",)}
    assert_the_owner_shows_the_same(stack, world)


def assert_the_owner_shows_the_same(stack: Stack, world: World) -> None:
    """One device, a thousand, and counts."""
    url = eventually(lambda: owner(stack.kafka, stack.partitions), describe="an owner of all partitions")
    documents = {
        record.key.decode(): record.message
        for record in published(stack.kafka, names.PRESENCE_STATE, world.product)
        if record.key is not None
    }
    some = next(iter(documents))
    assert ask(url, f"state/{some}") == documents[some]
    strangers = [f"{world.product}/x{number}" for number in range(1000 - len(documents))]
    batch = ask(url, "state", [*documents, *strangers])
    assert (batch["found"], batch["missing"], batch["elsewhere"]) == (documents, strangers, [])
    counted: dict[str, int] = {}
    for counts in ask(url, "tally")["partitions"].values():
        for name, devices in counts.items():
            counted[name] = counted.get(name, 0) + devices
    wanted = {f"{world.product}/online": 58, f"{world.product}/offline": 2}
    assert {name: devices for name, devices in counted.items() if name.startswith(f"{world.product}/")} == wanted


def lived(product: str, seed: int, steps: int) -> tuple[World, list[Event]]:
    """A world of 200 devices, and its reports in an order that keeps each source's, some of them repeated.

    Its time is over: every lease ended before presence hears of it, and each moves the doubt.
    """
    chance = random.Random(seed)
    world = World(product, prefix=unique("source"), now=now() - 2 * HOUR)
    for _ in range(steps):
        world.wait(chance.choice([0, 1, 40, 700]))
        client = (f"d{chance.randrange(200)}", f"c{chance.randrange(2)}")
        broker = chance.choice(world.brokers)
        act = chance.random()
        if act < 0.55:
            world.connect(client, broker)
        elif act < 0.9:
            world.close(client, broker, goodbye=chance.random() < 0.5, twice=chance.random() < 0.5)
        elif act < 0.994:
            world.send(client[0])
        elif act < 0.996:
            world.restart(broker)
        elif act < 0.998:
            world.lose(client, broker)
        else:
            watch(world, broker, chance)
    world.ticks.append(TimePassed(0, now()))  # the real ones are the hub's own
    left = [list(reversed(log)) for log in world.logs()[:-1] if log]
    events: list[Event] = []
    while left:
        log = chance.choice(left)
        events.append(log.pop())
        left = [log for log in left if log]
        if chance.random() < 0.1:
            events.append(chance.choice(events))
    return world, events


def watch(world: World, broker: Broker, chance: random.Random) -> None:
    match chance.randrange(3):
        case 0:
            world.begin_listing(broker)
        case 1:
            world.end_listing(broker)
        case _:
            world.renew(broker, 10_000)


def kill_at_work(stack: Stack, load: threading.Thread) -> None:
    """Wait until presence publishes, kill it, wait until it was started again."""
    before = stack.restarts("presence")
    await_work(stack.kafka, load)
    stack.kill("presence", signal.SIGKILL)
    eventually(lambda: stack.restarts("presence") > before, describe="presence started again")


def test_killed_three_times_under_load_presence_is_exact(stack: Stack, inbox: Inbox) -> None:
    world, events = lived(unique("presence"), seed=7, steps=24_000)
    with inbox.load(events, per_second=1200) as load:
        for _ in range(3):
            kill_at_work(stack, load)
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
    await_folded(stack.kafka, stack.partitions)
    assert unlike_the_replay(stack.kafka, stack.partitions, world.product) == []


def transitions_of(outputs: dict[tuple[str, bytes], set[bytes]]) -> set[bytes]:
    return {value for (topic, _), values in outputs.items() if topic == names.PRESENCE_TRANSITIONS for value in values}
