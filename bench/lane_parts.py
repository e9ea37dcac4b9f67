"""Where a lane's CPU time goes, part by part, in one thread and without a broker: microseconds per event.

The lane's own code folds 100,000 keys (or 200, or what 5,000 devices are sent), chunk by chunk, and produces to the
broker that librdkafka has inside for tests, whose threads are not counted; nor are aiokafka's reading and Faust's
hand-over, which are per slice. Each figure is the least of several passes: on a busy machine the others measure its
caches.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, PartitionRecords
from aiokafka.partitioner import murmur2
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from bench.lane import HOT_KEYS, KEYS, PARTITIONS, readings
from bench.lane_apps import fold as count
from bench.support import ledgers, shadows
from bench.support.presence import connections
from libs.runtime.lane.fetch import ParsedRecords
from libs.runtime.lane.lane import Lane
from libs.runtime.lane.model import At, Shared
from libs.runtime.lane.part import Part
from libs.runtime.lane.passage import CHUNK
from libs.runtime.lane.pipeline import Batch
from libs.runtime.lane.producer import LaneProducer
from libs.runtime.lane.work import Work
from libs.topics.codec import Decoder
from services.commands.app import MAX_ROW as LARGEST
from services.commands.limits import DEFAULTS
from services.commands.lives import deadline as expiry
from services.commands.model import Entry as Ledger
from services.commands.model import Product as Times
from services.commands.reference import fold_reference as fold_times
from services.commands.step import Message as Order
from services.commands.step import step as order
from services.commands.views import listing as commands_of
from services.commands.views import terms as fanouts_of
from services.presence.forget import deadline
from services.presence.model import Device, Sources
from services.presence.session import terms
from services.presence.step import Event, fold_sources, step
from services.presence.views import tally
from services.shadow.app import MAX_ROW
from services.shadow.lives import deadline as remnant
from services.shadow.model import Entry, Head, Product
from services.shadow.reference import fold_reference, sum_up
from services.shadow.step import Message
from services.shadow.step import step as change
from services.shadow.views import listing
from services.shadow.views import terms as shadow_terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOCK = {"bootstrap.servers": "inside", "test.mock.num.brokers": 1, "log_level": 0, "linger.ms": 5}
COUNT: dict[str, Any] = {"decode": count.decode, "row": count.Count, "step": count.step, "shared": "out"}
PRESENCE: dict[str, Any] = {
    "decode": Decoder[Event](Event),
    "row": Device,
    "step": step,
    "shared": Sources(),
    "fold_shared": fold_sources,
    "terms": terms,
    "deadline": deadline,
    "tally": tally,
}


SHADOW: dict[str, Any] = {
    "decode": Decoder[Message](Message),
    "row": Entry,
    "head": Head,
    "step": change,
    "shared": -1,
    "cell": Product,
    "fold_shared": fold_reference,
    "swept": sum_up,
    "terms": shadow_terms,
    "deadline": remnant,
    "listing": listing,
    "max_row": MAX_ROW,
}
LEDGER: dict[str, Any] = {
    "decode": Decoder[Order](Order),
    "row": Ledger,
    "step": order,
    "shared": -1,
    "cell": Times,
    "fold_shared": partial(fold_times, rules=DEFAULTS),
    "terms": fanouts_of,
    "deadline": partial(expiry, rules=DEFAULTS),
    "listing": commands_of,
    "max_row": LARGEST,
}
DEVICES = 5_000
"""Whose shadows change, and who are sent commands."""


class Task(msgspec.Struct, frozen=True):
    """What a lane does, and a backlog of it: batches of `CHUNK` records as a broker stores them, by partition."""

    lane: dict[str, Any]
    batches: list[tuple[int, bytes]]


class Clock:
    """CPU time of this thread, in seconds by part."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        begun = time.thread_time()
        yield
        self.spent[part] += time.thread_time() - begun


