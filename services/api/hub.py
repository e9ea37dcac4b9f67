"""What the routes need of the hub, as protocols, and the one object that carries it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from libs.runtime.activity import Activity

from .fanout_watch import Watches
from .joining import Joining
from .limits import Strangers
from .refusals import Refusals

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from msgspec import Raw

    from libs.runtime.owners.reads import Batch
    from libs.runtime.requests.calls import Outcome
    from libs.topics.messages.base import Request
    from libs.topics.messages.hub import RequestAnswered
    from libs.topics.messages.registry_events import ApiKeyDocument, ProductDocument

    from .frames import Record
    from .positions import Place
    from .queries import Question
    from .serving import Serving
    from .settings import ApiSettings

T_co = TypeVar("T_co", covariant=True)


class Part(Protocol):
    """Something that lives as long as the process."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def check(self) -> None:
        """Raise what ended it."""


class Asks(Protocol):
    """As `libs.runtime.requests.client.Requests`."""

    async def ask(self, inbox: str, key: bytes, request: Request, timeout: float = ...) -> RequestAnswered:  # noqa: ASYNC109 - as the real one
        """Raises `Refused`, `NoAnswer`, `NotAsked`."""

    async def ask_all(
        self,
        inbox: str,
        asked: Iterable[tuple[bytes, Request]],
        *,
        timeout: float = ...,  # noqa: ASYNC109 - as the real one
    ) -> list[Outcome]:
        """What came of each, in their order; when one is not answered in time, the rest is `NotAsked`."""

    async def ask_partitions(
        self,
        inbox: str,
        asked: Sequence[Request],
        timeout: float = ...,  # noqa: ASYNC109 - as the real one
    ) -> list[Outcome]:
        """What came of each, in their order."""


class Reads(Protocol):
    """As `libs.runtime.owners.reads.OwnerReads`. All raise `Unavailable`, and `InvalidName` for what is no key."""

    async def get(self, service: str, table: str, view: str, product_id: str, device_id: str) -> Raw | None: ...
    async def batch(self, service: str, table: str, view: str, keys: Sequence[str]) -> Batch: ...
    async def tally(self, service: str, table: str) -> dict[str, int]: ...
    async def list(
        self, service: str, table: str, view: str, term: str, *, prefix: str = "", after: str = "", limit: int = 100
    ) -> list[tuple[str, Raw]]:
        """(key, document) in key order, over all partitions."""


class Followed(Protocol[T_co]):
    """As `libs.runtime.compacted.Compacted`: a compacted topic as it stands."""

    @property
    def documents(self) -> Mapping[bytes, T_co]: ...
    async def until(self, holds: Callable[[], bool], seconds: float) -> None:
        """Return when ``holds()``. Raises TimeoutError."""


class Sends(Protocol):
    """As `services.api.uplink.Uplink`."""

    async def send(self, topic: str, key: bytes, value: bytes) -> None:
        """Raises `NotDelivered`."""

    def mark(self, topic: str, key: bytes, value: bytes) -> None:
        """Nobody waits for it."""


class Asked(Protocol):
    """As `services.api.history.History`: the store of the past."""

    async def ask(self, question: Question) -> Sequence[Sequence[Any]]:
        """Return rows. Raises `Problem`."""


class Streaming(Protocol):
    """As `services.api.streaming.Streams`."""

    @property
    def partitions(self) -> int: ...
    @property
    def serving(self) -> Serving: ...
    def stream(
        self,
        key_id: str,
        product_id: str,
        kinds: frozenset[str],
        position: Mapping[Place, int],
        *,
        stopping: asyncio.Event,
        allowed: Callable[[], bool],
    ) -> AsyncGenerator[bytes, None]: ...
    def hearing(
        self, topic: str, product_id: str, device_id: str | None, *, stopping: asyncio.Event
    ) -> AbstractAsyncContextManager[asyncio.Queue[Record | None]]: ...


class Hub:
    """``clock``: milliseconds since 1970. ``parts``: what `start` starts, in this order."""

    def __init__(
        self,
        settings: ApiSettings,
        *,
        requests: Asks,
        reads: Reads,
        products: Followed[ProductDocument],
        keys: Followed[ApiKeyDocument],
        uplink: Sends,
        history: Asked,
        streams: Streaming,
        clock: Callable[[], int],
        parts: Sequence[Part] = (),
    ) -> None:
        self.settings = settings
        self.requests, self.reads, self.products, self.keys = requests, reads, products, keys
        self.uplink, self.activity = uplink, Activity(settings.activity * 1000)
        self.refusals = Refusals(time.monotonic)
        self.strangers = Strangers(settings.http.failures_rate, settings.http.failures_burst, time.monotonic)
        self.history, self.streams = history, streams
        self.clock = clock
        self.joining, self.watches = Joining(self), Watches(self)
        self.stopping = asyncio.Event()
        """Set when the process is told to end: a stream then ends at once, other requests are finished."""
        self._parts = list(parts)
        self._started: list[Part] = []
        self._complete = False

    def add(self, part: Part) -> None:
        """Take a part that needs the hub itself: it is started after the others."""
        self._parts.append(part)

    async def start(self) -> None:
        """Return when every part works. Raises what a part raises; `stop` is due then, too."""
        for part in self._parts:
            self._started.append(part)
            await part.start()
        self._complete = True

    async def stop(self) -> None:
        """Stop what was started, the last one first. Raises what had ended a part."""
        self.stopping.set()
        failures: list[BaseException] = []
        while self._started:
            stopped = await asyncio.gather(self._started.pop().stop(), return_exceptions=True)
            failures += [failure for failure in stopped if failure is not None]
        if failures:
            raise failures[0]

    def check(self) -> None:
        """Raise what ended a part; the process must end then."""
        for part in self._started:
            part.check()

    @property
    def ready(self) -> bool:
        return self._complete and not self.stopping.is_set()
