"""Law of the mailbox: whatever the group deals out, and when, an answer that is awaited is read."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from libs.runtime.requests.mailbox import Mailbox

PARTITIONS = 4
dealt = st.sets(st.integers(0, PARTITIONS - 1))


class Replies(RuleBasedStateMachine):
    """A topic of answers, of which some are for this process; the fetcher reads what the mailbox said last."""

    def __init__(self) -> None:
        super().__init__()
        self.mailbox = Mailbox()
        self.topic: dict[int, list[str]] = {number: [] for number in range(PARTITIONS)}
        self.fetching: dict[int, int] = {}
        self.open: dict[str, int] = {}  # request to the partition that it names
        self.written: set[str] = set()
        self.number = 0

    @rule(dealt=dealt)
    def rebalance(self, dealt: set[int]) -> None:
        self.fetching = self.mailbox.deal({number: len(self.topic[number]) for number in dealt})
        assert dealt <= self.fetching.keys()

    @rule()
    def ask(self) -> None:
        partition = self.mailbox.expect()
        if partition is not None:
            self.number += 1
            self.open[f"r{self.number}"] = partition

    @precondition(lambda self: self.open.keys() - self.written)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(sorted(self.open.keys() - self.written)))
        self.topic[self.open[request]].append(request)
        self.written.add(request)

    @rule(number=st.integers(0, PARTITIONS - 1))
    def answer_somebody_else(self, number: int) -> None:
        self.topic[number].append("foreign")

    @rule(number=st.integers(0, PARTITIONS - 1))
    def fetch_one(self, number: int) -> None:
        offset = self.fetching.get(number)
        if offset is not None and offset < len(self.topic[number]):
            self._read(number, offset)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(sorted(self.open)))
        self.mailbox.settle(self.open.pop(request))

    @invariant()
    def new_requests_name_a_partition_that_is_read(self) -> None:
        assert self.mailbox.own is None or self.mailbox.own in self.fetching

    def teardown(self) -> None:
        """Fetch the rest: no request is left whose answer was written."""
        for number in list(self.fetching):
            while self.fetching[number] < len(self.topic[number]):
                self._read(number, self.fetching[number])
        assert self.open.keys() & self.written == set()

    def _read(self, number: int, offset: int) -> None:
        self.mailbox.took(number, offset)
        self.fetching[number] = offset + 1
        partition = self.open.pop(self.topic[number][offset], None)
        if partition is not None:
            self.mailbox.settle(partition)


TestReplies = Replies.TestCase
TestReplies.settings = settings(deadline=None, stateful_step_count=30)


def test_a_partition_that_stays_dealt_stays_the_own_one() -> None:
    mailbox = Mailbox()
    mailbox.deal({3: 0, 5: 0})
    mailbox.deal({1: 0, 3: 7})
    assert mailbox.own == 3


def test_without_a_partition_nothing_can_be_asked() -> None:
    mailbox = Mailbox()
    assert mailbox.expect() is None
    mailbox.deal({})
    assert mailbox.expect() is None


def test_a_partition_on_which_nobody_waits_is_not_read_on() -> None:
    mailbox = Mailbox()
    mailbox.deal({0: 10})
    asked = mailbox.expect()
    assert asked == 0
    mailbox.took(0, 10)
    assert mailbox.deal({1: 4}) == {0: 11, 1: 4}
    mailbox.settle(asked)
    assert mailbox.deal({1: 9}) == {1: 4}