def run(quick: bool) -> dict[str, Any]:
    events, passes = (50_000, 2) if quick else (200_000, 5)
    tasks = {
        "spread": Task(COUNT, _batches(_counted(events, KEYS))),
        "hot": Task(COUNT, _batches(_counted(events, HOT_KEYS))),
        "presence": Task(PRESENCE, _batches(connections(events // 2, KEYS))),
        "change": Task(SHADOW, _batches(shadows.Work("inbox", DEVICES, events // 2, reported=False).records())),
        "report": Task(SHADOW, _batches(shadows.Work("inbox", DEVICES, events // 2, reported=True).records())),
        "command": Task(LEDGER, _batches(ledgers.Work(DEVICES, 0, 0, events // 2).records())),
    }
    found: dict[str, Any] = {"mismatched": 0}
    for name, task in tasks.items():
        runs = [_pass(task) for _ in range(passes)]
        found["mismatched"] += sum(mismatched for _, mismatched in runs)
        found |= {f"{name}_{part}_us": round(min(costs[part] for costs, _ in runs), 2) for part in runs[0][0]}
    return found


def _counted(events: int, keys: int) -> Iterator[tuple[bytes, bytes]]:
    return ((key, count.encode(one)) for key, one in readings(events, keys))


def _batches(records: Iterable[tuple[bytes, bytes]]) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    waiting: list[list[tuple[bytes, bytes]]] = [[] for _ in range(PARTITIONS)]
    ends = [0] * PARTITIONS
    for key, value in records:
        number = (murmur2(key) & 0x7FFFFFFF) % PARTITIONS
        waiting[number].append((key, value))
        if len(waiting[number]) == CHUNK:
            builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 24)
            for n, (one, said) in enumerate(waiting[number]):
                builder.append(n, 1_700_000_000_000 + n, one, said, [])
            data = bytes(builder.build())
            found.append((number, ends[number].to_bytes(8, "big") + data[8:]))
            ends[number] += CHUNK
            waiting[number].clear()
    return found


def _pass(task: Task) -> tuple[dict[str, float], int]:
    """Microseconds by part, and how many rows the lane has that the bare fold has not."""
    clock = Clock()
    wanted, found = _beside(task, clock), _lane(task, clock)
    events = len(task.batches) * CHUNK
    costs = {part: 1e6 * seconds / events for part, seconds in clock.spent.items()}
    return costs, sum(_said(found.get(key)) != _said(wanted.get(key)) for key in wanted.keys() | found.keys())


def _said(row: Any) -> Any:
    """A row without what belongs to the lane."""
    return None if row is None else msgspec.structs.replace(row, revision=0, offset=-1)


def _beside(task: Task, clock: Clock) -> dict[bytes, Any]:
    """Do what others would: aiokafka's own records, and the bare fold without any promise. Returns its rows."""
    decode, fold, shared = task.lane["decode"], task.lane["step"], task.lane["shared"]
    shared = Shared(shared, {}) if "cell" in task.lane else shared
    rows: dict[bytes, Any] = {}
    for number, data in task.batches:
        tp = TopicPartition("inbox", number)
        first = int.from_bytes(data[:8], "big")
        stock = PartitionRecords(tp, MemoryRecords(data), [], first, None, None, False, READ_UNCOMMITTED)
        with clock("parse_by_aiokafka"):
            records = list(stock)
        with clock("decode_alone"):
            for record in records:
                decode(record.value)
        with clock("decode_and_step_alone"):
            for record in records:
                key = record.key
                at = At("inbox", number, record.offset, record.timestamp, key)
                rows[key], _ = fold(rows.get(key), decode(record.value), at, shared)
    return rows


def _lane(task: Task, clock: Clock) -> dict[bytes, Any]:
    """Do what the lane does with each slice, as `Lane.process` and `Lane.submit` do it. Returns its rows."""
    app: Any = SimpleNamespace(lanes={})
    table: Any = SimpleNamespace(changelog_name="changelog", name="parts")
    lane = Lane(app, table, service="parts", inbox="inbox", dead_letters="letters", **task.lane)
    producer = app.lane_producer = LaneProducer(app, MOCK)
    parts = [Part(number, lane.new_index()) for number in range(PARTITIONS)]
    for part in parts:
        asyncio.run(part.build(lane.codec))
    pause = threading.Event()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # as the app does
    for number, data in task.batches:
        first = int.from_bytes(data[:8], "big")
        tp = TopicPartition("inbox", number)
        stock = PartitionRecords(tp, MemoryRecords(data), [], first, None, None, False, READ_UNCOMMITTED)
        with clock("parse"):
            records = list(ParsedRecords(stock))
        work = Work(lane, parts[number], 1)
        with clock("fold"):
            work.fold(records, 0, len(records))
        with clock("frames_and_index"):
            batch = Batch(None, parts[number], work.revision, work.finish())
        with clock("produce_outputs"):
            producer.say(work.outputs, batch.outputs)
        lane.pipeline.put(batch)
        _advance(lane, producer, clock)
        while len(producer.client) > 50_000:
            pause.wait(0.001)
            _advance(lane, producer, clock)
    while _advance(lane, producer, clock):
        pause.wait(0.001)
    gc.unfreeze()
    thaw = lane.codec.thaw
    return {key: thaw(row) if isinstance(row, bytes) else row for part in parts for key, row in part.items()}


def _advance(lane: Lane, producer: LaneProducer, clock: Clock) -> bool:
    with clock("delivery_reports"):
        producer.client.poll(0)
    with clock("produce_rows"):
        return lane.advance()
