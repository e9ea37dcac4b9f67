"""What is committed has been told: over every order in which Kafka may acknowledge notices."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from confluent_kafka import KafkaError, KafkaException
from hypothesis import given
from hypothesis import strategies as st

from libs.topics.messages.command_requests import MessagePublished
from libs.topics.names import APP_P2P, COMMANDS_INBOX, DOWNLINK_MESSAGES
from services.downlink.model import Place, Settled
from services.downlink.notices import record
from services.downlink.teller import Teller

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Message, Producer

PLACES = (Place(DOWNLINK_MESSAGES, 0), Place(DOWNLINK_MESSAGES, 1), Place(APP_P2P, 0))


def step(place: Place, position: int, notices: int) -> Settled:
    told = [MessagePublished("p", "d", f"{position}-{n}", None, 1) for n in range(notices)]
    return Settled(place, position, (), tuple(told), max(notices, 1), 1)


class Outbox:
    """In the place of Kafka's producer: acknowledges what a test says."""

    def __init__(self) -> None:
        self.made = 0
        self.waiting: list[tuple[bytes, Callable[[KafkaError | None, Message], None]]] = []

    def make(self) -> Producer:
        self.made += 1
        return cast("Producer", self)

    def produce(
        self, topic: str, *, value: bytes, key: bytes, on_delivery: Callable[[KafkaError | None, Message], None]
    ) -> None:
        assert (topic, key) == (COMMANDS_INBOX, b"p/d")
        self.waiting.append((value, on_delivery))

    def owes(self, found: Settled) -> bool:
        """Whether a notice of this step is not acknowledged."""
        return not {record(told)[1] for told in found.notices}.isdisjoint(value for value, _ in self.waiting)

    def acknowledge(self, at: int, error: KafkaError | None = None) -> None:
        _, answer = self.waiting.pop(at)
        answer(error, cast("Message", None))

    def poll(self, _seconds: float) -> int:
        return 0

    def flush(self, _seconds: float) -> int:
        while self.waiting:
            self.acknowledge(0)
        return 0


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def teller(outbox: Outbox) -> Teller:
    return Teller(outbox.make, 3)


STEPS = st.lists(st.tuples(st.sampled_from(PLACES), st.integers(0, 3), st.integers(0, 9)), max_size=40)


@given(history=STEPS)
def test_a_step_waits_for_its_notices_and_for_the_steps_before_it_and_for_nothing_else(
    history: list[tuple[Place, int, int]],
) -> None:
    outbox = Outbox()
    teller, steps, ready = Teller(outbox.make, 3), list[Settled](), list[Settled]()

    def look() -> None:
        ready.extend(teller.told())
        for place in PLACES:
            mine = [found for found in steps if found.place == place]
            owing = (at for at, found in enumerate(mine) if outbox.owes(found))
            assert [found for found in ready if found.place == place] == mine[: next(owing, len(mine))]

    for position, (place, notices, acknowledged) in enumerate(history):
        steps.append(step(place, position, notices))
        teller.tell(steps[-1])
        look()
        for _ in range(min(acknowledged, len(outbox.waiting))):
            outbox.acknowledge(acknowledged % len(outbox.waiting))
            look()
        assert teller.under_way == len(outbox.waiting)
    teller.flush(1)
    look()
    assert sorted(found.position for found in ready) == list(range(len(history)))


def test_who_tells_nothing_pays_nothing(outbox: Outbox, teller: Teller) -> None:
    steps = [step(PLACES[0], 1, 0), step(PLACES[0], 2, 0)]
    for found in steps:
        teller.tell(found)
    assert teller.told() == steps
    teller.flush(1)
    assert outbox.made == 0


def test_no_more_is_read_than_kafka_takes(outbox: Outbox, teller: Teller) -> None:
    full = list[bool]()
    for found in (step(PLACES[0], 1, 2), step(PLACES[1], 1, 1)):
        teller.tell(found)
        full.append(teller.is_full)
    outbox.acknowledge(0)
    assert [*full, teller.is_full] == [False, True, False]


def test_what_kafka_refuses_ends_it_before_anything_is_committed(outbox: Outbox, teller: Teller) -> None:
    teller.tell(step(PLACES[0], 1, 1))
    outbox.acknowledge(0, KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    with pytest.raises(KafkaException):
        teller.told()


def test_partitions_of_others_are_not_committed(outbox: Outbox, teller: Teller) -> None:
    teller.tell(step(PLACES[0], 1, 1))
    teller.tell(step(PLACES[1], 1, 1))
    teller.tell(step(PLACES[2], 1, 0))
    teller.forget({PLACES[0], PLACES[2]})
    teller.flush(1)
    assert [found.place for found in teller.told()] == [PLACES[1]]
    assert teller.under_way == 0
    assert outbox.made == 1
