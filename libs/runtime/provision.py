"""Creates the catalog's topics, and refuses a Kafka whose topics of these names are something else.

What cannot be changed later without harm is compared strictly: the number of partitions decides where a key lives,
and a wrong cleanup policy deletes state or keeps history for ever. Everything else is the operator's to tune: a
setting of the catalog that a topic does not have is added, one that somebody has set otherwise is kept and reported.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from .kafka import client_config

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from libs.topics.catalog import Topic

    from .settings import KafkaSettings

TIMEOUT: Final = 30.0
"""Seconds for each answer of the brokers, and for a topic to become visible."""
PAUSE: Final = 0.1
"""Seconds between two looks at a topic that is not visible yet."""
POLICY: Final = "cleanup.policy"
ELECTING: Final = frozenset(
    {
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)
"""What partitions answer until their leader is at work."""


class Wanted(msgspec.Struct, frozen=True):
    """One topic as this installation has it."""

    name: str
    partitions: int
    config: Mapping[str, str]
    keyed: bool
    """The number of partitions is the installation's, not the catalog's."""


class Found(msgspec.Struct, frozen=True):
    """One topic as Kafka has it. ``own``: what was set for this topic; ``effective``: with Kafka's defaults."""

    partitions: int
    own: Mapping[str, str]
    effective: Mapping[str, str]


class Provisioned(msgspec.Struct, frozen=True):
    """What `ensure` did."""

    created: tuple[str, ...]
    completed: tuple[str, ...]
    """``topic: setting`` for each setting that was added to a topic."""
    kept: tuple[str, ...]
    """One sentence for each setting that differs from the catalog and was left as it is."""


class Comparison(msgspec.Struct, frozen=True):
    """What `ensure` would do, and would refuse."""

    missing: tuple[str, ...]
    incomplete: tuple[str, ...]
    """``topic: setting`` for each setting that a topic does not have."""
    kept: tuple[str, ...]
    """As in `Provisioned`."""
    misfits: tuple[str, ...]
    """What is wrong with topics that do not fit, and what to do."""

    @property
    def same(self) -> bool:
        """Whether `ensure` would do nothing."""
        return not (self.missing or self.incomplete or self.misfits)


class TopicMismatch(RuntimeError):
    """Topics exist that do not fit; ``problems`` says for each what is wrong and what to do."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


def ensure(kafka: KafkaSettings, topics: Iterable[Topic], timeout: float = TIMEOUT) -> Provisioned:
    """Create topics and add settings that are missing, check the rest. Safe to repeat and to run twice at once.

    Raises `TopicMismatch`, having changed nothing where the misfits were there before, and confluent_kafka's
    KafkaException where the brokers do not answer or refuse.
    """
    admin = AdminClient(client_config(kafka))
    try:
        return _ensure(admin, [want(topic, kafka) for topic in topics], kafka.replication, timeout)
    finally:
        admin.poll(0)  # hands over what the client has to say, such as why it was not let in


def compare(kafka: KafkaSettings, topics: Iterable[Topic], timeout: float = TIMEOUT) -> Comparison:
    """Compare Kafka with the catalog, changing nothing. Raises confluent_kafka's KafkaException as `ensure`."""
    admin = AdminClient(client_config(kafka))
    try:
        present = admin.list_topics(timeout=timeout).topics
        every = [want(topic, kafka) for topic in topics]
        wanted = [topic for topic in every if topic.name in present]
        found = _inspect(admin, wanted, timeout)
    finally:
        admin.poll(0)
    return Comparison(
        missing=tuple(topic.name for topic in every if topic.name not in present),
        incomplete=tuple(f"{topic.name}: {name}" for topic in wanted for name in missing(topic, found[topic.name])),
        kept=tuple(line for topic in wanted for line in differing(topic, found[topic.name])),
        misfits=tuple(line for topic in wanted for line in mismatches(topic, found[topic.name])),
    )


def want(topic: Topic, kafka: KafkaSettings) -> Wanted:
    config = {POLICY: topic.cleanup, "retention.ms": str(topic.retention_ms), **topic.config}
    if kafka.replication >= 3:
        # acks=all means two copies, also while one broker is down
        config["min.insync.replicas"] = "2"
    return Wanted(topic.name, topic.partitions or kafka.partitions, config, topic.partitions is None)


def mismatches(wanted: Wanted, found: Found) -> Iterator[str]:
    """Say what is wrong and what to do about it."""
    if found.partitions != wanted.partitions:
        told = f"topic {wanted.name} has {found.partitions} partitions where {wanted.partitions} are wanted: "
        if wanted.keyed:
            told += (
                f"if this is the right Kafka, its installation was made with FLEETLOG_KAFKA_PARTITIONS="
                f"{found.partitions}, which cannot be changed later"
            )
        else:
            told += "the catalog fixes this number; delete the topic if nothing in it is needed"
        yield told
    policy = found.effective.get(POLICY, "")
    if set(policy.split(",")) != {wanted.config[POLICY]}:
        yield (
            f"topic {wanted.name} has {POLICY}={policy} where {wanted.config[POLICY]} is wanted: "
            f"set it with kafka-configs.sh --alter --topic {wanted.name} --add-config {POLICY}={wanted.config[POLICY]}"
        )


