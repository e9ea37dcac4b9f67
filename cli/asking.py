"""What operators ask of lanes, and read of compacted topics, over Kafka itself."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from confluent_kafka import KafkaException

from libs.runtime.compacted import Compacted, NoSuchTopic
from libs.runtime.requests.client import NoAnswer, NotAsked, Refused, Requests, RequestsSettings
from libs.topics.codec import Decoder
from libs.topics.messages.base import Message

from .exits import Exit, Failure, of_http

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.runtime.background import Background
    from libs.runtime.settings import KafkaSettings
    from libs.topics.messages.base import Request
    from libs.topics.messages.hub import RequestAnswered

M = TypeVar("M", bound=Message)

PATIENCE = 15.0
"""Seconds for the owner of a row to answer."""


async def ask(kafka: KafkaSettings, inbox: str, key: bytes, request: Request) -> RequestAnswered:
    """Ask the owner of a row. Raises `Failure`."""
    with reported(kafka):
        # A group of its own: one that lasts would wait for a member that was killed.
        requests = Requests(kafka, RequestsSettings(group=f"fleetlog-cli-{uuid.uuid4().hex[:12]}"))
        try:
            await _started(requests, kafka)
            return await requests.ask(inbox, key, request, PATIENCE)
        except Refused as refused:
            answer = refused.answer
            raise Failure(
                of_http(answer.status, answer.code), answer.detail, code=answer.code, advice=answer.advice
            ) from refused
        except (NoAnswer, NotAsked) as error:
            raise Failure(
                Exit.UNAVAILABLE, f"{error}", code="no_answer", advice="is the service running? look, then try again"
            ) from error
        finally:
            await requests.stop()


async def documents(kafka: KafkaSettings, topic: str, kind: type[M]) -> dict[bytes, M]:
    """Read a compacted topic to its end. Raises `Failure`."""
    with reported(kafka):
        followed = Compacted(kafka, topic, Decoder[M](kind))
        try:
            await _started(followed, kafka)
            return dict(followed.documents)
        except NoSuchTopic as error:
            raise Failure(
                Exit.NOT_FOUND, str(error), code="unknown_topic", advice="`fleetlog topics apply` creates it, too"
            ) from error
        finally:
            await followed.stop()


async def _started(part: Background, kafka: KafkaSettings) -> None:
    """A service waits for Kafka; a person is told. Raises `Failure`."""
    try:
        async with asyncio.timeout(PATIENCE):
            await part.start()
    except TimeoutError:
        raise _away(kafka, f"not within {PATIENCE:g} s") from None


@contextmanager
def reported(kafka: KafkaSettings) -> Iterator[None]:
    """Say of Kafka's own errors where it was looked for."""
    try:
        yield
    except KafkaException as error:
        raise _away(kafka, error.args[0].str()) from error


def _away(kafka: KafkaSettings, why: str) -> Failure:
    return Failure(
        Exit.UNAVAILABLE,
        f"Kafka at {kafka.bootstrap} does not answer: {why}",
        code="kafka_unavailable",
        advice="is it running, and is FLEETLOG_KAFKA_BOOTSTRAP right?",
    )
