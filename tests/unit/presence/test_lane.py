"""Presence inside the real lane, without Kafka: recovery, replay and sweeps change no answer."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from hypothesis import given

from libs.runtime.lane.reads import Reads
from libs.topics import names
from libs.topics.codec import Decoder, encode
from libs.topics.identity import BROADCAST_KEY, device_key
from services.presence import metrics
from services.presence.forget import deadline
from services.presence.model import Device, Sources
from services.presence.session import terms
from services.presence.step import Broadcast, Event, fold_sources, step
from services.presence.views import show, tally
from tests.support.presence.hub import decode_document
from tests.support.presence.laws import LAW, RANDOM, lives, mixed
from tests.support.presence.observations import observed, renewed, started, tick
from tests.unit.runtime.lane.lab import Lab, Record, ends_anywhere_and_starts_again

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from prometheus_client import Gauge

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
        "deadline": deadline,
        "tally": tally,
        "views": {"state": show},
    }
    return Lab(changelog, **parts)


def records(events: Sequence[Event]) -> list[Record]:
    return [
        Record(
            BROADCAST_KEY if isinstance(event, Broadcast) else device_key(event.product_id, event.device_id),
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
    whole, first, second = ends_anywhere_and_starts_again(lab, inbox, random)
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


def serving() -> Lab:
    hub = lab()
    hub.lane.app.tables = SimpleNamespace(actives_ready=True)
    hub.lane.reads = Reads(hub.lane, 1)
    return hub


def test_gauges_are_read_from_the_index() -> None:
    hub = serving()
    events: list[Event] = [
        observed("connect", 0, "ch1", source="mosquitto:main"),
        observed("connect", 1, "ch2", source="emqx:a", client="c2"),
        renewed(2, 10, source="mosquitto:main"),
        tick(5),
    ]
    hub.feed(*records(events))
    metrics.measure(hub.lane)
    assert shown(metrics.DEVICES) == {"online": 1}
    assert shown(metrics.ONLINE) == {"mosquitto:main": 1, "emqx:a": 1}
    assert shown(metrics.UNKNOWN) == {}
    assert shown(metrics.LEASE) == {"mosquitto:main": 5}
    hub.feed(Record(BROADCAST_KEY, encode(started(9, source="emqx:a")), 4), Record(BROADCAST_KEY, encode(tick(10)), 5))
    hub.feed(Record(BROADCAST_KEY, encode(tick(13)), 6))
    metrics.measure(hub.lane)
    assert shown(metrics.DEVICES) == {"unknown": 1}
    assert shown(metrics.ONLINE) == {}
    assert shown(metrics.UNKNOWN) == {"mosquitto:main": 1}
    assert shown(metrics.LEASE) == {"mosquitto:main": -3}


def shown(gauge: Gauge) -> dict[str, float]:
    return {next(iter(sample.labels.values())): sample.value for metric in gauge.collect() for sample in metric.samples}


@given(world=lives(), random=RANDOM)
@LAW
def test_the_owner_shows_the_document_that_was_published_last_and_counts_it(world: World, random: Random) -> None:
    hub = serving()
    hub.feed(*records(mixed(world, random)))
    published = {sent.key: sent.value for sent in hub.producer.sent if sent.topic == names.PRESENCE_STATE}
    shown = {key: hub.lane.reads.show(show, key) for key in hub.rows()}
    assert published.keys() <= shown.keys()
    assert {key: None if one is None else encode(one) for key, one in shown.items()} == {
        key: published.get(key) for key in shown
    }
    assert hub.lane.reads.show(show, b"p1/never-seen") is None
    states = Counter(decode_document(value).session.state for value in published.values() if value is not None)
    assert hub.lane.reads.tally() == {0: {("p1", state): devices for state, devices in states.items()}}
