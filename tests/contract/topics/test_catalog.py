"""Laws that hold for every topic."""

from __future__ import annotations

import re

import pytest

from libs.topics import catalog, identity, names
from libs.topics.catalog import TOPICS, Topic
from libs.topics.messages.base import DeviceEvent
from libs.topics.messages.deadletters import DeadLetter
from libs.topics.topic import FOREVER, OUTSIDE

SERVICES = {"ingest", "registry", "presence", "shadow", "commands", "ota", "downlink", "timeseries", "guard", "api"}
EACH_TOPIC = pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
INBOXES = [topic for topic in TOPICS if topic.name.endswith("inbox")]
KINDS = sorted({kind for topic in TOPICS for kind in topic.types}, key=lambda kind: kind.__name__)
WRITTEN_BY_INGEST = {
    "command_answered",
    "connection_observed",
    "data_requested",
    "data_uploaded",
    "dead_letter",
    "delivery_observed",
    "device_message_sent",
    "lease_renewed",
    "ota_progress_reported",
    "probe_answered",
    "resource_requested",
    "shadow_acknowledged",
    "shadow_message_received",
    "shadow_pulled",
    "shadow_reported",
    "source_listed",
    "source_listing_ended",
    "source_started",
    "status_reported",
}


@EACH_TOPIC
def test_a_topic_says_what_it_is_for_and_who_uses_it(topic: Topic) -> None:
    assert re.fullmatch(r"[A-Z].{20,}\.", topic.purpose), topic.purpose
    assert topic.key
    assert topic.producers
    assert topic.consumers
    assert {*topic.producers, *topic.consumers} <= SERVICES | OUTSIDE


@EACH_TOPIC
def test_a_topic_names_its_types_unless_its_records_are_a_lanes_own(topic: Topic) -> None:
    assert bool(topic.types) == (topic.format == "json")
    assert len(set(topic.kinds)) == len(topic.types)


@EACH_TOPIC
def test_a_compacted_topic_keeps_its_keys_for_ever_and_any_other_says_for_how_long(topic: Topic) -> None:
    if topic.cleanup == "compact":
        assert topic.retention_ms == FOREVER
    else:
        assert topic.retention_ms == FOREVER or topic.retention_ms >= 24 * 60 * 60 * 1000


@EACH_TOPIC
def test_what_is_keyed_by_device_shares_the_installations_partition_count(topic: Topic) -> None:
    if topic.key.startswith("product/device") or topic.name in {inbox.name for inbox in INBOXES}:
        assert topic.partitions is None


@EACH_TOPIC
def test_settings_are_kafkas_words_with_text_values(topic: Topic) -> None:
    for name, value in topic.config.items():
        assert re.fullmatch(r"[a-z]+(\.[a-z]+)+", name)
        assert isinstance(value, str)
        assert name not in {"cleanup.policy", "retention.ms"}, "these have fields of their own"


def test_names_are_valid_for_kafka_and_unique() -> None:
    found = [topic.name for topic in TOPICS]
    assert len(set(found)) == len(found)
    assert all(re.fullmatch(r"[a-z][a-z0-9.-]{1,100}", name) for name in found)
    assert len({re.sub(r"[.]", "_", name) for name in found}) == len(found), "Kafka's metrics confuse . and _"


def test_every_constant_has_an_entry_and_every_entry_a_constant_or_a_rule() -> None:
    constants = {value for name, value in vars(names).items() if name.isupper() and name != "TYPE_CHECKING"}
    ruled = {names.dead_letters(service) for service in SERVICES}
    entries = {topic.name for topic in TOPICS if topic.name not in ruled and topic.format != "lane-row"}
    assert entries == constants


@pytest.mark.parametrize("inbox", INBOXES, ids=lambda topic: topic.name)
def test_an_inbox_is_read_by_one_service_which_has_dead_letters_and_a_changelog(inbox: Topic) -> None:
    (service,) = inbox.consumers
    assert inbox.name.startswith(f"{service}.")
    letters = catalog.get(names.dead_letters(service))
    assert (letters.producers, letters.stage) == ((service,), inbox.stage)
    changelogs = [topic for topic in TOPICS if topic.format == "lane-row" and topic.producers == (service,)]
    assert changelogs
    assert {(topic.cleanup, topic.stage, topic.partitions) for topic in changelogs} == {("compact", inbox.stage, None)}


@pytest.mark.parametrize("log", [topic for topic in TOPICS if topic.feeds], ids=lambda topic: topic.name)
def test_a_feed_points_to_an_inbox_that_accepts_all_that_is_fed(log: Topic) -> None:
    for name in log.feeds:
        inbox = catalog.get(name)
        assert inbox in INBOXES
        fed = set(log.types) & set(inbox.types)
        assert fed, "it takes none of them"
        assert inbox.broadcasts or not fed & set(log.announced)
        assert set(log.producers) <= set(inbox.producers)
        assert set(inbox.consumers) <= set(log.consumers)
        assert log.cleanup == "delete", "a state is not fed: its history is"


