from __future__ import annotations

from confluent_kafka import KafkaError
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.books import Account, Books
from services.ingest.entries import REFUSED, Entry, Order, acknowledgements


@given(st.lists(st.sampled_from(Account), max_size=20), st.integers(0, 5))
def test_the_books_balance_exactly_when_every_message_is_in_one_account(accounts: list[Account], open_: int) -> None:
    books = Books()
    books.received = len(accounts) + open_
    for account in accounts:
        books.settled[account] += 1
    assert books.balanced(open_)
    assert not books.balanced(open_ + 1)
    books.received += 1
    assert not books.balanced(open_)


def delivered(entry: Entry, times: int = 1) -> Entry:
    for _ in range(times):
        entry(None, None)
    return entry


def test_only_the_delivered_prefix_is_acknowledged_and_qos_0_says_nothing() -> None:
    order = Order()
    for packet_id, left in ((1, 1), (0, 1), (300, 2), (4, 1)):
        order.add(Entry(packet_id, Account.PRODUCED, left))
    for entry in (order.entries[0], order.entries[1], order.entries[3]):
        delivered(entry)
    delivered(order.entries[2], 1)
    assert acknowledgements(order.take_done()) == b"\x40\x02\x00\x01"
    assert len(order) == 2
    delivered(order.entries[0], 1)
    assert acknowledgements(order.take_done()) == b"\x40\x02\x01\x2c\x40\x02\x00\x04"


def test_an_entry_that_is_refused_holds_everything_behind_it() -> None:
    order = Order()
    order.add(Entry(1, Account.PRODUCED, 2))
    order.add(Entry(2, Account.PRODUCED, 0))
    order.entries[0](KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), None)
    delivered(order.entries[0])
    assert order.refused
    assert order.entries[0].left <= REFUSED
    assert order.take_done() == []
    assert len(order.take_all()) == 2
