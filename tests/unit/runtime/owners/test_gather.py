"""Questions that are asked together get each its own answer."""

from __future__ import annotations

import asyncio

from libs.runtime.owners.gather import Gathering


class Owner:
    """Answers when the test lets it."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.goes = asyncio.Semaphore(0)
        self.fails = False

    async def send(self, keys: list[str]) -> dict[str, str]:
        self.asked.append(keys)
        await self.goes.acquire()
        if self.fails:
            raise OSError("no answer")
        return {key: key.upper() for key in keys}


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_is_asked_in_one_turn_or_while_a_request_is_under_way_shares_a_request() -> None:
    owner = Owner()
    gathering = Gathering(owner.send, 100)
    first = [asyncio.create_task(gathering.ask(key)) for key in "aba"]
    await settle()
    assert owner.asked == [["a", "b"]]
    later = [asyncio.create_task(gathering.ask("a"))]
    await settle()
    later.append(asyncio.create_task(gathering.ask("c")))
    await settle()
    assert len(owner.asked) == 1, "one request at a time"
    owner.goes.release()
    assert await asyncio.gather(*first) == ["A", "B", "A"]
    owner.goes.release()
    assert await asyncio.gather(*later) == ["A", "C"]
    assert owner.asked == [["a", "b"], ["a", "c"]], "what was asked later is not answered by the earlier request"


async def test_a_request_has_so_many_keys_and_no_more() -> None:
    owner = Owner()
    gathering = Gathering(owner.send, 3)
    tasks = [asyncio.create_task(gathering.ask(str(number))) for number in range(7)]
    for _ in range(3):
        owner.goes.release()
    assert await asyncio.gather(*tasks) == [str(number) for number in range(7)]
    assert owner.asked == [["0", "1", "2"], ["3", "4", "5"], ["6"]]


async def test_who_gives_up_takes_nothing_from_the_others() -> None:
    owner = Owner()
    gathering = Gathering(owner.send, 100)
    first, other = (asyncio.create_task(gathering.ask(key)) for key in "ab")
    await settle()
    first.cancel()
    await settle()
    owner.goes.release()
    assert await other == "B"
    assert first.cancelled()


async def test_a_failure_is_told_to_all_of_its_request_and_ends_with_it() -> None:
    owner = Owner()
    gathering = Gathering(owner.send, 100)
    owner.fails = True
    owner.goes.release()
    found = await asyncio.gather(gathering.ask("a"), gathering.ask("b"), return_exceptions=True)
    assert [type(one) for one in found] == [OSError, OSError]
    owner.fails = False
    owner.goes.release()
    assert await gathering.ask("a") == "A"
