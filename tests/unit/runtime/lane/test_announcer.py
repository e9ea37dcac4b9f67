"""What was announced last is said in the end, whatever Kafka takes, and in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from libs.runtime.lane.announcer import Announcer
from libs.topics.names import HUB_OWNERS

if TYPE_CHECKING:
    from collections.abc import Callable


class Client:
    """Keeps what is produced until the test says what became of it."""

    def __init__(self) -> None:
        self.under_way: list[tuple[bytes, bytes | None, Callable[[Any, Any], None]]] = []
        self.topic: list[tuple[bytes, bytes | None]] = []
        self.full = False

    def produce(self, topic: str, value: bytes | None, key: bytes, on_delivery: Callable[[Any, Any], None]) -> None:
        assert topic == HUB_OWNERS
        if self.full:
            raise BufferError
        assert key not in [other for other, _, _ in self.under_way], "two of one key could change places"
        self.under_way.append((key, value, on_delivery))

    def poll(self, _timeout: float) -> None:
        """Reports come by `report`."""

    def report(self, *, delivered: bool) -> None:
        key, value, tell = self.under_way.pop(0)
        if delivered:
            self.topic.append((key, value))
        tell(None if delivered else "timed out", None)


def announcer() -> tuple[Announcer, Client]:
    client = Client()
    fake: Any = client
    return Announcer(fake), client


@given(st.lists(st.one_of(st.tuples(st.sampled_from([b"a", b"b"]), st.binary(max_size=2)), st.booleans()), max_size=30))
def test_in_the_end_the_topic_says_what_was_put_last(acts: list[tuple[bytes, bytes] | bool]) -> None:
    announcing, client = announcer()
    put: dict[bytes, bytes | None] = {}
    for act in acts:
        if isinstance(act, tuple):
            put[act[0]] = act[1]
            announcing.put(*act)
        elif client.under_way:
            client.report(delivered=act)
    while not announcing.beat():
        client.report(delivered=True)
    assert dict(client.topic) == put


def test_what_is_not_delivered_is_said_again_as_it_is_then() -> None:
    announcing, client = announcer()
    announcing.put(b"k", b"1")
    announcing.put(b"k", b"2")
    client.report(delivered=False)
    assert not announcing.beat()
    client.report(delivered=True)
    assert announcing.beat()
    assert client.topic == [(b"k", b"2")]


def test_a_full_queue_is_tried_again() -> None:
    announcing, client = announcer()
    client.full = True
    announcing.put(b"k", None)
    assert not announcing.beat()
    client.full = False
    assert not announcing.beat()
    client.report(delivered=True)
    assert announcing.beat()
    assert client.topic == [(b"k", None)]