def test_what_an_inbox_is_not_fed_with_is_said_here() -> None:
    """A type is fed to the inboxes that take it, so one that is forgotten in an inbox would be missing in silence."""
    withheld = {(log.name, name): set(log.kinds) - set(catalog.get(name).kinds) for log in TOPICS for name in log.feeds}
    keys = {"api_key_issued", "api_key_revoked"}
    assert {way: kinds for way, kinds in withheld.items() if kinds} == {
        (names.REGISTRY_EVENTS, names.REGISTRY_INBOX): keys | OF_DEVICES,
        (names.REGISTRY_EVENTS, names.PRESENCE_INBOX): set(catalog.get(names.REGISTRY_EVENTS).kinds) - LIVES,
        (names.REGISTRY_EVENTS, names.SHADOW_INBOX): keys,
        (names.REGISTRY_EVENTS, names.COMMANDS_INBOX): keys,
        (names.REGISTRY_EVENTS, names.OTA_INBOX): keys,
        (names.COMMANDS_EVENTS, names.PRESENCE_INBOX): set(catalog.get(names.COMMANDS_EVENTS).kinds) - PROBES,
    }


LIVES = {"device_registered", "device_deleted"}
PROBES = {"probe_concluded"}
OF_DEVICES = {str(kind.__struct_config__.tag) for kind in KINDS if issubclass(kind, DeviceEvent)} & set(
    catalog.get(names.REGISTRY_EVENTS).kinds
)


def test_only_what_a_topic_holds_is_announced() -> None:
    for topic in TOPICS:
        assert set(topic.announced) <= set(topic.types)


def test_live_topics_are_not_fed_by_planned_ones() -> None:
    for topic in TOPICS:
        for name in topic.feeds:
            assert topic.stage == "live" or catalog.get(name).stage == "planned"


def test_dead_letters_take_the_largest_input_with_its_reason() -> None:
    letters = [topic for topic in TOPICS if topic.types == (DeadLetter,)]
    assert {topic.name for topic in letters} == {names.dead_letters(service) for service in SERVICES - {"api", "guard"}}
    for topic in letters:
        assert int(topic.config["max.message.bytes"]) > 1024 * 1024 * 4 / 3 + 64 * 1024


def test_one_kind_names_one_class_and_the_class_is_named_after_it() -> None:
    for kind in KINDS:
        tag = str(kind.__struct_config__.tag)
        assert tag == re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
    assert len({kind.__name__ for kind in KINDS}) == len(KINDS)


def test_messages_are_frozen_and_say_what_they_are() -> None:
    for kind in KINDS:
        assert kind.__struct_config__.frozen
        assert kind.__doc__
        assert kind.__struct_config__.tag_field == "type"


def test_what_ingest_writes_ends_with_the_time_of_arrival_at_equal_width() -> None:
    """Its resume filter recognises a redelivered message by the record without those last bytes."""
    with_arrival = {str(kind.__struct_config__.tag) for kind in KINDS if kind.__struct_fields__[-1] in ARRIVAL}
    anywhere = {
        str(kind.__struct_config__.tag) for kind in KINDS if {*kind.__struct_fields__} & {*ARRIVAL, "packet_id"}
    }
    assert with_arrival == anywhere == WRITTEN_BY_INGEST
    assert len({len(name) for name in ARRIVAL}) == 1


ARRIVAL = ("received_at", "ingested_at")


def test_whatever_only_ingest_writes_ends_with_the_time_of_arrival_but_activity_marks() -> None:
    """An activity mark is no copy of an MQTT message: it is written beside one."""
    by_ingest = {kind for topic in TOPICS if set(topic.producers) <= {"ingest", "gateways"} for kind in topic.kinds}
    assert by_ingest - {"traffic_seen"} <= WRITTEN_BY_INGEST


def test_broadcasts_name_their_partition() -> None:
    """One is written per partition, so the records of two partitions never have the same bytes."""
    for kind in (
        "source_started",
        "source_listed",
        "source_listing_ended",
        "lease_renewed",
        "time_passed",
        "send_to_tag",
        "cancel_fan_out",
        "set_rollout",
    ):
        (found,) = {each for each in KINDS if each.__struct_config__.tag == kind}
        assert "partition" in found.__struct_fields__
        assert all(topic.broadcasts for topic in TOPICS if kind in topic.kinds)


def test_a_broadcasts_key_is_never_a_devices() -> None:
    assert identity.BROADCAST_KEY.startswith(identity.RESERVED)
    with pytest.raises(identity.InvalidName):
        identity.split_key(identity.BROADCAST_KEY)
