"""A stream that is cut anywhere, and resumed on any process, tells what an uninterrupted one tells: all of it, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from libs.topics import names
from services.api import frames, positions
from services.api.fan import Fan, Outbox, topics_of
from services.api.frames import Record
from services.api.missed import Missed

if TYPE_CHECKING:
    from services.api.positions import Place

PARTITIONS = 2
KINDS = frozenset({"presence_changed", "device_registered"})
TOPICS = (names.PRESENCE_TRANSITIONS, names.REGISTRY_EVENTS)
PLACES: list[Place] = [(topic, number) for topic in TOPICS for number in range(PARTITIONS)]
KIND = dict(zip(TOPICS, ("presence_changed", "device_registered"), strict=True))


class Event(msgspec.Struct, frozen=True):
    name: str
    data: Any


def parsed(chunk: bytes) -> tuple[list[Event], str | None]:
    """Events, and the last id, as a browser reads them."""
    events: list[Event] = []
    last = None
    for block in chunk.decode().split("\n\n")[:-1]:
        fields = [line.partition(": ") for line in block.split("\n")]
        data = "\n".join(value for name, _, value in fields if name == "data")
        named = {name: value for name, _, value in fields}
        last = named.get("id", last)
        if data:
            events.append(Event(named["event"], msgspec.json.decode(data)))
    return events, last


class Reader:
    """A process: its fan-out, which reads the logs at its own pace."""

    def __init__(self, logs: dict[Place, list[Record]]) -> None:
        self.logs = logs
        self.fan = Fan(PARTITIONS)
        for topic in TOPICS:
            self.fan.begin(topic, [len(logs[topic, number]) for number in range(PARTITIONS)])

    def advance(self, place: Place) -> None:
        at = self.fan.vector[place]
        if at < len(self.logs[place]):
            self.fan.take(self.logs[place][at])


class CutAnywhere(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.logs: dict[Place, list[Record]] = {place: [] for place in PLACES}
        self.readers = [Reader(self.logs), Reader(self.logs)]
        self.got: list[Any] = []
        self.begun: dict[Place, int] | None = None
        self.last: str | None = None
        self.reader = self.readers[0]
        self.outbox: Outbox | None = None
        self.missed: Missed | None = None
        self.target: dict[Place, int] = {}

    @rule(place=st.sampled_from(PLACES), product=st.sampled_from(["p1", "p1", "p2"]), count=st.integers(1, 3))
    def produce(self, place: Place, product: str, count: int) -> None:
        for _ in range(count):
            offset = len(self.logs[place])
            value = msgspec.json.encode({"type": KIND[place[0]], "place": [*place, offset]})
            self.logs[place].append(Record(place, offset, product, KIND[place[0]], value))

    @rule(number=st.integers(0, 1), place=st.sampled_from(PLACES), count=st.integers(1, 4))
    def advance(self, number: int, place: Place, count: int) -> None:
        for _ in range(count):
            self.readers[number].advance(place)

    @precondition(lambda self: self.outbox is None)
    @rule(number=st.integers(0, 1))
    def connect(self, number: int) -> None:
        self.reader = self.readers[number]
        fan = self.reader.fan
        self.outbox = Outbox("p1", KINDS, 1 << 20, lambda: None)
        if self.last is None:
            self.begun = dict(fan.vector)
            fan.join(self.outbox, fan.vector)
            self._hear(frames.opening(fan.position(self.outbox)))
            return
        self.missed = Missed(self.outbox, positions.read(self.last, PARTITIONS), PARTITIONS)
        self.target = dict(fan.vector)

    @precondition(lambda self: self.missed is not None)
    @rule(place=st.sampled_from(PLACES), count=st.integers(1, 5))
    def catch_up(self, place: Place, count: int) -> None:
        assert self.missed is not None
        at = self.missed.vector[place]
        for record in self.logs[place][at : at + count]:
            self._hear(self.missed.take(record, self.target))

    @precondition(lambda self: self.missed is not None)
    @rule()
    def join(self) -> None:
        """As `CatchUp.join` does: the rest is read while the outbox keeps what comes."""
        assert self.outbox is not None
        assert self.missed is not None
        self.target = dict(self.reader.fan.vector)
        self.reader.fan.join(self.outbox, self.missed.vector)
        for place in PLACES:
            self.advance(self.readers.index(self.reader), place, 2)
        for place in PLACES:
            for record in self.logs[place][self.missed.vector[place] :]:
                self._hear(self.missed.take(record, self.target))
        assert not self.missed.left(self.target)
        self.missed = None

    @precondition(lambda self: self.outbox is not None and self.missed is None)
    @rule()
    def read(self) -> None:
        assert self.outbox is not None
        self._hear(self.outbox.drain() or frames.moved(self.reader.fan.position(self.outbox)))

    @precondition(lambda self: self.outbox is not None)
    @rule(data=st.data())
    def cut(self, data: st.DataObject) -> None:
        """What was sent last arrives in part."""
        assert self.outbox is not None
        self.reader.fan.part(self.outbox)
        if self.missed is None:
            rest = self.outbox.drain()
            self._hear(rest[: data.draw(st.integers(0, len(rest)))])
        self.outbox = self.missed = None

    def _hear(self, chunk: bytes) -> None:
        events, last = parsed(chunk)
        assert all(event.name != "gap" for event in events)
        self.got += [event.data["place"] for event in events]
        self.last = last or self.last

    def teardown(self) -> None:
        if self.begun is None:
            return
        if self.missed is not None:
            self.join()
        for number in range(len(self.readers)):
            for place in PLACES:
                self.advance(number, place, len(self.logs[place]))
        if self.outbox is None:
            self.connect(0)
            self.join()
        self.read()
        for place in PLACES:
            wanted = [one.offset for one in self.logs[place][self.begun[place] :] if one.product_id == "p1"]
            assert [offset for *where, offset in self.got if tuple(where) == place] == wanted


CutAnywhere.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestCutAnywhere = CutAnywhere.TestCase


VECTORS = st.fixed_dictionaries({place: st.integers(0, 2**50) for place in PLACES})


@given(VECTORS)
def test_a_position_is_read_as_it_was_written(vector: dict[Place, int]) -> None:
    assert positions.read(positions.write(TOPICS, vector, PARTITIONS), PARTITIONS) == vector


@example("~p" + "1." * (PARTITIONS - 1))
@given(st.text(alphabet="~prt.09az", max_size=40) | st.text(max_size=40) | st.just("~p1.2" * 2000))
def test_what_is_no_position_is_refused(text: str) -> None:
    try:
        vector = positions.read(text, PARTITIONS)
    except positions.InvalidPosition:
        return
    topics = [topic for topic in frames.TOPICS if (topic, 0) in vector]
    assert positions.read(positions.write(topics, vector, PARTITIONS), PARTITIONS) == vector


def record(offset: int, product: str = "p1") -> Record:
    return Record(PLACES[0], offset, product, "presence_changed", b'{"type":"presence_changed"}')


def joined(limit: int = 1 << 20) -> tuple[Fan, Outbox]:
    fan, outbox = Fan(PARTITIONS), Outbox("p1", frozenset({"presence_changed"}), limit, lambda: None)
    fan.begin(PLACES[0][0], [5, 0])
    fan.join(outbox, fan.vector)
    return fan, outbox


def test_records_that_are_gone_are_told_to_whoever_joined() -> None:
    fan, outbox = joined()
    fan.take(record(9, product="p2"))
    events, last = parsed(outbox.drain())
    assert events == [Event("gap", {"topic": PLACES[0][0], "partition": 0, "records": 4})]
    assert last == "~pa.0"


def test_records_that_are_gone_are_told_to_whoever_resumes() -> None:
    missed = Missed(joined()[1], dict.fromkeys(PLACES, 0), PARTITIONS)
    target = {PLACES[0]: 9}
    told = missed.begins_at(PLACES[0], 3, target) + missed.take(record(4), target) + missed.take(record(12), target)
    events, last = parsed(told)
    assert [(event.name, event.data.get("records")) for event in events] == [
        ("gap", 3),
        ("gap", 1),
        ("presence_changed", None),
        ("gap", 4),
    ]
    assert (last, missed.left(target)) == ("~p9.0", 0)


def test_a_subscriber_that_does_not_read_is_ended_and_his_position_stays() -> None:
    fan, outbox = joined(limit=150)
    for offset in range(5, 20):
        fan.take(record(offset))
    assert outbox.over
    events, last = parsed(outbox.drain())
    assert [event.name for event in events] == ["presence_changed", "presence_changed", "ended"]
    assert events[-1].data["code"] == "too_slow"
    assert last == "~p7.0"


def test_nobody_gets_what_he_did_not_ask_for_or_what_is_no_products() -> None:
    fan, outbox = joined()
    fan.take(record(5, product="p2"))
    fan.take(frames.record(PLACES[0], 6, b"p1/d1", b'{"type":"invented_tomorrow"}'))
    fan.take(frames.record(PLACES[0], 7, b"key:17", b'{"type":"api_key_issued"}'))
    fan.take(frames.record(PLACES[0], 8, b"p1/d1", b"no json"))
    fan.take(frames.record(("registry.events", 0), 8, b"p1/d1", b'{"type":"device_deleted"}'))
    assert outbox.drain() == b""
    assert fan.position(outbox) == "~p9.0"
    assert "api_key_issued" not in frames.TOPIC_OF


@given(st.lists(st.sampled_from([b"{", b"\n", b"\r", b"\r\n", b"x", b"data: ", b"id: 7"]), min_size=1))
def test_line_breaks_in_a_devices_payload_begin_no_field_of_their_own(pieces: list[bytes]) -> None:
    data = b"".join([b"{", *pieces, b"}"])
    block = frames.event("data_uploaded", data, "~t0.0").decode()
    lines = block.removesuffix("\n\n").splitlines()
    assert lines[0] == "event: data_uploaded"
    assert lines[-1] == "id: ~t0.0"
    assert all(line.startswith("data: ") for line in lines[1:-1])
    assert "\n".join(line.removeprefix("data: ") for line in lines[1:-1]) == "\n".join(data.decode().splitlines())


def test_topics_follow_from_what_is_asked_for() -> None:
    assert topics_of(frames.DEFAULT) == TOPICS
    assert topics_of({"data_uploaded"}) == (names.DEVICE_TELEMETRY,)


def test_whoever_listens_to_a_device_hears_all_of_it_and_of_no_other_until_he_leaves_off() -> None:
    fan = Fan(PARTITIONS)
    fan.begin(names.SHADOW_EVENTS, [0] * PARTITIONS)
    heard: list[int] = []

    def listener(record: Record) -> None:
        heard.append(record.offset)

    def tell(offset: int, key: bytes) -> None:
        fan.take(frames.record((names.SHADOW_EVENTS, 0), offset, key, b'{"type":"shadow_changed"}'))

    whole: list[int] = []
    fan.listen("p", "d", listener)
    fan.listen("p", "d", lambda _: None)
    fan.listen("p", None, lambda record: whole.append(record.offset))
    for offset, key in enumerate([b"p/d", b"p/e", b"q/d", b"p", b"p/d"]):
        tell(offset, key)
    fan.leave_off("p", "d", listener)
    tell(5, b"p/d")
    assert heard == [0, 4]
    assert whole == [0, 1, 3, 4, 5]


def test_a_fan_out_is_told_to_those_who_follow_its_product() -> None:
    value = b'{"type":"fan_out_started","id":"i","fanout_id":"f-1","product_id":"p"}'
    told = frames.record((names.COMMANDS_EVENTS, 0), 7, b"f-1", value)
    assert (told.kind, told.product_id, told.device_id) == ("fan_out_started", "p", "")
    assert topics_of({"fan_out_started"}) == (names.COMMANDS_EVENTS,)
