from __future__ import annotations

import pytest

from libs.runtime.provision import Found, Wanted, differing, mismatches, missing, want
from libs.runtime.settings import KafkaSettings
from libs.topics import catalog

STATE = Wanted("presence.state", 4, {"cleanup.policy": "compact", "retention.ms": "-1"}, keyed=True)


def found(partitions: int = 4, **own: str) -> Found:
    dotted = {name.replace("_", "."): value for name, value in own.items()}
    return Found(partitions, dotted, {"cleanup.policy": "delete", "retention.ms": "604800000"} | dotted)


def test_a_keyed_topic_has_the_installation_s_partitions() -> None:
    wanted = want(catalog.get("device.telemetry"), KafkaSettings(partitions=6))
    assert (wanted.partitions, wanted.keyed) == (6, True)


def test_a_topic_may_have_its_own_number() -> None:
    wanted = want(catalog.get("ingest.dead-letters"), KafkaSettings(partitions=6))
    assert (wanted.partitions, wanted.keyed) == (1, False)


@pytest.mark.parametrize("topic", catalog.TOPICS, ids=lambda topic: topic.name)
def test_cleanup_retention_and_further_settings_come_from_the_catalog(topic: catalog.Topic) -> None:
    config = want(topic, KafkaSettings()).config
    assert config == {"cleanup.policy": topic.cleanup, "retention.ms": str(topic.retention_ms)} | dict(topic.config)


@pytest.mark.parametrize(("replication", "copies"), [(1, None), (2, None), (3, "2"), (5, "2")])
def test_an_acknowledgement_means_two_copies_where_there_are_three(replication: int, copies: str | None) -> None:
    wanted = want(catalog.get("device.telemetry"), KafkaSettings(replication=replication))
    assert wanted.config.get("min.insync.replicas") == copies


def test_a_topic_that_fits_is_no_mismatch() -> None:
    assert list(mismatches(STATE, found(cleanup_policy="compact"))) == []


def test_another_number_of_partitions_is_told_with_both_numbers_and_the_variable() -> None:
    (told,) = mismatches(STATE, found(8, cleanup_policy="compact"))
    assert told == (
        "topic presence.state has 8 partitions where 4 are wanted: if this is the right Kafka, its installation was "
        "made with FLEETLOG_KAFKA_PARTITIONS=8, which cannot be changed later"
    )


def test_a_number_that_the_catalog_fixes_is_not_blamed_on_the_variable() -> None:
    (told,) = mismatches(Wanted("x.dead-letters", 1, {"cleanup.policy": "delete"}, keyed=False), found(4))
    assert told.startswith("topic x.dead-letters has 4 partitions where 1 are wanted: the catalog fixes this number")


@pytest.mark.parametrize("policy", ["delete", "compact,delete"])
def test_another_cleanup_policy_is_told_with_the_command_that_mends_it(policy: str) -> None:
    (told,) = mismatches(STATE, found(cleanup_policy=policy))
    assert told.startswith(f"topic presence.state has cleanup.policy={policy} where compact is wanted")
    assert "--add-config cleanup.policy=compact" in told


def test_a_setting_that_nobody_made_is_missing() -> None:
    assert missing(STATE, found(cleanup_policy="compact")) == {"retention.ms": "-1"}


def test_a_setting_that_kafka_gives_anyway_is_not_missing() -> None:
    wanted = Wanted("x", 4, {"cleanup.policy": "delete", "retention.ms": "604800000"}, keyed=True)
    assert missing(wanted, found()) == {}


def test_a_setting_that_somebody_made_is_kept_and_told() -> None:
    tuned = found(cleanup_policy="compact", retention_ms="5")
    assert missing(STATE, tuned) == {}
    assert list(differing(STATE, tuned)) == [
        "topic presence.state has retention.ms=5, the catalog says -1: left as it is"
    ]
