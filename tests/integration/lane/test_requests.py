"""Requests to a lane are decided once, and what an asker does not learn, the account says."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest

from libs.runtime import metrics
from libs.runtime.requests.client import NoAnswer, NotAsked, Refused, Requests, RequestsSettings
from libs.runtime.settings import KafkaSettings
from libs.topics.messages.base import ReplyTo
from libs.topics.messages.hub import RequestAnswered
from tests.integration.lane.ledger import Withdraw, inbox
from tests.integration.lane.truth import Found, assert_exact
from tests.support.names import unique
from tests.support.polling import eventually_async
from tests.support.records import await_records

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from tests.integration.lane.scene import Scene

HELD = 1000
"""What every account holds at first."""


@asynccontextmanager
async def asking(scene: Scene, group: str, limit: int = 1000) -> AsyncIterator[Requests]:
    requests = Requests(KafkaSettings(bootstrap=scene.bootstrap), RequestsSettings(group=group, limit=limit))
    await requests.start()
    try:
        yield requests
    finally:
        await requests.stop()


def withdraw(value: int) -> Withdraw:
    return Withdraw(value=value, requested_by="test", requested_at=1_760_000_000_000)


async def outcome(requests: Requests, scene: Scene, account: str, value: int, *, within: float) -> str:
    """Ask for ``value``; "answered", "refused" or "unknown"."""
    try:
        answer = await requests.ask(inbox(scene.service), account.encode(), withdraw(value), within)
    except Refused as refused:
        told = refused.answer
        return f"refused {told.status} {told.code} {bytes(told.current).decode()}"
    except NoAnswer:
        return "unknown"
    assert answer.status == 200
    assert msgspec.json.decode(answer.body) == {"total": answer.version}
    return f"answered {answer.version}"


def fund(scene: Scene, accounts: Iterable[str]) -> None:
    load = scene.load()
    for account in accounts:
        load.put(account.encode(), "deposit", value=HELD)
    load.flush()


async def test_a_kill_9_leaves_an_answer_or_none_and_an_account_that_says_which(scene: Scene) -> None:
    accounts = [f"bank/account-{number}" for number in range(160)]
    fund(scene, accounts)
    workers = await asyncio.to_thread(scene.worker_after_worker, "a", "b")
    await asyncio.to_thread(scene.settle, *workers.values())
    late = metrics.registry.get_sample_value("fleetlog_requests_late_total") or 0.0
    async with asking(scene, unique("replies")) as requests:
        outcomes: dict[str, str] = {}
        turns = asyncio.Semaphore(40)

        async def ask(number: int, account: str) -> None:
            async with turns:
                # Every tenth asks for more than there is.
                value = HELD + 1 if number % 10 == 0 else number
                outcomes[account] = await outcome(requests, scene, account, value, within=2)
                if len(outcomes) == 60:
                    workers["a"].kill()

        await asyncio.gather(*(ask(number, account) for number, account in enumerate(accounts)))
        assert await outcome(requests, scene, "bank/other", 1, within=60) == 'refused 409 too_little {"total":0}'
        workers["a"] = scene.worker("a")
        await asyncio.to_thread(scene.settle, *workers.values())

        totals = {key.decode(): row.total for key, row in Found(scene.bootstrap, scene.service).rows.items()}
        for number, account in enumerate(accounts):
            if number % 10 == 0:
                assert totals[account] == HELD, "refused, whether its asker knows or not"
                assert outcomes[account] in ("unknown", f'refused 409 too_little {{"total":{HELD}}}')
            else:
                assert totals[account] == HELD - number, "Kafka had taken the request, so it is carried out once"
                assert outcomes[account] in ("unknown", f"answered {HELD - number}")
        unknown = [account for account, told in outcomes.items() if told == "unknown"]
        assert len(accounts) > len(unknown) > 0, "of those that were open at the kill, and of those before it"

        async def all_late() -> bool:
            counted = metrics.registry.get_sample_value("fleetlog_requests_late_total") or 0.0
            return counted - late >= len(unknown)

        await eventually_async(all_late, describe="late answers to be counted")
    for worker in workers.values():
        assert await asyncio.to_thread(worker.stop) == 0
    assert_exact(scene.bootstrap, scene.service)


async def test_open_requests_outlast_a_rebalance_of_the_repliers(scene: Scene) -> None:
    accounts = [f"bank/account-{number}" for number in range(40)]
    fund(scene, accounts)
    group = unique("replies")
    async with asking(scene, group) as first:
        # Alone it is dealt all partitions. Half of its requests name the first, half the last: whatever a second
        # member is dealt, answers are awaited in a partition that goes to it.
        open_requests: list[asyncio.Task[str]] = []
        for number, account in enumerate(accounts):
            first._mailbox.own = 0 if number % 2 else 15
            open_requests.append(asyncio.create_task(outcome(first, scene, account, 1, within=60)))
            await asyncio.sleep(0)
        async with asking(scene, group) as second:

            async def dealt() -> bool:
                return first._mailbox.own != second._mailbox.own

            await eventually_async(dealt, describe="a partition of its own for each")
            worker = scene.worker()
            assert await asyncio.gather(*open_requests) == [f"answered {HELD - 1}"] * len(accounts)
            for requests in (first, second):
                assert await outcome(requests, scene, accounts[0], HELD, within=60) == (
                    f'refused 409 too_little {{"total":{HELD - 1}}}'
                )
        assert await outcome(first, scene, accounts[1], HELD - 1, within=60) == "answered 0"
        many = [(account.encode(), withdraw(1)) for account in accounts for _ in range(50)]
        ends = await first.ask_all(inbox(scene.service), many, window=400, timeout=60)
        told = [end.version if isinstance(end, RequestAnswered) else None for end in ends]
        left = [HELD - 1 if number != 1 else 0 for number in range(len(accounts))]
        assert told == [total - n if total else None for total in left for n in range(1, 51)]
        assert {end.answer.code for end in ends if isinstance(end, Refused)} == {"too_little"}
    assert await asyncio.to_thread(worker.stop) == 0


async def test_what_is_not_asked_is_told_apart_from_what_is_not_answered(scene: Scene) -> None:
    async with asking(scene, unique("replies"), limit=1) as requests:
        waiting = asyncio.create_task(requests.ask(inbox(scene.service), b"bank/a", withdraw(1), 60))
        await asyncio.sleep(0)
        with pytest.raises(NotAsked, match="1 requests wait"):
            await requests.ask(inbox(scene.service), b"bank/b", withdraw(1))
        sent = await asyncio.to_thread(await_records, scene.bootstrap, inbox(scene.service), 1)
        assert [record.key for record in sent] == [b"bank/a"]
    with pytest.raises(NoAnswer, match="this process ends"):
        await waiting
    with pytest.raises(NotAsked, match="this process ends"):
        await requests.ask(inbox(scene.service), b"bank/a", withdraw(1))


async def test_a_reply_address_that_there_is_not_costs_one_dead_letter(scene: Scene) -> None:
    load = scene.load()
    lost = msgspec.structs.replace(withdraw(0), reply_to=ReplyTo(99, "nobody"))
    load.producer.produce(inbox(scene.service), msgspec.json.encode(lost), b"bank/a")
    load.flush()
    worker = scene.worker()
    async with asking(scene, unique("replies")) as requests:
        assert await outcome(requests, scene, "bank/a", 0, within=60) == "answered 0"
    assert await asyncio.to_thread(worker.stop) == 0
    truth, _ = assert_exact(scene.bootstrap, scene.service)
    assert truth.refused == 1
