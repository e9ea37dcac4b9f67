"""Reads of rows, asked of the workers that own them.

A key's partition says whom to ask. Where a partition has no owner, or the one that was asked does not answer for it
any more, another claim is waited for, and the question is asked once more; then it is `Unavailable`. A worker refuses
what it does not own, so no answer comes from a former owner that knows of its loss.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import aiohttp
import msgspec

from libs.runtime import logs, metrics
from libs.runtime.partitioner import partition_of
from libs.topics.codec import encode
from libs.topics.identity import device_key, split_key

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from libs.topics.messages.hub import PartitionsOwned

    from .follow import Owners

log = logs.get(__name__)

MAX_KEYS: Final = 1000
"""Of one batch; workers take no more."""
ROUNDS: Final = 2

READS = metrics.counter(
    "owners_reads",
    "Reads of rows by partition: answered, asked again because the owner did not answer, or unavailable in the end.",
    ("service", "table", "outcome"),
)


class Unavailable(RuntimeError):
    """Nobody answered for these partitions: they have no owner, or it is not reached. It may be tried again."""

    def __init__(self, service: str, table: str, partitions: Iterable[int]) -> None:
        self.service, self.table, self.partitions = service, table, tuple(sorted(partitions))
        numbers = ", ".join(map(str, self.partitions))
        super().__init__(f"nobody answers for {service}/{table}, partitions: {numbers}")


class Batch(msgspec.Struct, frozen=True):
    """Every key asked for is in one of the three."""

    found: dict[str, msgspec.Raw]
    """The view's documents, as JSON, by key."""
    missing: tuple[str, ...]
    """The view shows nothing of these."""
    unavailable: tuple[str, ...]
    """Nobody answered for their partitions."""


class _Found(msgspec.Struct, frozen=True):
    found: dict[str, msgspec.Raw]
    missing: list[str]
    elsewhere: list[str]


class _Tallies(msgspec.Struct, frozen=True):
    partitions: dict[int, dict[str, int]]


class _Problem(msgspec.Struct, frozen=True):
    code: str = ""


