"""Many requests at once come to what each of them would come to alone, in their order and within the window."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

import msgspec
import pytest
from confluent_kafka import KafkaError, KafkaException
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.runtime import metrics
from libs.runtime.requests import client as module
from libs.runtime.requests.client import NoAnswer, NotAsked, Refused, Requests, RequestsSettings
from libs.runtime.settings import KafkaSettings
from libs.topics.codec import encode
from libs.topics.messages.base import ReplyTo
from libs.topics.messages.hub import RequestAnswered, RequestRefused
from tests.support.virtual_time import in_virtual_time, pass_time

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

INBOX = "things.inbox"
TOO_LARGE = KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
ENDS = {RequestAnswered: "answer", Refused: "refuse", NotAsked: "too_large", NoAnswer: "undelivered"}


class Question(msgspec.Struct, frozen=True, tag_field="type", tag="question"):
    number: int
    reply_to: ReplyTo | None = None


class Owner:
    """Kafka and the owner of the keys: what becomes of a request is its key, and an answer comes ``delay`` later."""

    def __init__(self, delay: Callable[[int], float] = lambda _: 0.001) -> None:
        self.delay, self.open, self.most, self.asked = delay, 0, 0, list[int]()
        self.take: Callable[[Any], None] = lambda _: None

    def __call__(self, _config: object) -> Owner:
        return self

    def produce(self, topic: str, value: bytes, key: bytes, on_delivery: Callable[..., None]) -> None:
        assert topic == INBOX
        if key == b"too_large":
            raise TOO_LARGE
        question = msgspec.json.decode(value, type=Question)
        assert question.reply_to is not None
        self.asked.append(question.number)
        self.open += 1
        self.most = max(self.most, self.open)
        if key != b"silent":
            loop = asyncio.get_running_loop()
            loop.call_later(self.delay(question.number), self._end, key, question, on_delivery)

    def _end(self, key: bytes, question: Question, on_delivery: Callable[..., None]) -> None:
        self.open -= 1
        to = question.reply_to
        assert to is not None
        answer: RequestAnswered | RequestRefused
        if key == b"undelivered":
            on_delivery(KafkaError(KafkaError._MSG_TIMED_OUT), None)
            return
        if key == b"answer":
            answer = RequestAnswered(to.correlation_id, 200, msgspec.Raw(b"%d" % question.number), 1, 0)
        else:
            answer = RequestRefused(to.correlation_id, 409, "no", "no", "no", msgspec.Raw(b"%d" % question.number), 0)
        self.take(SimpleNamespace(key=to.correlation_id.encode, value=lambda: encode(answer)))


def run(owner: Owner, work: Callable[[Requests], Awaitable[None]], limit: int = 1000) -> None:
    async def story() -> None:
        requests = Requests(KafkaSettings(), RequestsSettings(limit=limit))
        requests._mailbox.deal({0: 0})
        owner.take = requests._take
        await work(requests)
        assert not requests._open
        assert not +requests._mailbox._awaited, "all are settled"

    with mock.patch.object(module, "Producer", owner), mock.patch.object(module, "Consumer", owner):
        in_virtual_time(story())


def questions(*keys: str) -> Iterator[tuple[bytes, Any]]:
    return ((key.encode(), Question(number)) for number, key in enumerate(keys))


def counted(outcome: str) -> float:
    labels = {"inbox": INBOX, "outcome": outcome}
    return metrics.registry.get_sample_value("fleetlog_requests_total", labels) or 0.0


def number_of(end: Any) -> int | None:
    """Which question an answer or refusal is to."""
    if isinstance(end, Refused):
        return int(bytes(end.answer.current))
    return int(bytes(end.body)) if isinstance(end, RequestAnswered) else None


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from(["answer", "answer", "refuse", "too_large"]), max_size=40),
    st.integers(1, 10),
    st.randoms(use_true_random=False),
)
def test_each_comes_to_its_own_end_in_their_order(keys: list[str], window: int, chance: Any) -> None:
    owner = Owner(lambda _: chance.uniform(0, 9))

    async def work(requests: Requests) -> None:
        before = counted("answered"), counted("refused"), counted("not_asked")
        ends = await requests.ask_all(INBOX, questions(*keys), window=window)
        assert [ENDS[type(end)] for end in ends] == keys
        numbers = [number_of(end) for end in ends]
        assert numbers == [None if key == "too_large" else number for number, key in enumerate(keys)]
        after = counted("answered"), counted("refused"), counted("not_asked")
        counts = [keys.count(key) for key in ("answer", "refuse", "too_large")]
        assert [new - old for new, old in zip(after, before, strict=True)] == counts

    run(owner, work)
    assert owner.most <= window


@pytest.mark.parametrize("end", ["silent", "undelivered"])
def test_after_one_without_an_answer_no_more_are_sent(end: str) -> None:
    async def work(requests: Requests) -> None:
        keys = ["answer"] * 20 + [end] + ["answer"] * 500
        begun = asyncio.get_running_loop().time()
        ends = await requests.ask_all(INBOX, questions(*keys), window=2, timeout=5)
        assert [type(one) for one in ends[:21]] == [RequestAnswered] * 20 + [NoAnswer]
        sent = owner.asked[-1]
        assert [type(one) for one in ends[21 : sent + 1]] == [RequestAnswered] * (sent - 20)
        assert [type(one) for one in ends[sent + 1 :]] == [NotAsked] * (len(ends) - sent - 1)
        assert sent < len(ends) - 1
        assert asyncio.get_running_loop().time() - begun < 10, "the timeout is one answer's, and it is waited for once"

    owner = Owner(lambda number: 1.0 if number > 20 else 0.001)
    run(owner, work)


def test_a_part_of_the_limit_is_left_to_single_requests() -> None:
    async def work(requests: Requests) -> None:
        many = asyncio.create_task(requests.ask_all(INBOX, questions(*["answer"] * 60), window=500))
        others = asyncio.create_task(requests.ask_all(INBOX, questions(*["answer"] * 60), window=500))
        while not many.done() or not others.done():
            [(key, question)] = questions("answer")
            assert (await requests.ask(INBOX, key, question)).status == 200
        assert {type(end) for end in [*await many, *await others]} == {RequestAnswered}

    owner = Owner()
    run(owner, work, limit=8)
    assert owner.most <= 8


def test_where_there_is_no_room_at_all_nothing_is_asked() -> None:
    async def work(requests: Requests) -> None:
        alone = asyncio.create_task(requests.ask(INBOX, *next(questions("silent")), 60))
        await asyncio.sleep(0)
        ends = await requests.ask_all(INBOX, questions("answer", "answer"))
        assert [str(end) for end in ends] == ["1 requests wait for an answer already"] * 2
        assert await requests.ask_all(INBOX, ()) == []
        alone.cancel()
        await asyncio.wait((alone,))

    run(Owner(), work, limit=1)


def test_who_gives_up_leaves_nothing_open_and_is_counted() -> None:
    async def work(requests: Requests) -> None:
        before = counted("abandoned")
        asking = asyncio.create_task(requests.ask_all(INBOX, questions(*["silent"] * 30), window=10))
        await pass_time(1)
        asking.cancel()
        await asyncio.wait((asking,))
        assert asking.cancelled()
        assert counted("abandoned") == before + 10

    run(Owner(), work)
