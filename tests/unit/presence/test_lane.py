"""Presence inside the real lane, without Kafka: recovery, replay and sweeps change no answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given

from libs.topics.codec import Decoder, encode
from libs.topics.identity import BROADCAST_KEY, device_key
from libs.topics.messages.presence import SourceStarted
from services.presence import metrics
from services.presence.model import Device, Sources
from services.presence.session import terms
from services.presence.step import Event, fold_sources, step
from tests.support.presence.laws import LAW, RANDOM, lives, mixed
from tests.support.presence.observations import observed, started
from tests.unit.runtime.lane.lab import Lab, Record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from tests.support.presence.world import World


def lab(changelog: Sequence[Record] = ()) -> Lab:
    decode: Decoder[Event] = Decoder(Event)
    parts: dict[str, Any] = {
        "decode": decode,
        "row": Device,
        "step": step,
        "shared": Sources(),
        "fold_shared": fold_sources,
        "terms": terms,
        "deadline": None,
    }
    return Lab(changelog, **parts)


def records(events: Sequence[Event]) -> list[Record]:
    return [
        Record(
            BROADCAST_KEY if isinstance(event, SourceStarted) else device_key(event.product_id, event.device_id),
            encode(event),
            offset,
        )
        for offset, event in enumerate(events)
    ]


@given(world=lives(), random=RANDOM)
@LAW
def test_a_worker_that_starts_again_anywhere_ends_in_the_same_rows_by_the_same_outputs(
    world: World, random: Random
) -> None:
    inbox = records(mixed(world, random))
    whole = lab()
    whole.feed(*inbox)
    reached = random.randrange(len(inbox) + 1)
    committed = random.randrange(reached + 1)
    first = lab()
    if reached:
        first.feed(*inbox[:reached])
    second = lab(first.deliver())
    if inbox[committed:]:
        second.feed(*inbox[committed:], generation=2)
    assert second.rows() == whole.rows()
    assert second.lane.shared_of(second.part).state == whole.lane.shared_of(whole.part).state
    assert by_topic(first, second) == by_topic(whole)
    assert not whole.letters()


def by_topic(*labs: Lab) -> dict[str, list[tuple[bytes | None, bytes]]]:
    """What was sent, in order per topic: a slice's outputs leave topic by topic."""
    found: dict[str, list[tuple[bytes | None, bytes]]] = {}
    for one in labs:
        for topic, key, value, _ in one.producer.sent:
            found.setdefault(topic, []).append((key, value))
    return found


def test_gauges_are_read_from_the_index() -> None:
    hub = lab()
    hub.feed(
        *records(
            [
                observed("connect", 0, "ch1", source="mosquitto:main"),
                observed("connect", 1, "ch2", source="emqx:a", client="c2"),
            ]
        )
    )
    hub.lane.reads = type("Reads", (), {"owned": lambda _self: frozenset({0})})()
    metrics.measure(hub.lane)
    assert online() == {"mosquitto:main": 1.0, "emqx:a": 1.0}
    hub.feed(Record(BROADCAST_KEY, encode(started(9, source="mosquitto:main")), 2))
    metrics.measure(hub.lane)
    assert online() == {"emqx:a": 1.0}


def online() -> dict[str, float]:
    return {sample.labels["source"]: sample.value for metric in metrics.ONLINE.collect() for sample in metric.samples}
