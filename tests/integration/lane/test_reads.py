"""Rows are read from whoever owns them, and never from a former owner, while partitions move."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import msgspec
import pytest

from libs.runtime.owners.follow import Owners
from libs.runtime.owners.reads import OwnerReads, Unavailable
from libs.runtime.partitioner import partition_of
from libs.runtime.settings import KafkaSettings
from libs.topics.names import HUB_OWNERS
from tests.integration.lane.ledger import TABLE, Balance
from tests.integration.lane.topics import PARTITIONS
from tests.support.polling import eventually_async
from tests.support.records import read_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from libs.topics.messages.hub import PartitionsOwned
    from tests.integration.lane.load import Load
    from tests.integration.lane.process import Worker
    from tests.integration.lane.scene import Scene

ACCOUNTS = 60
KEYS = [f"bank/account-{number}" for number in range(ACCOUNTS)]


@asynccontextmanager
async def following(scene: Scene) -> AsyncIterator[tuple[Owners, OwnerReads]]:
    owners = Owners(KafkaSettings(bootstrap=scene.bootstrap))
    await owners.start()
    reads = OwnerReads(owners, partitions=PARTITIONS)
    try:
        yield owners, reads
    finally:
        await reads.close()
        await owners.stop()


class Watch:
    """Reads one account after the other until stopped: what is deposited there may only grow.

    Through a crash it may not: what the dead worker had folded, shown and not yet recorded is folded again.
    """

    def __init__(self, reads: OwnerReads, service: str) -> None:
        self._reads, self._service, self._chance = reads, service, random.Random(service)
        self._enough = asyncio.Event()
        self._seen = dict.fromkeys(KEYS, 0)
        self._crashing = False
        self.answered = self.lists = 0
        self.unavailable: list[tuple[str, tuple[int, ...]]] = []

    async def run(self) -> None:
        while not self._enough.is_set():
            key = self._chance.choice(KEYS)
            try:
                raw = await self._reads.get(self._service, TABLE, "balance", *key.split("/"))
            except Unavailable as nobody:
                self.unavailable.append((key, nobody.partitions))
                continue
            assert raw is not None
            deposits = msgspec.json.decode(raw, type=Balance).deposits
            assert self._crashing or deposits >= self._seen[key], f"{key} went back: a former owner was read"
            self._seen[key] = deposits
            self.answered += 1
            await asyncio.sleep(0)

    async def list(self) -> None:
        """Read all accounts, page after page: each of them is there once, in order, however they move."""
        while not self._enough.is_set():
            try:
                found = [key for key, _ in await listed(self._reads, self._service, "all:accounts")]
            except Unavailable:
                continue
            assert found == sorted(KEYS)
            self.lists += 1
            await asyncio.sleep(0)

    async def more(self) -> None:
        """Wait for a hundred more answers, and for three more lists."""
        wanted, lists = self.answered + 100, self.lists + 3

        async def answered() -> bool:
            return self.answered >= wanted and self.lists >= lists

        await eventually_async(answered, describe="reads to be answered")

    def crash(self, worker: Worker) -> None:
        self._crashing = True
        worker.kill()

    def crash_is_over(self) -> None:
        self._crashing, self._seen = False, dict.fromkeys(KEYS, 0)

    def stop(self) -> None:
        self._enough.set()


async def deposit_on(load: Load, enough: asyncio.Event) -> int:
    """Deposit into every account again and again; returns how often."""
    rounds = 0
    while not enough.is_set():
        for key in KEYS:
            load.put(key.encode(), "deposit", value=1)
        rounds += 1
        load.producer.poll(0)
        await asyncio.wait((asyncio.create_task(enough.wait()),), timeout=0.05)
    await asyncio.to_thread(load.flush)
    return rounds


async def owned_by(owners: Owners, service: str, workers: set[str]) -> dict[int, PartitionsOwned]:
    """Who owns what, once these workers share all partitions."""

    async def shared() -> dict[int, PartitionsOwned] | None:
        found = dict(owners.of(service, TABLE))
        assert len(found) == PARTITIONS, f"owned: {sorted(found)}"
        assert {claim.worker for claim in found.values()} == workers
        return found

    return await eventually_async(shared, describe=f"{workers} to own all partitions") or {}


async def test_reads_go_on_through_a_stop_and_a_kill_of_owners(scene: Scene) -> None:
    service, load = scene.service, scene.load()
    for key in KEYS:
        load.put(key.encode(), "deposit", value=1)
    load.flush()
    workers = await asyncio.to_thread(scene.worker_after_worker, "a", "b")
    await asyncio.to_thread(scene.settle, *workers.values())
    names = {announced_as(worker): name for name, worker in workers.items()}
    async with following(scene) as (owners, reads):
        claims = await owned_by(owners, service, set(names))
        await refuses_what_is_elsewhere(claims, service)
        await everything_is_read(reads, service, deposits=1)
        watch, enough = Watch(reads, service), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(watch.run())
            tasks.create_task(watch.list())
            depositing = tasks.create_task(deposit_on(load, enough))
            await watch.more()
            assert await asyncio.to_thread(workers["a"].stop) == 0
            await owned_by(owners, service, {announced_as(workers["b"])})
            await watch.more()
            workers |= await asyncio.to_thread(scene.worker_after_worker, "c")
            names[announced_as(workers["c"])] = "c"
            await owned_by(owners, service, {announced_as(workers[name]) for name in "bc"})
            await watch.more()
            watch.crash(workers["b"])  # without a goodbye: its claims stay until the successor's overrule them
            await owned_by(owners, service, {announced_as(workers["c"])})
            watch.crash_is_over()
            await watch.more()
            enough.set()
            rounds = await depositing
            await asyncio.to_thread(scene.settle, workers["c"])
            watch.stop()
        assert all(partitions == (partition_of(key.encode(), PARTITIONS),) for key, partitions in watch.unavailable)
        await everything_is_read(reads, service, deposits=1 + rounds)
    assert await asyncio.to_thread(workers["c"].stop) == 0
    left = {names[worker]: claims for worker, claims in last_words(scene).items()}
    assert left == {"a": None, "b": True, "c": None}, "whoever ends in order deletes its announcement"


def announced_as(worker: Worker) -> str:
    """The name under which a worker announces itself."""
    said = (json.loads(line) for line in worker.text().splitlines() if '"answers reads"' in line)
    return str(next(said)["worker"])


def last_words(scene: Scene) -> dict[str, bool | None]:
    """By worker whether it still claims something; None where its record is deleted."""
    prefix = f"{scene.service}/{TABLE}/"
    found: dict[str, bool | None] = {}
    for record in read_all(scene.bootstrap, HUB_OWNERS):
        key = (record.key or b"").decode()
        if key.startswith(prefix):
            claims = None if record.value is None else bool(record.message["partitions"])
            found[key.removeprefix(prefix)] = claims
    return found


async def refuses_what_is_elsewhere(claims: dict[int, PartitionsOwned], service: str) -> None:
    key = KEYS[0]
    owner = claims[partition_of(key.encode(), PARTITIONS)]
    [other] = {claim.url for claim in claims.values()} - {owner.url}
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{other}/{service}/{TABLE}/balance/{key}") as answer:
            assert (answer.status, answer.content_type) == (421, "application/problem+json")
            assert (await answer.json())["code"] == "not_served_here"
        async with session.get(f"{owner.url}/{service}/{TABLE}/balance/{key}") as answer:
            assert answer.status == 200


async def everything_is_read(reads: OwnerReads, service: str, deposits: int) -> None:
    batch = await reads.batch(service, TABLE, "balance", [*KEYS, "bank/nobody"])
    assert (batch.missing, batch.unavailable) == (("bank/nobody",), ())
    found = {key: msgspec.json.decode(raw, type=Balance).deposits for key, raw in batch.found.items()}
    assert found == dict.fromkeys(KEYS, deposits)
    odd = "odd" if deposits % 2 else "even"
    assert await reads.tally(service, TABLE) == {f"used/{odd}": ACCOUNTS}
    assert await reads.get(service, TABLE, "balance", "bank", "nobody") is None
    everywhere = await listed(reads, service, f"total:{odd}")
    assert [(key, balance.deposits) for key, balance in everywhere] == [(key, deposits) for key in sorted(KEYS)]
    some = [key for key, _ in await listed(reads, service, "all:accounts", "bank/account-1")]
    assert some == sorted(key for key in KEYS if key.startswith("bank/account-1"))


async def listed(reads: OwnerReads, service: str, term: str, prefix: str = "") -> list[tuple[str, Balance]]:
    """Everything that is listed, in pages of seven."""
    found: list[tuple[str, msgspec.Raw]] = []
    while not len(found) % 7:
        after = found[-1][0] if found else ""
        more = await reads.list(service, TABLE, "balance", term, prefix=prefix, after=after, limit=7)
        if not more:
            break
        found += more
    return [(key, msgspec.json.decode(raw, type=Balance)) for key, raw in found]


async def test_what_nobody_owns_is_unavailable(scene: Scene) -> None:
    async with following(scene) as (owners, _):
        reads = OwnerReads(owners, partitions=PARTITIONS, patience=0.1)
        with pytest.raises(Unavailable):
            await reads.get(scene.service, TABLE, "balance", "bank", "account-1")
        with pytest.raises(Unavailable):
            await reads.list(scene.service, TABLE, "balance", "all:accounts")
        with pytest.raises(Unavailable) as nobody:
            await reads.tally(scene.service, TABLE)
        assert nobody.value.partitions == tuple(range(PARTITIONS))
        batch = await reads.batch(scene.service, TABLE, "balance", KEYS)
        assert set(batch.unavailable) == set(KEYS)
        assert not batch.found
        await reads.close()
