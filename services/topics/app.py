"""Creates the catalog's topics and ends: before the first start of an installation and at each upgrade."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from libs.runtime import logs, provision, shards
from libs.runtime.main import EXIT_CONFIG

if TYPE_CHECKING:
    from .settings import TopicsSettings

EXIT_UNAVAILABLE = 69
"""Kafka did not answer: trying again may help (sysexits' EX_UNAVAILABLE)."""

log = logs.get(__name__)


def start(settings: TopicsSettings) -> int:
    """Exit status: 0, 69 while Kafka cannot be reached or refuses, 78 where its topics are not ours."""
    wanted = shards.topics(settings.shards)
    try:
        done = provision.ensure(settings.kafka, wanted, settings.patience)
    except provision.TopicMismatch as error:
        for problem in error.problems:
            log.error("topic does not fit", problem=problem)  # noqa: TRY400 - the sentence says it all
        return EXIT_CONFIG
    except KafkaException as error:
        log.error("topics not created", bootstrap=settings.kafka.bootstrap, error=error.args[0].str())  # noqa: TRY400 - likewise
        return EXIT_UNAVAILABLE
    for difference in done.kept:
        log.warning("topic is tuned", difference=difference)
    log.info("topics ready", topics=len(wanted), created=len(done.created), completed=len(done.completed))
    return 0
