"""Reads of rows, asked of the workers that own them.

A key's partition says whom to ask. Where a partition has no owner, or the one that was asked does not answer for it
any more, another claim is waited for, and the question is asked once more; then it is `Unavailable`. A worker refuses
what it does not own, so no answer comes from a former owner that knows of its loss.
"""

from __future__ import annotations

import asyncio
from functools import partial
from heapq import nsmallest
from http import HTTPStatus
from operator import attrgetter
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

import aiohttp
import msgspec

from libs.runtime import logs
from libs.runtime.partitioner import partition_of
from libs.topics.codec import encode
from libs.topics.identity import device_key, split_key

from .gather import Gathering
from .rounds import Rounds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from libs.topics.messages.hub import PartitionsOwned

    from .follow import Owners

log = logs.get(__name__)

MAX_KEYS: Final = 1000
"""Of one batch or one page; workers take no more."""


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


class _Item(msgspec.Struct, frozen=True):
    key: str
    document: msgspec.Raw


class _Page(msgspec.Struct, frozen=True):
    partitions: list[int]
    items: list[_Item]


class _Told(msgspec.Struct, frozen=True):
    """What an owner said of one key."""

    document: msgspec.Raw | None
    """None: the view shows nothing of it."""


class _Tallies(msgspec.Struct, frozen=True):
    partitions: dict[int, dict[str, int]]


class _Problem(msgspec.Struct, frozen=True):
    code: str = ""


class OwnerReads:
    """Asks over HTTP; `close` ends its connections. Make it inside the event loop."""

    def __init__(self, owners: Owners, *, partitions: int, timeout: float = 2.0, patience: float = 2.0) -> None:
        """``partitions``: of the installation. Seconds: ``timeout`` of an answer, ``patience`` for another owner."""
        self._rounds, self._partitions, self._timeout = Rounds(owners, patience), partitions, timeout
        self._gatherings = WeakValueDictionary[str, Gathering[_Told | None]]()  # by the address of a view
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout))

    async def close(self) -> None:
        await self._session.close()

    async def get(self, service: str, table: str, view: str, product_id: str, device_id: str) -> msgspec.Raw | None:
        """Return a key's document as JSON; None: the view shows nothing of it. Raises `Unavailable`, `InvalidName`."""
        key = device_key(product_id, device_id)
        told: _Told | None = None

        async def ask(owner: PartitionsOwned, asked: list[int]) -> Iterable[int]:
            nonlocal told
            told = await self._ask_for(key.decode(), f"{owner.url}/{service}/{table}/{view}")
            return () if told is None else asked

        left = await self._rounds.ask(service, table, {partition_of(key, self._partitions)}, ask)
        if told is None:
            raise Unavailable(service, table, left)
        return told.document

    async def _ask_for(self, key: str, url: str) -> _Told | None:
        """Ask at a view's address, together with others; None: not answered."""
        gathering = self._gatherings.get(url)
        if gathering is None:
            gathering = self._gatherings[url] = Gathering(partial(self._told, url), MAX_KEYS)
        try:
            async with asyncio.timeout(self._timeout):
                return await gathering.ask(key)
        except TimeoutError:
            return None

    async def _told(self, url: str, keys: list[str]) -> dict[str, _Told | None]:
        if len(keys) > 1:
            status, body = await self._send("POST", url, encode({"keys": keys}))
            if status == HTTPStatus.OK:
                answer = msgspec.json.decode(body, type=_Found)
                told = {key: _Told(document) for key, document in answer.found.items()}
                return dict.fromkeys(answer.elsewhere) | dict.fromkeys(answer.missing, _Told(None)) | told
            if not status:
                return dict.fromkeys(keys)
        # One alone, or one of them makes the view fail: the others must not suffer from it.
        return dict(zip(keys, await asyncio.gather(*(self._told_alone(url, key) for key in keys)), strict=True))

    async def _told_alone(self, url: str, key: str) -> _Told | None:
        status, body = await self._send("GET", f"{url}/{key}")
        if status == HTTPStatus.OK:
            return _Told(msgspec.Raw(body))
        return _Told(None) if status == HTTPStatus.NOT_FOUND and _code(body) == "unknown_key" else None

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

        left = await self._rounds.ask(service, table, where, ask)
        return Batch(found, tuple(missing), tuple(key for partition in sorted(left) for key in where[partition]))

    async def list(
        self, service: str, table: str, view: str, term: str, *, prefix: str = "", after: str = "", limit: int = 100
    ) -> list[tuple[str, msgspec.Raw]]:
        """List documents with their keys, in key order, over all partitions; up to `MAX_KEYS`.

        Those whose keys are listed under the ``term`` (``name:value``), begin with ``prefix``, come behind ``after``.
        Fewer than ``limit`` are the last. Raises `Unavailable` if a partition is not told of, ValueError for a limit
        that is none.
        """
        if not 1 <= limit <= MAX_KEYS:
            raise ValueError(f"a page of {limit} documents where 1 to {MAX_KEYS} can be asked for")
        query = {"term": term, "prefix": prefix, "after": after, "limit": str(limit)}
        items: list[_Item] = []

        async def ask(owner: PartitionsOwned, asked: list[int]) -> Iterable[int]:
            url = f"{owner.url}/{service}/{table}/{view}"
            status, body = await self._send("GET", url, query=query | {"partitions": ",".join(map(str, asked))})
            if status != HTTPStatus.OK:
                return ()
            page = msgspec.json.decode(body, type=_Page)
            items.extend(page.items)
            return page.partitions

        left = await self._rounds.ask(service, table, range(self._partitions), ask)
        if left:
            raise Unavailable(service, table, left)
        return [(item.key, item.document) for item in nsmallest(limit, items, attrgetter("key"))]

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

        left = await self._rounds.ask(service, table, range(self._partitions), ask)
        if left:
            raise Unavailable(service, table, left)
        return counts

    async def _send(
        self, method: str, url: str, body: bytes | None = None, query: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Return status and body; status 0 where nobody answers."""
        try:
            try:
                return await self._once(method, url, body, query)
            except aiohttp.ServerDisconnectedError:  # a connection kept from before, which the worker had closed
                return await self._once(method, url, body, query)
        except (aiohttp.ClientError, TimeoutError) as error:
            log.info("owner of rows does not answer", url=url, error=repr(error))
            return 0, b""

    async def _once(
        self, method: str, url: str, body: bytes | None, query: Mapping[str, str] | None
    ) -> tuple[int, bytes]:
        async with self._session.request(method, url, data=body, params=query) as response:
            return response.status, await response.read()


def _code(body: bytes) -> str:
    """Return the code of a problem document; empty where it is none."""
    try:
        return msgspec.json.decode(body, type=_Problem).code
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
