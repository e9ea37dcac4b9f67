"""A message goes to its topic and, byte for byte, to every inbox that the topic feeds."""

from __future__ import annotations

import msgspec
import pytest

from libs.topics import catalog, examples, names
from libs.topics.catalog import TOPICS, Topic
from libs.topics.codec import encode
from libs.topics.identity import BROADCAST_KEY
from libs.topics.messages.presence import PresenceChanged, TrafficSeen
from libs.topics.messages.registry_events import DeviceDeleted, ProductChanged

KEY = b"weather-v2/seattle-017"


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_every_example_is_published_to_its_topic_and_its_feeds(topic: Topic) -> None:
    for kind in set(topic.types) - set(topic.announced):
        feeds = [name for name in topic.feeds if kind in catalog.get(name).types]
        for value in examples.values(kind).values():
            outputs = catalog.publish(topic.name, KEY, msgspec.json.decode(value, type=kind))
            assert outputs == tuple((name, KEY, value, -1) for name in (topic.name, *feeds))


@pytest.mark.parametrize("topic", [topic for topic in TOPICS if topic.announced], ids=lambda topic: topic.name)
def test_what_concerns_all_keys_is_announced_to_every_partition_of_the_feeds_that_take_it(topic: Topic) -> None:
    for kind in topic.announced:
        feeds = [name for name in topic.feeds if kind in catalog.get(name).types]
        for value in examples.values(kind).values():
            outputs = catalog.announce(topic.name, KEY, msgspec.json.decode(value, type=kind), 3)
            assert outputs[0] == (topic.name, KEY, value, -1)
            assert outputs[1:] == tuple((name, BROADCAST_KEY, value, n) for name in feeds for n in range(3))


def test_what_is_announced_is_not_published_and_the_other_way_round() -> None:
    changed = msgspec.json.decode(examples.values(ProductChanged)["created"], type=ProductChanged)
    with pytest.raises(TypeError, match=r"registry\.events does not hold keyed ProductChanged"):
        catalog.publish(names.REGISTRY_EVENTS, b"lock-a1", changed)
    deleted = msgspec.json.decode(examples.values(DeviceDeleted)["lock"], type=DeviceDeleted)
    with pytest.raises(TypeError, match=r"registry\.events does not announce DeviceDeleted"):
        catalog.announce(names.REGISTRY_EVENTS, KEY, deleted, 3)
    with pytest.raises(TypeError, match=r"registry\.inbox does not hold DeviceDeleted"):
        catalog.broadcast(names.REGISTRY_INBOX, deleted, 3)


def test_a_transition_reaches_the_inboxes_of_services_to_come() -> None:
    value = examples.values(PresenceChanged)["connected"]
    outputs = catalog.publish(names.PRESENCE_TRANSITIONS, KEY, msgspec.json.decode(value, type=PresenceChanged))
    assert [topic for topic, *_ in outputs] == [
        names.PRESENCE_TRANSITIONS,
        names.SHADOW_INBOX,
        names.COMMANDS_INBOX,
        names.OTA_INBOX,
    ]


def test_a_message_that_the_topic_does_not_hold_is_refused() -> None:
    with pytest.raises(TypeError, match=r"presence\.transitions does not hold TrafficSeen"):
        catalog.publish(names.PRESENCE_TRANSITIONS, KEY, TrafficSeen("p1", "d1", 0))


def test_an_unknown_topic_is_refused() -> None:
    with pytest.raises(KeyError):
        catalog.publish("presence.transition", KEY, TrafficSeen("p1", "d1", 0))
    with pytest.raises(KeyError):
        catalog.get("presence.transition")


def test_the_bytes_are_the_codecs() -> None:
    seen = TrafficSeen("p1", "d1", 1_760_000_000_000)
    assert catalog.publish(names.PRESENCE_INBOX, b"p1/d1", seen) == (
        (names.PRESENCE_INBOX, b"p1/d1", encode(seen), -1),
    )
