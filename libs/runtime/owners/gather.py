"""Single reads of one owner, asked together: a request costs more than a hundred of its keys."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

T = TypeVar("T")


class Gathering(Generic[T]):
    """One request is under way at a time; keys asked for meanwhile, or in one turn of the loop, share the next.

    No answer is older than the question: a key joins only a request that was not sent yet.
    """

    def __init__(self, send: Callable[[list[str]], Awaitable[Mapping[str, T]]], most: int) -> None:
        """``send`` asks for up to ``most`` keys; its answer has all of them. What it raises, all of them raise."""
        self._send, self._most = send, most
        self._under_way = asyncio.Lock()
        self._keys: dict[str, None] = {}
        self._next: asyncio.Task[Mapping[str, T]] | None = None

    async def ask(self, key: str) -> T:
        """Who is cancelled takes nothing from the others."""
        if self._next is None or len(self._keys) == self._most:
            self._keys = {}
            self._next = asyncio.create_task(self._request(self._keys))
        self._keys[key] = None
        return (await asyncio.shield(self._next))[key]

    async def _request(self, keys: dict[str, None]) -> Mapping[str, T]:
        async with self._under_way:
            if self._keys is keys:
                self._next = None
            return await self._send(list(keys))
