"""The reading of log, topic and table one after the other, while shadows change."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, cast

from msgspec.structs import replace

from cli.verify import run
from cli.verify.run import Reach, Verification
from cli.verify.survey import shown
from libs.runtime.partitioner import partition_of
from libs.topics.codec import encode
from tests.unit.cli.lives import Life

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest
    from confluent_kafka import Message

    from cli.verify.run import Report
    from cli.verify.survey import Shown
    from libs.topics.messages.base import Message as Told

PARTITIONS = 4


class Record:
    """As much of `confluent_kafka.Message` as is read."""

    def __init__(self, topic: str, offset: int, key: str, value: bytes | None) -> None:
        self._topic, self._offset, self._key, self._value = topic, offset, key, value

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes:
        return self._key.encode()

    def value(self) -> bytes | None:
        return self._value


class Topic:
    """``before`` is called at the beginning of each reading."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._records: list[Record] = []
        self._read = 0
        self.before: Callable[[], None] = lambda: None

    def write(self, key: str, message: Told | bytes | None) -> None:
        value = message if isinstance(message, bytes | None) else encode(message)
        self._records.append(Record(self._name, len(self._records), key, value))

    def catch_up(self) -> Iterator[Message]:
        self.before()
        while self._read < len(self._records):
            self._read += 1
            yield cast("Message", self._records[self._read - 1])


class Hub:
    """A shadow service in memory: what it says of lives goes to the log, the topic and the table."""

    def __init__(self) -> None:
        self.log, self.topic = Topic("shadow.events"), Topic("shadow.documents")
        self.rows: dict[str, Shown] = {}
        self.away = 0
        """How many of the next questions nobody answers."""
        self.before_asking: deque[Callable[[], None]] = deque()

    def tell(self, life: Life, since: int = 0) -> None:
        """Publish what happened behind the first ``since`` events."""
        for event in life.events[since:]:
            self.log.write(life.device, event)
        document = life.public()
        self.topic.write(life.key, document)
        if document is not None:
            self.rows[life.key] = shown(document)
        else:
            self.rows.pop(life.key, None)

    async def ask(self, devices: list[str]) -> tuple[dict[str, Shown], set[str]]:
        if self.before_asking:
            self.before_asking.popleft()()
        if self.away:
            self.away -= 1
            return {}, set(devices)
        return {key: row for key, row in self.rows.items() if run.device_of(key) in devices}, set()

    async def verified(self, patience: float = 5.0, chosen: set[int] | None = None) -> Report:
        numbers = frozenset(range(PARTITIONS) if chosen is None else chosen)
        reach = Reach(PARTITIONS, numbers, numbers)
        return await Verification(self.log, self.topic, self, reach).run(patience)


def lives(hub: Hub, count: int = 40) -> list[Life]:
    made = [Life(f"p/d{number}", "night" if number % 3 == 0 else None) for number in range(count)]
    for life in made:
        life.many(count)
        hub.tell(life)
    return made


async def test_what_is_as_it_should_be_is_counted() -> None:
    hub = Hub()
    first, second, *_ = lives(hub)
    for life in (first, second):
        life.delete()
        hub.tell(life, since=40)
    hub.log.write("patch-1", b'{"type":"from_tomorrow"}')
    report = await hub.verified()
    assert report == run.Report(
        documents=38,
        alike_in_topic=40,
        alike_in_table=40,
        unfounded=0,
        unanswered=0,
        events=40 * 40 + 2,
        repeated=0,
        differences=[],
        unreadable=[],
    )


async def test_what_changes_while_it_is_read_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "PAUSE", 0.0)
    hub = Hub()
    first, second, third, fourth, *_ = lives(hub)

    def go_on() -> None:
        """All three move between log, topic and table; the table is ahead of a log that is written late."""
        for life in (first, second, third):
            life.many(3)
            hub.tell(life, since=len(life.events) - 3)
        fourth.many(2)
        document = fourth.public()
        assert document is not None
        hub.rows[fourth.key] = shown(document)

    def write_late() -> None:
        hub.tell(fourth, since=len(fourth.events) - 2)

    hub.before_asking.append(go_on)
    readings = 0

    def count() -> None:
        nonlocal readings
        readings += 1
        if readings == 3:
            write_late()

    hub.log.before = count
    report = await hub.verified()
    assert (report.differences, report.alike_in_topic, report.alike_in_table) == ([], 40, 40)


async def test_a_document_that_never_comes_is_a_difference_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "PAUSE", 0.0)
    hub = Hub()
    first, second, third, *_ = made = lives(hub)
    hub.topic.write(second.key, None)
    late = Life("p/late")
    late.many(3)
    hub.topic.write(late.key, late.public())
    for life in (first, third):
        document = life.public()
        assert document is not None
        hub.rows[life.key] = shown(replace(document, desired_version=1))
    report = await hub.verified(patience=0.05)
    assert [(one.device, one.shadow, one.where, one.kind, one.version) for one in report.differences] == [
        ("p/d0", "night", "table", "content", 40),
        ("p/d1", None, "shadow.documents", "missing", 40),
        ("p/d2", None, "table", "content", 40),
        ("p/late", None, "shadow.documents", "missing_events", 1),
    ]
    assert report.alike_in_topic == len(made) - 1


async def test_an_owner_that_is_away_is_asked_again_and_told_of_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "PAUSE", 0.0)
    hub = Hub()
    lives(hub, 3)
    hub.away = 2
    report = await hub.verified()
    assert (report.unanswered, report.alike_in_table, report.differences) == (0, 3, [])
    hub = Hub()
    lives(hub, 3)
    hub.away = 1_000_000_000
    report = await hub.verified(patience=0.05)
    assert (report.unanswered, report.alike_in_topic, report.alike_in_table) == (3, 3, 0)


async def test_records_that_nobody_can_read_are_named() -> None:
    hub = Hub()
    (life,) = lives(hub, 1)
    hub.log.write("p/d0", b'{"type":"shadow_changed"}')
    hub.log.write("p/other", life.events[0])
    hub.topic.write("p/d7", b"\xff")
    hub.topic.write("p/d8", life.public())
    report = await hub.verified(patience=0.0)
    assert [text.partition(":")[0] for text in report.unreadable] == [
        "shadow.events 0@1",
        "shadow.events 0@2",
        "shadow.documents 0@1",
        "shadow.documents 0@2",
    ]


async def test_only_the_partitions_that_are_chosen() -> None:
    hub = Hub()
    made: list[Any] = lives(hub)
    mine = [life for life in made if partition_of(life.device.encode(), PARTITIONS) == 2]
    others = Hub()
    for life in mine:
        others.tell(life)
    others.topic, others.rows = hub.topic, hub.rows
    report = await others.verified(chosen={2})
    assert (report.documents, report.alike_in_topic, report.alike_in_table) == (len(mine),) * 3
    assert 0 < len(mine) < len(made)
