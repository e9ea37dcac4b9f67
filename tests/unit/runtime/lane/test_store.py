"""What goes wrong at the end of a recovery ends the process: Faust would go on without a word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from faust.types import TP

from libs.runtime.lane import store as module
from libs.runtime.lane.app import LaneApp
from libs.runtime.lane.part import Part
from libs.runtime.lane.rocks import now
from libs.runtime.settings import KafkaSettings
from tests.unit.runtime.lane.lab import Record
from tests.unit.runtime.lane.test_app import declare

if TYPE_CHECKING:
    from libs.runtime.lane.lane import Lane


class Exit(BaseException):
    """Stands in for the end of the process."""


@pytest.fixture
def lane(monkeypatch: pytest.MonkeyPatch) -> Lane:
    def die(reason: str, *values: object) -> None:
        raise Exit(reason % values)

    async def identify(_app: LaneApp, _lane: Lane) -> None:
        """Kafka has nothing against the inbox."""

    monkeypatch.setattr(module, "die", die)
    monkeypatch.setattr(LaneApp, "identify", identify)
    made: Lane = declare(LaneApp("ledger", kafka=KafkaSettings()), terms=lambda _: ())
    return made


async def complete(lane: Lane, value: bytes) -> None:
    tp = TP(lane.table.changelog_name, 0)
    data: Any = lane.parts
    data.part(0).apply([Record(b"a", value, 0)])
    await data.on_recovery_completed({tp}, set())


async def test_rows_that_nobody_can_read_end_the_process(lane: Lane) -> None:
    with pytest.raises(Exit, match="lane things cannot read its rows"):
        await complete(lane, bytes(8) + b"\xc1")


async def test_rows_are_complete_after_a_recovery(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    moments: list[int] = []
    monkeypatch.setattr(Part, "complete", lambda _part, at: moments.append(at))
    before = now()
    await complete(lane, bytes(8) + lane.codec.encode([0, 7]))
    part = lane.parts.part(0)
    [moment] = moments
    assert before <= moment <= now()
    assert part.built
    assert part.keys() == [b"a"]