class OwnerReads:
    """Asks over HTTP; `close` ends its connections. Make it inside the event loop."""

    def __init__(self, owners: Owners, *, partitions: int, timeout: float = 2.0, patience: float = 2.0) -> None:
        """``partitions``: of the installation. Seconds: ``timeout`` of an answer, ``patience`` for another owner."""
        self._owners, self._partitions, self._patience = owners, partitions, patience
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout))

    async def close(self) -> None:
        await self._session.close()

    async def get(self, service: str, table: str, view: str, product_id: str, device_id: str) -> msgspec.Raw | None:
        """Return a key's document as JSON; None: the view shows nothing of it. Raises `Unavailable`, `InvalidName`."""
        partition = partition_of(device_key(product_id, device_id), self._partitions)
        path = f"/{service}/{table}/{view}/{product_id}/{device_id}"
        document: msgspec.Raw | None = None

        async def ask(owner: PartitionsOwned, asked: list[int]) -> Iterable[int]:
            nonlocal document
            status, body = await self._send("GET", owner.url + path)
            if status == HTTPStatus.OK:
                document = msgspec.Raw(body)
            elif status != HTTPStatus.NOT_FOUND or _code(body) != "unknown_key":
                return ()
            return asked

        left = await self._rounds(service, table, {partition}, ask)
        if left:
            raise Unavailable(service, table, left)
        return document

    async def batch(self, service: str, table: str, view: str, keys: Sequence[str]) -> Batch:
        """Ask about up to `MAX_KEYS` keys, ``product/device``. Raises `InvalidName`, ValueError for too many."""
        if len(keys) > MAX_KEYS:
            raise ValueError(f"{len(keys)} keys where {MAX_KEYS} are the most")
        where: dict[int, list[str]] = {}
        for key in dict.fromkeys(keys):
            where.setdefault(partition_of(device_key(*split_key(key.encode())), self._partitions), []).append(key)
        found: dict[str, msgspec.Raw] = {}
        missing: list[str] = []

        async def ask(owner: PartitionsOwned, asked: list[int]) -> Iterable[int]:
            wanted = [key for partition in asked for key in where[partition]]
            status, body = await self._send("POST", f"{owner.url}/{service}/{table}/{view}", encode({"keys": wanted}))
            if status != HTTPStatus.OK:
                return ()
            answer = msgspec.json.decode(body, type=_Found)
            elsewhere = set(answer.elsewhere)
            answered = [partition for partition in asked if elsewhere.isdisjoint(where[partition])]
            mine = {key for partition in answered for key in where[partition]}
            found.update({key: document for key, document in answer.found.items() if key in mine})
            missing.extend(key for key in answer.missing if key in mine)
            return answered

        left = await self._rounds(service, table, where, ask)
        return Batch(found, tuple(missing), tuple(key for partition in sorted(left) for key in where[partition]))

    async def tally(self, service: str, table: str) -> dict[str, int]:
        """Count rows by what the table counts them by, over all partitions. Raises `Unavailable` if one is not told.

        Partitions are counted one after the other: a sum of moments that lie close together, not of a single one.
        """
        counts: dict[str, int] = {}

        async def ask(owner: PartitionsOwned, asked: list[int]) -> Iterable[int]:
            status, body = await self._send("GET", f"{owner.url}/{service}/{table}/tally")
            if status != HTTPStatus.OK:
                return ()
            told = msgspec.json.decode(body, type=_Tallies).partitions
            answered = [partition for partition in asked if partition in told]
            for partition in answered:
                for value, rows in told[partition].items():
                    counts[value] = counts.get(value, 0) + rows
            return answered

        left = await self._rounds(service, table, range(self._partitions), ask)
        if left:
            raise Unavailable(service, table, left)
        return counts

    async def _rounds(
        self,
        service: str,
        table: str,
        partitions: Iterable[int],
        ask: Callable[[PartitionsOwned, list[int]], Awaitable[Iterable[int]]],
    ) -> set[int]:
        """Ask the owners of partitions, all at once, and the new owners of those that were not answered for.

        ``ask(owner, partitions)`` returns the partitions that the owner answered for. Returns what is left.
        """
        left = set(partitions)
        owners: Mapping[int, PartitionsOwned] = self._owners.of(service, table)
        for number in range(ROUNDS):
            if number:
                READS.labels(service, table, "asked_again").inc(len(left))
                owners = await self._successors(service, table, left, owners)
            groups: dict[str, tuple[PartitionsOwned, list[int]]] = {}
            for partition in sorted(left & owners.keys()):
                owner = owners[partition]
                groups.setdefault(owner.url, (owner, []))[1].append(partition)
            answered = await asyncio.gather(*(ask(owner, asked) for owner, asked in groups.values()))
            told = left & set[int]().union(*answered)
            READS.labels(service, table, "answered").inc(len(told))
            left -= told
            if not left:
                break
        READS.labels(service, table, "unavailable").inc(len(left))
        return left

    async def _successors(
        self, service: str, table: str, partitions: Iterable[int], asked: Mapping[int, PartitionsOwned]
    ) -> dict[int, PartitionsOwned]:
        """Wait for other claims than those that were asked; returns what came in time."""
        until = asyncio.get_running_loop().time() + self._patience
        numbers = list(partitions)
        waits = (self._owners.another(service, table, number, asked.get(number), until) for number in numbers)
        claims = await asyncio.gather(*waits)
        return {number: claim for number, claim in zip(numbers, claims, strict=True) if claim is not None}

    async def _send(self, method: str, url: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Return status and body; status 0 where nobody answers."""
        try:
            try:
                return await self._once(method, url, body)
            except aiohttp.ServerDisconnectedError:  # a connection kept from before, which the worker had closed
                return await self._once(method, url, body)
        except (aiohttp.ClientError, TimeoutError) as error:
            log.info("owner of rows does not answer", url=url, error=repr(error))
            return 0, b""

    async def _once(self, method: str, url: str, body: bytes | None) -> tuple[int, bytes]:
        async with self._session.request(method, url, data=body) as response:
            return response.status, await response.read()


def _code(body: bytes) -> str:
    """Return the code of a problem document; empty where it is none."""
    try:
        return msgspec.json.decode(body, type=_Problem).code
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
