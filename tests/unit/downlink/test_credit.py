"""Room is given out and given back across threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from services.downlink.credit import Credit


def test_room_is_what_is_not_taken() -> None:
    credit = Credit(10, 1000)
    credit.take(4, 10)
    assert credit.room == 6
    credit.give_back(3, 10)
    assert credit.room == 9


@pytest.mark.parametrize(("messages", "size"), [(10, 0), (12, 0), (1, 1000)], ids=["messages", "more", "bytes"])
def test_used_up_half_of_it_must_be_back(messages: int, size: int) -> None:
    credit = Credit(10, 1000)
    credit.take(messages, size)
    credit.take(0, 0)
    assert credit.room == 0
    credit.give_back(messages - 6 if size == 0 else 0, max(0, size - 501))
    assert credit.room == 0
    credit.give_back(1, 1)
    assert credit.room > 0


def test_who_waits_goes_on_when_there_is_room() -> None:
    credit = Credit(2, 1000)
    credit.take(2, 0)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(credit.wait, 60)
        credit.give_back(2, 0)
        waiting.result(30)
    assert credit.room == 2


def test_nobody_waits_for_room_that_there_is() -> None:
    Credit(2, 1000).wait(60)
