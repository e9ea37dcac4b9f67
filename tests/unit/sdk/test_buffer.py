"""Laws of the buffer: order, bounds, and that every message ends in exactly one way."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fleetlog_device.buffer import Buffer, BufferLimits, Policy, Uplink
from fleetlog_device.errors import BufferFull

POLICIES: tuple[Policy, ...] = get_args(Policy)


def uplink(number: int, size: int = 10) -> Uplink:
    return Uplink(number, "t", b"x" * (size - 1))


class Life(RuleBasedStateMachine):
    """A buffer beside a list of what it must hold."""

    @initialize(
        messages=st.integers(1, 6), size=st.integers(20, 60), window=st.integers(1, 3), policy=st.sampled_from(POLICIES)
    )
    def begin(self, messages: int, size: int, window: int, policy: Policy) -> None:
        self.limits = BufferLimits(messages, size, policy, window=window)
        self.buffer = Buffer(self.limits)
        self.number = 0
        self.held: list[Uplink] = []
        self.flying: list[Uplink] = []

    @rule(size=st.integers(1, 70))
    def offer(self, size: int) -> None:
        self.number += 1
        new = uplink(self.number, size)
        room = len(self.held) < self.limits.messages and sum(u.size for u in self.held) + size <= self.limits.size
        try:
            dropped = self.buffer.offer(new)
        except BufferFull:
            assert size > self.limits.size or (self.limits.policy == "raise" and not room)
            return
        if room:
            assert dropped == []
        elif self.limits.policy == "drop_newest":
            assert dropped == [new]
        waiting = [u for u in self.held if u not in self.flying]
        assert dropped in (waiting[: len(dropped)], [new]), "the oldest that are not in flight, or the new one"
        self.held = [u for u in [*self.held, new] if u not in dropped]

    @rule()
    def take(self) -> None:
        taken = self.buffer.take()
        waiting = [u for u in self.held if u not in self.flying]
        if len(self.flying) < self.limits.window and waiting:
            assert taken == waiting[0]
            self.flying.append(waiting[0])
        else:
            assert taken is None

    @precondition(lambda self: self.flying)
    @rule(choice=st.randoms(use_true_random=False))
    def settle(self, choice: object) -> None:
        done = choice.choice(self.flying)  # type: ignore[attr-defined]
        self.buffer.settle(done.number)
        self.flying.remove(done)
        self.held.remove(done)

    @rule()
    def lose_the_connection(self) -> None:
        self.buffer.rewind()
        self.flying = []

    @invariant()
    def within_its_bounds(self) -> None:
        assert len(self.buffer) == len(self.held) <= self.limits.messages
        assert self.buffer.size == sum(u.size for u in self.held) <= self.limits.size


TestLife = Life.TestCase


@given(st.lists(st.integers(1, 20)), st.integers(1, 4))
def test_without_a_drop_everything_leaves_in_order_through_any_lost_connection(cuts: list[int], window: int) -> None:
    """Each connection acknowledges some messages, and then is lost; repetitions of what was in flight are expected."""
    buffer = Buffer(BufferLimits(messages=1000, size=10**6, window=window))
    for number in range(40):
        assert buffer.offer(uplink(number)) == []
    seen: list[int] = []
    for acknowledged in [*cuts, 1000]:
        flying: list[int] = []
        for _ in range(acknowledged):
            while (taken := buffer.take()) is not None:
                flying.append(taken.number)
                seen.append(taken.number)
            if flying:
                buffer.settle(flying.pop(0))
        buffer.rewind()
    assert list(dict.fromkeys(seen)) == list(range(40)), "the hub sees first deliveries in order, and none is missing"
    assert len(buffer) == 0


def test_what_an_earlier_process_left_goes_first_and_is_not_dropped_by_smaller_limits() -> None:
    buffer = Buffer(BufferLimits(messages=2, policy="drop_newest"))
    buffer.restore(uplink(number) for number in (3, 4, 5))
    assert buffer.offer(uplink(6)) == [uplink(6)]
    assert buffer.take() == uplink(3)


def test_nothing_is_dropped_in_vain() -> None:
    buffer = Buffer(BufferLimits(messages=10, size=25, window=1))
    for number, size in ((1, 15), (2, 5)):
        buffer.offer(uplink(number, size))
    assert buffer.take() == uplink(1, 15)
    assert buffer.offer(uplink(3, 12)) == [uplink(3, 12)], "without the one in flight there is no room"
    assert buffer.take() is None
    buffer.settle(1)
    assert buffer.take() == uplink(2, 5)


@pytest.mark.parametrize("limits", [{"messages": 0}, {"size": 0}, {"window": 0}])
def test_a_buffer_without_room_is_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        BufferLimits(**limits)  # type: ignore[arg-type]
