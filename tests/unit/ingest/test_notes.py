"""A note and its mark are one commit, and a tail that Kafka does not give is given up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from services.ingest import notes
from services.ingest.notes import Notes

if TYPE_CHECKING:
    from collections.abc import Callable

TOPIC = "t"
END = 7


class Consumer:
    """Holds commits; gives no record."""

    def __init__(self, _config: dict[str, Any]) -> None:
        self.committed_: list[TopicPartition] = []

    def list_topics(self, topic: str, timeout: float) -> Any:
        assert timeout > 0

        class Metadata:
            error = None
            partitions = (0,)

        class Found:
            topics = {topic: Metadata}  # noqa: RUF012  (as short as it can be)

        return Found

    def committed(self, asked: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        assert timeout > 0
        return self.committed_ or asked

    def commit(self, offsets: list[TopicPartition], *, asynchronous: bool) -> list[TopicPartition]:
        assert not asynchronous
        self.committed_ = offsets
        return offsets

    def assign(self, _asked: list[TopicPartition]) -> None:
        """Fine."""

    def unassign(self) -> None:
        """Fine."""

    def consume(self, _count: int, _timeout: float) -> list[Any]:
        return []

    def position(self, asked: list[TopicPartition]) -> list[TopicPartition]:
        return asked


def bound(spec: OffsetSpec) -> int:
    return 0 if spec is OffsetSpec.earliest() else END


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Notes]:
    monkeypatch.setattr(notes, "Consumer", Consumer)
    monkeypatch.setattr(notes, "AdminClient", lambda _: None)
    monkeypatch.setattr(notes, "offsets", lambda _admin, asked, spec, _timeout: dict.fromkeys(asked, bound(spec)))
    return lambda: Notes({}, "note-x", [TOPIC], 1000)


def test_a_mark_comes_and_goes_with_the_note(made: Callable[[], Notes]) -> None:
    note = made()
    assert note.read() is None
    assert not note.opening
    for opening in (True, False):
        note.write({(TOPIC, 0): 3}, opening=opening)
        assert note.read() == {(TOPIC, 0): 3}
        assert note.opening is opening


def test_a_tail_that_does_not_come_is_given_up(made: Callable[[], Notes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "STALLED", 0.05)
    with pytest.raises(KafkaException, match="the tail cannot be read"):
        made().tail(0.0)
