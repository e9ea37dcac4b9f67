"""Kafka keeps the mark of a note, and gives it back with the note to the next process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.topics import names
from services.ingest.notes import Notes
from tests.support.names import unique

if TYPE_CHECKING:
    from devstack.stack import Stack


def test_a_mark_survives_its_process_and_goes_with_the_next_note(brokers: Stack) -> None:
    group = unique("note")
    kafka = {"bootstrap.servers": brokers.kafka}
    first, second = (Notes(kafka, group, [names.DEVICE_TELEMETRY], 1000) for _ in range(2))
    try:
        assert first.read() is None
        ends = first.ends()
        first.write(ends, opening=True)
        assert second.read() == ends
        assert second.opening
        second.write(ends)
        assert first.read() == ends
        assert not first.opening
    finally:
        first.close()
        second.close()
