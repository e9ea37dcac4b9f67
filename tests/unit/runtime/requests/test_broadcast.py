"""Every partition is asked once, and what came of each is told in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from libs.runtime.requests import client as module
from libs.runtime.requests.client import NoAnswer, NotAsked, Refused, Requests, RequestsSettings
from libs.runtime.settings import KafkaSettings
from libs.topics.identity import BROADCAST_KEY
from libs.topics.messages.hub import RequestAnswered
from tests.support.virtual_time import in_virtual_time
from tests.unit.runtime.requests.test_bulk import ENDS, INBOX, Owner, Question, counted, number_of

if TYPE_CHECKING:
    from collections.abc import Callable


class Partitions(Owner):
    """Owners by partition: ``ends`` says what becomes of a request to each."""

    def __init__(self, *ends: str) -> None:
        super().__init__()
        self.ends = ends

    def produce(  # type: ignore[override]  # a broadcast names its partition
        self, topic: str, value: bytes, key: bytes, on_delivery: Callable[..., None], partition: int
    ) -> None:
        assert key == BROADCAST_KEY
        super().produce(topic, value, self.ends[partition].encode(), on_delivery)


@pytest.mark.parametrize(
    "ends",
    [
        ["answer"] * 4,
        ["answer", "refuse", "too_large", "answer"],
        ["undelivered", "answer"],
        ["too_large"] * 3,
        [],
    ],
)
def test_each_partition_comes_to_its_own_end(ends: list[str]) -> None:
    owner = Partitions(*ends)
    questions: list[Any] = [Question(number) for number in range(len(ends))]

    async def story() -> None:
        requests = Requests(KafkaSettings(), RequestsSettings())
        requests._mailbox.deal({0: 0})
        owner.take = requests._take
        before = counted("answered")
        told = await requests.ask_partitions(INBOX, questions)
        assert [ENDS[type(end)] for end in told] == ends
        for number, end in enumerate(told):
            assert number_of(end) == (number if isinstance(end, RequestAnswered | Refused) else None)
        assert counted("answered") - before == ends.count("answer")
        assert not requests._open

    with mock.patch.object(module, "Producer", owner), mock.patch.object(module, "Consumer", owner):
        in_virtual_time(story())


def test_partitions_that_are_silent_are_waited_for_together() -> None:
    owner = Partitions("silent", "answer", "silent")
    questions: list[Any] = [Question(number) for number in range(3)]

    async def story() -> None:
        requests = Requests(KafkaSettings(), RequestsSettings(limit=2))
        requests._mailbox.deal({0: 0})
        owner.take = requests._take
        told = await requests.ask_partitions(INBOX, questions, 5)
        assert [type(end) for end in told] == [NoAnswer, RequestAnswered, NotAsked]
        assert not requests._open

    with mock.patch.object(module, "Producer", owner), mock.patch.object(module, "Consumer", owner):
        in_virtual_time(story())
