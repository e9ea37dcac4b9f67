"""A device says that it listens to its tags only where the broker has granted all of them."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from fleetlog_device.buffer import BufferLimits
from fleetlog_device.clock import HubClock
from fleetlog_device.commands import Commands
from fleetlog_device.listener import Listener
from fleetlog_device.shadows import Shadows
from fleetlog_device.store import MemoryStore
from fleetlog_device.topics import Topics
from fleetlog_device.uplinks import Uplinks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable


class Message:
    """A PUBLISH as aiomqtt has it."""

    def __init__(self, topic: str, payload: bytes) -> None:
        self.topic, self.payload, self.properties = self, payload, None
        self.value = topic


class Link:
    """A connection on which tags are told, and the broker refuses ``refused``."""

    session_present = False

    def __init__(self, refused: frozenset[str], *told: tuple[int, list[str]]) -> None:
        self._refused, self._told = refused, told
        self.subscribed = set[str]()

    async def subscribe(self, filters: Iterable[str]) -> tuple[str, ...]:
        wanted = set(filters)
        self.subscribed |= wanted - self._refused
        return tuple(wanted & self._refused)

    async def unsubscribe(self, filters: Iterable[str]) -> None:
        self.subscribed -= set(filters)

    async def messages(self) -> AsyncIterator[Message]:
        for version, tags in self._told:
            told = json.dumps({"tags": tags, "tags_version": version}).encode()
            yield Message(f"cmd/p/d/$set_tags/plain/tags-{version}", told)

    def acknowledge(self, message: Message) -> None: ...


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        (set(), [(0, True), (1, True), (2, True), (2, True)]),
        ({"red"}, [(0, True), (1, False), (2, False), (2, True)]),
        ({"blue"}, [(0, True), (1, True), (2, False), (2, False)]),
    ],
)
async def test_it_says_so_at_each_connection_and_after_each_change(
    refused: set[str], said: list[tuple[int, bool]]
) -> None:
    topics, store = Topics("p", "d", "p/d"), MemoryStore()
    uplinks = Uplinks(BufferLimits(), store)
    heard: list[tuple[int, bool]] = []

    def tell() -> None:
        heard.append((listener.tags.version, listener.follows))

    async def nothing(*_: Any) -> None: ...

    listener = Listener(
        topics=topics,
        store=store,
        uplinks=uplinks,
        commands=Commands(topics, store, uplinks, lambda: 0),
        shadows=Shadows("iothub", topics, store, nothing),
        clock=HubClock(lambda: 0, lambda: 0),
        tell=nothing,
        greet=tell,
        tagged=tell,
    )
    filters = frozenset(map(topics.tag, refused))
    told = ((1, ["red"]), (1, ["red", "old"]), (2, ["blue"]))
    for link in (Link(filters, *told), Link(filters)):
        made: Any = link
        await asyncio.wait_for(listener.hold(made), 5)
        wanted = set(map(topics.tag, listener.tags.names))
        assert {one for one in link.subscribed if one.startswith("tags/")} == wanted - filters
    assert heard == said
