"""A request that the client does not take was not asked, and a producer that ended says so."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from confluent_kafka import KafkaError, KafkaException

from libs.runtime.requests import client as module
from libs.runtime.requests.client import NotAsked, Requests, RequestsSettings
from libs.runtime.settings import KafkaSettings
from libs.topics.messages.base import ReplyTo

TOO_LARGE = KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))


class Question(msgspec.Struct, frozen=True, tag_field="type", tag="question"):
    reply_to: ReplyTo | None = None


class Client:
    """In place of librdkafka's producer, which takes nothing."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    def produce(self, *_: Any, **__: Any) -> None:
        raise TOO_LARGE


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(module, "Producer", Client)
    monkeypatch.setattr(module, "Consumer", Client)
    monkeypatch.setattr(Requests, "start", None)
    return lambda: Requests(KafkaSettings(), RequestsSettings())


async def test_a_request_that_cannot_be_sent_was_not_asked(requests: Any) -> None:
    asker = requests()
    asker._mailbox.deal({0: 0})
    question: Any = Question()
    with pytest.raises(NotAsked, match="cannot be sent"):
        await asker.ask("things.inbox", b"p/d", question)
    assert not asker._open


async def test_the_end_of_the_producer_is_told_and_lesser_errors_are_not(requests: Any) -> None:
    asker = requests()
    report = asker._producer.config["error_cb"]
    report(SimpleNamespace(fatal=lambda: False))
    asker.check()
    report(SimpleNamespace(fatal=lambda: True))
    with pytest.raises(KafkaException):
        asker.check()
    with pytest.raises(KafkaException):
        await asker.ask("things.inbox", b"p/d", Question())
