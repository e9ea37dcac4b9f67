from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import OffsetSpec

from libs.runtime.offsets import offsets

if TYPE_CHECKING:
    from confluent_kafka import TopicPartition

FENCED = KafkaException(KafkaError(KafkaError.FENCED_LEADER_EPOCH))


class Answer(NamedTuple):
    offset: int


class Admin:
    """Refuses until it is asked for metadata, as librdkafka's does after a leader was started again."""

    def __init__(self, *, cured_by_metadata: bool) -> None:
        self.fenced, self.curable = True, cured_by_metadata
        self.asked = 0

    def list_offsets(self, places: dict[TopicPartition, OffsetSpec], **_: Any) -> dict[TopicPartition, Future[Answer]]:
        self.asked += 1
        answers = {}
        for place in places:
            answers[place] = Future[Answer]()
            if self.fenced:
                answers[place].set_exception(FENCED)
            else:
                answers[place].set_result(Answer(100 + place.partition))
        return answers

    def list_topics(self, **_: Any) -> None:
        self.fenced = not self.curable


def test_a_leader_with_a_newer_epoch_is_asked_once_more_with_new_metadata() -> None:
    admin = Admin(cured_by_metadata=True)
    assert offsets(admin, [("t", 0), ("t", 1)], OffsetSpec.latest(), 1.0) == {("t", 0): 100, ("t", 1): 101}
    assert admin.asked == 2


def test_a_refusal_that_new_metadata_does_not_cure_is_raised() -> None:
    admin = Admin(cured_by_metadata=False)
    with pytest.raises(KafkaException):
        offsets(admin, [("t", 0)], OffsetSpec.latest(), 1.0)
    assert admin.asked == 2
