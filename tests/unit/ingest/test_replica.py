"""A replica does what the group says, and ends as a whole when one of its sessions cannot go on."""

from __future__ import annotations

import asyncio
import math
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException

from libs.runtime.health import Verdict
from services.ingest.assignment import Assigned, Lost, Proved, Revoked
from services.ingest.group import Misfit
from services.ingest.replica import Replica
from services.ingest.tenure import Tenure
from tests.support.polling import eventually_async
from tests.support.virtual_time import in_virtual_time, pass_time

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

BOTH = frozenset({0, 1})
STOP = 1.0


class Bridge:
    """Runs until told to end, or with ``code`` by itself."""

    def __init__(self, code: int | None = None, *, stubborn: bool = False) -> None:
        self.code, self.stubborn = code, stubborn
        self.calls: list[str] = []
        self.over = asyncio.Event()

    async def run(self) -> int:
        if self.code is None:
            await self.over.wait()
        return self.code or 0

    def end(self) -> None:
        self.calls.append("end")
        if not self.stubborn:
            self.over.set()

    def abort(self) -> None:
        self.calls.append("abort")
        self.over.set()

    def live(self) -> Verdict:
        return Verdict(ok=True)

    def ready(self) -> Verdict:
        return Verdict(ok=False, reason="not subscribed at the broker")


class Group:
    """Nobody decides but the test."""

    def __init__(self) -> None:
        self.ended: Future[None] = Future()
        self.joined, self.beat = False, math.inf

    def start(self, _ear: object) -> None:
        self.joined = True

    def leave(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


class Parts:
    def __init__(self, make: Callable[[int], Bridge] | None = None) -> None:
        self.bridges: list[Bridge] = []
        self.group, self.tenure = Group(), Tenure(math.inf)
        self._make = make or (lambda _: Bridge())
        self.replica = Replica(cast("Any", self.build), cast("Any", self.group), self.tenure, stop=STOP, patience=60.0)
        self.run = asyncio.get_running_loop().create_task(self.replica.run())

    def build(self, shard: int) -> Bridge:
        self.bridges.append(self._make(shard))
        return self.bridges[-1]

    async def hold(self) -> None:
        await asyncio.sleep(0)
        self.replica.tell(Assigned(BOTH))
        self.replica.tell(Proved(BOTH))
        await pass_time(0.01)


def story_of(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    in_virtual_time(story())


def test_a_revoked_shard_is_released_when_its_session_has_ended() -> None:
    async def story() -> None:
        parts, released = Parts(), Future[None]()
        await parts.hold()
        parts.replica.tell(Revoked(frozenset({1})), released)
        await pass_time(0.01)
        assert released.done()
        assert [bridge.calls for bridge in parts.bridges] == [[], ["end"]]

    story_of(story)


def test_a_session_that_does_not_end_in_order_is_cut_off() -> None:
    async def story() -> None:
        parts, released = Parts(lambda _: Bridge(stubborn=True)), Future[None]()
        await parts.hold()
        parts.replica.tell(Revoked(BOTH), released)
        await pass_time(STOP)
        assert not released.done()
        await pass_time(60)
        assert released.done()
        assert [bridge.calls for bridge in parts.bridges] == [["end", "abort"]] * 2

    story_of(story)


def test_a_lost_shard_and_an_ended_tenure_cut_sessions_off_at_once() -> None:
    async def story() -> None:
        parts, released = Parts(), Future[None]()
        await parts.hold()
        parts.replica.tell(Lost(frozenset({0})), released)
        await pass_time(0.01)
        assert released.done()
        assert [bridge.calls for bridge in parts.bridges] == [["abort"], []]
        parts.tenure.until = -math.inf
        await pass_time(1)
        assert [bridge.calls for bridge in parts.bridges] == [["abort"], ["abort"]]
        parts.tenure.until = math.inf
        parts.replica.tell(Proved(frozenset({1})))
        await pass_time(0.01)
        assert len(parts.bridges) == 3, "still assigned: it goes on with the next proof"

    story_of(story)


@pytest.mark.parametrize("code", [2, 70, 78])
def test_a_session_that_cannot_go_on_ends_the_others_in_order_and_the_process(code: int) -> None:
    async def story() -> None:
        parts = Parts(lambda shard: Bridge(code if shard else None))
        await parts.hold()
        await pass_time(1)
        assert parts.bridges[0].calls == ["end"]
        assert await parts.run == code

    story_of(story)


def test_a_bridge_that_cannot_be_made_ends_the_process() -> None:
    def refuse(_shard: int) -> Bridge:
        raise KafkaException(KafkaError(KafkaError._INVALID_ARG))

    async def story() -> None:
        parts = Parts(refuse)
        await parts.hold()
        with pytest.raises(KafkaException):
            await parts.run

    story_of(story)


@pytest.mark.parametrize(
    ("error", "code"),
    [(Misfit("2 for 1"), 78), (KafkaException(KafkaError(KafkaError.FENCED_INSTANCE_ID, "fenced", True)), 2)],
)
def test_a_group_that_cannot_be_joined_ends_the_process_with_a_code(error: Exception, code: int) -> None:
    async def story() -> None:
        parts = Parts()
        await parts.hold()
        parts.group.ended.set_exception(error)
        assert await parts.run == code
        assert [bridge.calls for bridge in parts.bridges] == [["end"]] * 2

    story_of(story)


def test_a_group_s_thread_that_fails_is_the_process_s_failure() -> None:
    async def story() -> None:
        parts = Parts()
        await parts.hold()
        parts.group.ended.set_exception(TimeoutError("a session does not end"))
        with pytest.raises(TimeoutError):
            await parts.run

    story_of(story)


def test_told_to_stop_it_ends_its_sessions_and_leaves_the_group_in_this_order() -> None:
    async def story() -> None:
        parts = Parts(lambda _: Bridge(stubborn=True))
        await parts.hold()
        parts.replica.stop()
        await pass_time(0.1)
        assert not parts.group.ended.done()
        for bridge in parts.bridges:
            bridge.over.set()
        assert await parts.run == 0
        assert parts.group.ended.done()

    story_of(story)


async def test_a_standby_is_ready_and_says_so() -> None:
    parts = Parts()
    assert parts.replica.ready().reason == "the group of replicas has no place for this one yet"
    await asyncio.sleep(0)

    async def joined() -> bool:
        return parts.replica.ready() == Verdict(ok=True, reason="a standby: other replicas hold every shard")

    await eventually_async(joined, 5)
    parts.replica.tell(Assigned(BOTH))
    await asyncio.sleep(0)
    assert parts.replica.ready().reason == "shard 0: its session has not begun"
    parts.replica.tell(Proved(BOTH))
    await asyncio.sleep(0)
    assert parts.replica.ready().reason == "shard 0: not subscribed at the broker"
    assert parts.replica.live()
    parts.replica.stop()
    await parts.run
