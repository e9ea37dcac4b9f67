"""The live stream over real HTTP and Kafka: cut in the middle, read slowly, resumed too late, ended."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from libs.topics import names
from libs.topics.codec import encode
from libs.topics.messages.presence import PresenceChanged
from libs.topics.messages.telemetry import DataUploaded
from tests.support.names import unique
from tests.support.polling import eventually
from tests.support.records import produce

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.api_key import Access
    from devstack.stack import Stack

DEVICES = 7
T0 = 1_790_000_000_000


class Event(msgspec.Struct, frozen=True):
    name: str
    data: dict[str, Any]


class Listener:
    """Reads a stream as a browser does: whole events, and the id to resume with."""

    def __init__(self, client: httpx.Client, product: str, types: str = "") -> None:
        self.client, self.path = client, f"/v1/products/{product}/stream"
        self.params = {"types": types} if types else {}
        self.events: list[Event] = []
        self.last = ""
        self.chunks = 0

    def listen(self, *, chunks: int = 0, until: int = 0) -> None:
        """Read until the hub ends it, so many ``chunks`` came, or there are so many events in all.

        What has come only in part is lost, as in a connection that breaks.
        """
        headers = {"Last-Event-ID": self.last} if self.last else {}
        rest = b""
        with self.client.stream("GET", self.path, params=self.params, headers=headers) as answer:
            assert answer.status_code == 200
            for number, chunk in enumerate(pieces(answer), start=1):
                *blocks, rest = (rest + chunk).split(b"\n\n")
                for block in blocks:
                    self._take(block.decode())
                if number == chunks or 0 < until <= len(self.events):
                    return

    def _take(self, block: str) -> None:
        name, data = "", list[str]()
        for line in block.split("\n"):
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)
            elif field == "id":
                self.last = value
        if data:
            self.events.append(Event(name, msgspec.json.decode("\n".join(data))))


def pieces(answer: httpx.Response) -> Iterator[bytes]:
    """What has come, cut at places that no event ends at."""
    for chunk in answer.iter_raw():
        yield from (chunk[start : start + 700] for start in range(0, len(chunk), 700))


def registered(client: httpx.Client) -> str:
    product = unique("p")
    assert client.post("/v1/products", json={"product_id": product}).status_code == 201
    return product


def transitions(product: str, numbers: range) -> Iterator[tuple[bytes, bytes]]:
    """Changes, each with its number as the time."""
    for number in numbers:
        device = f"d{number % DEVICES}"
        what: dict[str, Any] = {"old": "offline", "new": "online", "cause": "connected", "reason": None}
        where: dict[str, Any] = {"client_id": "c", "channel_id": "ch", "previous_channel_id": None, "source": "test"}
        changed = PresenceChanged(
            id=f"test-{number}", product_id=product, device_id=device, **what, **where, at=number, observed_at=number
        )
        yield f"{product}/{device}".encode(), encode(changed)


def numbers(listener: Listener) -> list[int]:
    return [event.data["at"] for event in listener.events if event.name == "presence_changed"]


def test_a_stream_that_is_cut_again_and_again_tells_everything_once(stack: Stack, client: httpx.Client) -> None:
    product, other, total = registered(client), registered(client), 3000
    listener = Listener(client, product, "presence_changed")
    listener.listen(chunks=1)
    assert listener.last

    def write() -> None:
        for start in range(0, total, 100):
            produce(stack.kafka, names.PRESENCE_TRANSITIONS, transitions(product, range(start, start + 100)))
            produce(stack.kafka, names.PRESENCE_TRANSITIONS, transitions(other, range(start, start + 30)))

    writer = threading.Thread(target=write)
    writer.start()
    cuts = 0
    while len(listener.events) < total:
        listener.listen(chunks=1 + 13 * (cuts % 5), until=total)
        cuts += 1
    writer.join()
    assert cuts > 5
    assert {event.data["product_id"] for event in listener.events} == {product}
    assert sorted(numbers(listener)) == list(range(total))
    for device in range(DEVICES):
        mine = [number for number in numbers(listener) if number % DEVICES == device]
        assert mine == sorted(mine)


def test_events_of_the_registry_are_told_and_telemetry_to_those_who_ask(stack: Stack, client: httpx.Client) -> None:
    product = registered(client)
    everything = Listener(client, product, "device_registered,device_deleted,data_uploaded")
    usual = Listener(client, product)
    for listener in (everything, usual):
        listener.listen(chunks=1)
    assert client.post(f"/v1/products/{product}/devices", json={"device_id": "d1"}).status_code == 201
    sent = DataUploaded(product, "d1", "weather", "m1", 1, "json", msgspec.Raw(b'{\n"t":\r\n1}'), T0)
    produce(stack.kafka, names.DEVICE_TELEMETRY, [(f"{product}/d1".encode(), encode(sent))])
    assert client.delete(f"/v1/products/{product}/devices/d1").status_code == 204
    everything.listen(until=3)
    usual.listen(until=2)
    assert sorted(event.name for event in everything.events) == ["data_uploaded", "device_deleted", "device_registered"]
    assert [event.name for event in usual.events] == ["device_registered", "device_deleted"]


def test_one_who_does_not_read_is_ended_and_finds_the_rest_later(
    stack: Stack, access: Access, client: httpx.Client
) -> None:
    product, total = registered(client), 120
    listener = Listener(client, product, "data_uploaded")
    listener.listen(chunks=1)
    payload = msgspec.Raw(b'"' + b"x" * 100_000 + b'"')
    uploads = [
        DataUploaded(product, "d1", "blob", f"m{n}", n, "json", payload, 1_790_000_000_000) for n in range(total)
    ]
    headers = {"Authorization": f"Bearer {access.key}", "Last-Event-ID": listener.last}
    with (
        httpx.Client(base_url=access.url, headers=headers, timeout=60) as lazy,
        lazy.stream("GET", listener.path, params=listener.params) as answer,
    ):
        produce(stack.kafka, names.DEVICE_TELEMETRY, [(f"{product}/d1".encode(), encode(one)) for one in uploads])
        ended, given_up = f"{stack.ops_url('api')}/metrics", 'fleetlog_api_streams_ended_total{code="too_slow"} 1'
        eventually(lambda: given_up in httpx.get(ended, timeout=10).text, describe="it is given up")
        rest = b"".join(answer.iter_raw())
    blocks = rest.decode().split("\n\n")[:-1]
    for block in blocks:
        listener._take(block.replace("\n\n", "\n"))
    assert listener.events[-1].name == "ended"
    assert listener.events.pop().data["code"] == "too_slow"
    assert len(listener.events) < total
    listener.listen(until=total)
    assert [event.data["message_id"] for event in listener.events] == [f"m{number}" for number in range(total)]


def test_what_retention_took_is_told(stack: Stack, client: httpx.Client) -> None:
    product = registered(client)
    listener = Listener(client, product, "presence_changed")
    listener.listen(chunks=1)
    produce(stack.kafka, names.PRESENCE_TRANSITIONS, transitions(product, range(50)))
    admin = AdminClient({"bootstrap.servers": stack.kafka})
    everything = [TopicPartition(names.PRESENCE_TRANSITIONS, number, -1) for number in range(stack.partitions)]
    for future in admin.delete_records(everything).values():
        future.result(30)
    left = list(transitions(product, range(50, 60)))
    produce(stack.kafka, names.PRESENCE_TRANSITIONS, left)
    while len(numbers(listener)) < len(left):
        listener.listen(chunks=2)
    gaps = [event.data for event in listener.events if event.name == "gap"]
    assert {gap["topic"] for gap in gaps} == {names.PRESENCE_TRANSITIONS}
    assert sum(gap["records"] for gap in gaps) >= 50
    assert sorted(numbers(listener)) == list(range(50, 60))


def test_positions_of_a_topic_that_was_made_anew_are_told(client: httpx.Client) -> None:
    listener = Listener(client, registered(client), "presence_changed")
    listener.listen(chunks=1)
    listener.last = "~p" + ".".join(["zzzzz"] * (listener.last.count(".") + 1))
    listener.listen(chunks=2)
    assert {event.name for event in listener.events} == {"gap"}


def test_the_end_of_the_process_ends_its_streams_with_a_word(stack: Stack, client: httpx.Client) -> None:
    listener = Listener(client, registered(client))
    heard = threading.Thread(target=listener.listen)
    heard.start()
    eventually(lambda: listener.last, describe="the stream has begun")
    stack.stop_service("api")
    heard.join(30)
    assert [(event.name, event.data["code"]) for event in listener.events] == [("ended", "stopping")]
