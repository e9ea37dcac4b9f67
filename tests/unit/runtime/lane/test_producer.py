"""The producer ends the process rather than lose a record or outlive its session."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from libs.runtime.lane import producer as module
from libs.runtime.lane.producer import DEFAULTS, HEAVY, Deliveries, LaneProducer

if TYPE_CHECKING:
    from collections.abc import Callable


class Exit(BaseException):
    """Stands in for the end of the process."""


class Client:
    """In place of librdkafka's producer; takes ``room`` records of each batch, and as many others."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config, self.room, self.queued = config, 10, 0
        self.refusal: Exception = BufferError("Local: Queue full")
        self.batches: list[tuple[int, list[bytes]]] = []
        self.produced: list[tuple[Any, ...]] = []

    def __len__(self) -> int:
        return self.queued

    def produce_batch(self, _topic: str, messages: list[dict[str, Any]], partition: int, **_: Any) -> int:
        """As the real one, it does not look at a message's own partition."""
        self.batches.append((partition, [message["key"] for message in messages if "key" in message]))
        for message in messages[self.room :]:
            message["_error"] = "queue full"
        return min(self.room, len(messages))

    def produce(self, topic: str, value: bytes, key: bytes, partition: int, on_delivery: Any) -> None:
        if len(self.produced) == self.room:
            raise self.refusal
        self.produced.append((topic, value, key, partition))
        on_delivery(None, value)

    def poll(self, _timeout: float) -> None:
        self.queued = max(0, self.queued - 40)


@pytest.fixture(autouse=True)
def _deaths(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(reason: str, *values: object) -> None:
        raise Exit(reason % values)

    monkeypatch.setattr(module, "die", die)
    monkeypatch.setattr(module, "Producer", Client)


@pytest.fixture
def make() -> Callable[..., Any]:
    def made(**config: Any) -> LaneProducer:
        app: Any = SimpleNamespace(lanes={}, conf=SimpleNamespace(broker_session_timeout=0.05))
        return LaneProducer(app, config)

    return made


async def test_what_is_given_wins_over_the_defaults(make: Callable[..., Any]) -> None:
    config = make(**{"linger.ms": 1, "acks": "1"}).client.config
    assert (config["linger.ms"], config["acks"], config["enable.idempotence"]) == (1, "1", True)
    assert DEFAULTS["acks"] == "all"


async def test_a_batch_is_pending_until_every_record_of_it_is_acknowledged(make: Callable[..., Any]) -> None:
    deliveries = Deliveries()
    make().send("out", [{"key": b"k", "value": b"v"}] * 2, deliveries, 0)
    assert deliveries.pending == 2
    deliveries(None, "first")
    deliveries(None, "second")
    assert (deliveries.pending, deliveries.last) == (0, "second")


async def test_a_batch_goes_to_the_partition_that_is_named(make: Callable[..., Any]) -> None:
    producer = make()
    producer.send("t", [{"key": b"b"}, {"key": b"c"}], Deliveries(), 5)
    assert producer.client.batches == [(5, [b"b", b"c"])]


async def test_outputs_go_each_to_its_topic_and_partition_in_their_order(make: Callable[..., Any]) -> None:
    producer, deliveries = make(), Deliveries()
    producer.say([("out", b"k", b"v", -1), ("replies", b"c", b"yes", 3), ("out", b"k", None, -1)], deliveries)
    assert producer.client.produced == [
        ("out", b"v", b"k", -1),
        ("replies", b"yes", b"c", 3),
        ("out", None, b"k", -1),
    ]
    assert (deliveries.pending, deliveries.last) == (0, None)


async def test_a_record_that_the_client_does_not_take_ends_the_process(make: Callable[..., Any]) -> None:
    with pytest.raises(Exit, match=r"produce to out\[4\]: queue full"):
        make().send("out", [{"key": b"k", "value": b"v"} for _ in range(11)], Deliveries(), 4)


@pytest.mark.parametrize(
    "refusal", [BufferError("Local: Queue full"), KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))]
)
async def test_an_output_that_the_client_does_not_take_ends_the_process(
    make: Callable[..., Any], refusal: Exception
) -> None:
    producer = make()
    producer.client.refusal = refusal
    with pytest.raises(Exit, match=r"produce to out\[-1\]: .*(Queue full|MSG_SIZE_TOO_LARGE)"):
        producer.say([("out", b"k", b"v", -1)] * 11, Deliveries())


async def test_a_fatal_error_of_the_client_ends_the_process_and_others_do_not(make: Callable[..., Any]) -> None:
    report = make().client.config["error_cb"]
    report(SimpleNamespace(fatal=lambda: False))
    with pytest.raises(Exit, match="producer"):
        report(SimpleNamespace(fatal=lambda: True))


async def test_room_waits_for_the_queue_to_empty(make: Callable[..., Any]) -> None:
    producer = make()
    producer.client.queued = 100
    await producer.room(50)
    assert producer.client.queued <= 50


async def test_room_waits_while_what_is_in_flight_is_heavy(make: Callable[..., Any]) -> None:
    producer, left = make(), [HEAVY, HEAVY + 1, 2 * HEAVY]
    pipeline = SimpleNamespace(size=left[-1])

    def advance() -> bool:
        pipeline.size = left.pop()
        return True

    producer.app.lanes["things"] = SimpleNamespace(pipeline=pipeline, advance=advance)
    await producer.room()
    assert left == []


async def test_a_process_that_stalled_longer_than_its_session_allows_ends(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter((0.0, 0.0, 0.05))
    monkeypatch.setattr("libs.runtime.lane.producer.time", SimpleNamespace(monotonic=lambda: next(moments)))
    producer = make()
    pump = asyncio.ensure_future(producer._pump.fun(producer))
    await asyncio.sleep(0)
    producer._wake.set()
    with pytest.raises(Exit, match=r"stalled for 0\.1 s"):
        await pump
