"""A message goes to its topic and, byte for byte, to every inbox that the topic feeds."""

from __future__ import annotations

import msgspec
import pytest

from libs.topics import catalog, examples, names
from libs.topics.catalog import TOPICS, Topic
from libs.topics.codec import encode
from libs.topics.messages.presence import PresenceChanged, TrafficSeen

KEY = b"weather-v2/seattle-017"


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_every_example_is_published_to_its_topic_and_its_feeds(topic: Topic) -> None:
    for kind in topic.types:
        for value in examples.values(kind).values():
            outputs = catalog.publish(topic.name, KEY, msgspec.json.decode(value, type=kind))
            assert outputs == tuple((name, KEY, value, -1) for name in (topic.name, *topic.feeds))


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