def missing(wanted: Wanted, found: Found) -> dict[str, str]:
    """Select what nobody has set for the topic and what Kafka's defaults do not give it either."""
    return {
        name: value
        for name, value in wanted.config.items()
        if name not in found.own and found.effective.get(name) != value
    }


def differing(wanted: Wanted, found: Found) -> Iterator[str]:
    for name, value in wanted.config.items():
        own = found.own.get(name, value)
        if name != POLICY and own != value:
            yield f"topic {wanted.name} has {name}={own}, the catalog says {value}: left as it is"


def _ensure(admin: AdminClient, wanted: list[Wanted], replication: int, timeout: float) -> Provisioned:
    present = admin.list_topics(timeout=timeout).topics
    old = [topic for topic in wanted if topic.name in present]
    found = _inspect(admin, old, timeout)
    _refuse(old, found)
    created = _create(admin, [topic for topic in wanted if topic.name not in present], replication, timeout)
    rest = [topic for topic in wanted if topic.name not in found and topic.name not in created]
    found |= _inspect(admin, rest, timeout)  # somebody else created these meanwhile
    _refuse(rest, found)
    new = [topic for topic in wanted if topic.name in created]
    _inspect(admin, new, timeout)  # visible before we say so
    _await_leaders(admin, new, timeout)
    additions = {topic.name: missing(topic, found[topic.name]) for topic in wanted if topic.name in found}
    _add(admin, {name: config for name, config in additions.items() if config}, timeout)
    return Provisioned(
        created=tuple(topic.name for topic in wanted if topic.name in created),
        completed=tuple(f"{name}: {setting}" for name, config in additions.items() for setting in config),
        kept=tuple(line for topic in wanted if topic.name in found for line in differing(topic, found[topic.name])),
    )


def _refuse(wanted: list[Wanted], found: Mapping[str, Found]) -> None:
    problems = [line for topic in wanted for line in mismatches(topic, found[topic.name])]
    if problems:
        raise TopicMismatch(problems)


def _create(admin: AdminClient, wanted: list[Wanted], replication: int, timeout: float) -> set[str]:
    """Return the names that we created ourselves."""
    if not wanted:
        return set()
    new = [NewTopic(topic.name, topic.partitions, replication, config=dict(topic.config)) for topic in wanted]
    created = set()
    for name, future in admin.create_topics(new, operation_timeout=timeout, request_timeout=timeout).items():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
        else:
            created.add(name)
    return created


def _inspect(admin: AdminClient, wanted: list[Wanted], timeout: float) -> dict[str, Found]:
    """Look at topics that exist; a broker may not have heard of one that was created a moment ago."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return _look(admin, [topic.name for topic in wanted], timeout)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART or time.monotonic() > deadline:
                raise
        time.sleep(PAUSE)


def _await_leaders(admin: AdminClient, wanted: list[Wanted], timeout: float) -> None:
    """Wait until every partition answers: a leader that is named may not yet know of it."""
    if not wanted:
        return
    latest = OffsetSpec.latest()
    asked = {TopicPartition(topic.name, number): latest for topic in wanted for number in range(topic.partitions)}
    deadline = time.monotonic() + timeout
    while True:
        answers = admin.list_offsets(asked, request_timeout=timeout).values()
        refusals = [error.args[0] for future in answers if isinstance(error := future.exception(), KafkaException)]
        if not refusals:
            return
        final = [refusal for refusal in refusals if refusal.code() not in ELECTING]
        if final or time.monotonic() > deadline:
            raise KafkaException((final or refusals)[0])
        time.sleep(PAUSE)


def _look(admin: AdminClient, names: list[str], timeout: float) -> dict[str, Found]:
    if not names:
        return {}
    metadata = admin.list_topics(timeout=timeout).topics
    unseen = [name for name in names if name not in metadata]
    if unseen:
        raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, f"not visible yet: {', '.join(unseen)}"))
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    configs = admin.describe_configs(resources, request_timeout=timeout)
    return {
        resource.name: _found(len(metadata[resource.name].partitions), future.result())
        for resource, future in configs.items()
    }


def _found(partitions: int, entries: Mapping[str, Any]) -> Found:
    # librdkafka's Python client gives the source as a bare number
    own = ConfigSource.DYNAMIC_TOPIC_CONFIG.value
    return Found(
        partitions,
        {entry.name: entry.value for entry in entries.values() if entry.source == own},
        {entry.name: entry.value for entry in entries.values()},
    )


def _add(admin: AdminClient, additions: Mapping[str, Mapping[str, str]], timeout: float) -> None:
    if not additions:
        return
    resources = [
        ConfigResource(
            ResourceType.TOPIC,
            name,
            incremental_configs=[
                ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
                for setting, value in config.items()
            ],
        )
        for name, config in additions.items()
    ]
    for future in admin.incremental_alter_configs(resources, request_timeout=timeout).values():
        future.result()
