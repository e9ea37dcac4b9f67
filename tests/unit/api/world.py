"""A hub without Kafka: what the API sees of it, held in memory, behind the same protocols. No patching."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
from httpx import ASGITransport, AsyncClient

from libs.runtime import keys
from libs.runtime.owners.reads import Batch
from libs.runtime.requests.client import NoAnswer, NotAsked, Refused
from libs.runtime.settings import Secret
from libs.topics.codec import encode
from libs.topics.identity import BROADCAST_KEY
from libs.topics.messages.hub import RequestAnswered, RequestRefused
from libs.topics.messages.registry_events import ApiKeyDocument, ProductDocument
from services.api.app import build
from services.api.frames import Record
from services.api.hub import Hub
from services.api.serving import Serving
from services.api.settings import ApiSettings, StreamSettings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence

    from libs.runtime.requests.calls import Outcome
    from libs.topics.messages.base import Request
    from libs.topics.messages.registry import Scope
    from services.api.positions import Place
    from services.api.queries import Question

T = TypeVar("T")

NOW = 1_760_000_000_000
SETTINGS = ApiSettings(secrets_key=Secret("0123456789abcdef0123456789abcdef"))
NULL = msgspec.Raw(b"null")


def answered(body: Any, status: int = 200, version: int | None = None) -> RequestAnswered:
    """An owner's answer."""
    return RequestAnswered("", status, msgspec.Raw(encode(body)), version, NOW)


def refused(status: int, code: str, *, detail: str = "it is so", advice: str = "", current: Any = None) -> Refused:
    return Refused(RequestRefused("", status, code, detail, advice, msgspec.Raw(encode(current)), NOW))


class FakeRequests:
    """``answer``: what the owner does, given the request; it returns an answer or raises as `Requests.ask` does."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes, Request]] = []
        self.answer: Callable[[Any], RequestAnswered] = lambda _request: answered(None)

    async def ask(self, inbox: str, key: bytes, request: Request, timeout: float = 10.0) -> RequestAnswered:  # noqa: ASYNC109 - as the real one
        self.asked.append((inbox, key, request))
        return self.answer(request)

    async def ask_all(
        self,
        inbox: str,
        asked: Iterable[tuple[bytes, Request]],
        *,
        timeout: float = 10.0,  # noqa: ASYNC109 - as the real one
    ) -> list[Outcome]:
        outcomes: list[Outcome] = []
        silent = False
        for key, request in asked:
            try:
                outcomes.append(
                    NotAsked("a request before it got none") if silent else await self.ask(inbox, key, request)
                )
            except (Refused, NoAnswer, NotAsked) as error:
                silent = silent or isinstance(error, NoAnswer)
                outcomes.append(error)
        return outcomes

    async def ask_partitions(
        self,
        inbox: str,
        asked: Sequence[Request],
        timeout: float = 10.0,  # noqa: ASYNC109 - as the real one
    ) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for request in asked:
            try:
                outcomes.append(await self.ask(inbox, BROADCAST_KEY, request))
            except (Refused, NoAnswer, NotAsked) as error:
                outcomes.append(error)
        return outcomes


class FakeReads:
    """``documents[service, table, view]``: documents by key, ``product/device``; ``listed``: keys by term."""

    def __init__(self) -> None:
        self.documents: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.listed: dict[str, list[str]] = {}
        self.counts: dict[str, int] = {}
        self.failure: Exception | None = None

    async def get(self, service: str, table: str, view: str, product_id: str, device_id: str) -> msgspec.Raw | None:
        self._fail()
        found = self.documents.get((service, table, view), {}).get(f"{product_id}/{device_id}")
        return None if found is None else msgspec.Raw(encode(found))

    async def batch(self, service: str, table: str, view: str, keys: Sequence[str]) -> Batch:
        self._fail()
        known = self.documents.get((service, table, view), {})
        found = {key: msgspec.Raw(encode(known[key])) for key in keys if key in known}
        return Batch(found, tuple(key for key in keys if key not in known), ())

    async def tally(self, service: str, table: str) -> dict[str, int]:
        self._fail()
        return self.counts

    async def list(
        self, service: str, table: str, view: str, term: str, *, prefix: str = "", after: str = "", limit: int = 100
    ) -> list[tuple[str, msgspec.Raw]]:
        self._fail()
        known = self.documents.get((service, table, view), {})
        fitting = sorted(key for key in self.listed.get(term, ()) if key.startswith(prefix) and key > after)
        return [(key, msgspec.Raw(encode(known[key]))) for key in fitting[:limit]]

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


class FakeFollowed(Generic[T]):
    def __init__(self) -> None:
        self.held: dict[bytes, T] = {}

    @property
    def documents(self) -> Mapping[bytes, T]:
        return self.held

    async def until(self, holds: Callable[[], bool], seconds: float) -> None:
        if not holds():
            raise TimeoutError


class FakeUplink:
    """``sent``: records that somebody waited for, as (topic, key, value); ``marked``: the others."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, bytes]] = []
        self.marked: list[tuple[str, bytes, bytes]] = []
        self.failure: Exception | None = None

    async def send(self, topic: str, key: bytes, value: bytes) -> None:
        if self.failure is not None:
            raise self.failure
        self.sent.append((topic, key, value))

    def mark(self, topic: str, key: bytes, value: bytes) -> None:
        self.marked.append((topic, key, value))


class FakeHistory:
    """``rows``: what the store of the past answers next; ``told``: by table, where that differs."""

    def __init__(self) -> None:
        self.asked: list[Question] = []
        self.rows: Sequence[Sequence[Any]] = ()
        self.told: dict[str, Sequence[Sequence[Any]]] = {}
        self.failure: Exception | None = None

    async def ask(self, question: Question) -> Sequence[Sequence[Any]]:
        if self.failure is not None:
            raise self.failure
        self.asked.append(question)
        return next((rows for table, rows in self.told.items() if f"FROM {table} " in question.statement), self.rows)


class FakeStreams:
    """``chunks``: what every stream tells; ``heard``: what whoever listens to a device hears."""

    partitions = 4

    def __init__(self) -> None:
        self.heard = asyncio.Queue[Record | None]()
        self.listening: list[tuple[str, str, str | None]] = []
        self.failure: Exception | None = None
        self.opened: list[tuple[str, frozenset[str], dict[Place, int]]] = []
        self.chunks: list[bytes] = [b"retry: 1000\n\n"]
        self.serving = Serving(StreamSettings())

    async def stream(
        self,
        key_id: str,
        product_id: str,
        kinds: frozenset[str],
        position: Mapping[Place, int],
        *,
        stopping: asyncio.Event,
        allowed: Callable[[], bool],
    ) -> AsyncGenerator[bytes, None]:
        self.opened.append((product_id, kinds, dict(position)))
        for chunk in self.chunks:
            yield chunk

    @asynccontextmanager
    async def hearing(
        self, topic: str, product_id: str, device_id: str | None, *, stopping: asyncio.Event
    ) -> AsyncIterator[asyncio.Queue[Record | None]]:
        if self.failure is not None:
            raise self.failure
        self.listening.append((topic, product_id, device_id))
        try:
            yield self.heard
        finally:
            self.listening.pop()


class World:
    """The fakes, the hub that they make, and keys to call it with."""

    def __init__(self, settings: ApiSettings = SETTINGS) -> None:
        self.now = NOW
        self.requests, self.reads = FakeRequests(), FakeReads()
        self.products, self.keys = FakeFollowed[ProductDocument](), FakeFollowed[ApiKeyDocument]()
        self.uplink = FakeUplink()
        self.history, self.streams = FakeHistory(), FakeStreams()
        self.hub = Hub(
            settings,
            requests=self.requests,
            reads=self.reads,
            products=self.products,
            keys=self.keys,
            uplink=self.uplink,
            history=self.history,
            streams=self.streams,
            clock=lambda: self.now,
        )
        self.app = build(self.hub)
        self._numbers = itertools.count(1)

    def issue(
        self, *scopes: Scope, products: tuple[str, ...] | None = None, expires_at: int | None = None, name: str = "ops"
    ) -> dict[str, str]:
        """Make an API key; returns the header that shows it."""
        number = next(self._numbers)
        minted = keys.mint(lambda count: number.to_bytes(count, "little"))
        self.keys.held[f"key:{minted.key_id}".encode()] = ApiKeyDocument(
            minted.key_id, name, scopes or ("read", "command", "admin"), products, minted.hash, NOW, expires_at
        )
        return {"Authorization": f"Bearer {minted.text}"}

    def client(self, headers: Mapping[str, str] | None = None) -> AsyncClient:
        """A client of the application in the test's own loop; ``headers`` default to those of a key for everything."""
        return AsyncClient(
            transport=ASGITransport(self.app),
            base_url="http://hub",
            headers=self.issue() if headers is None else headers,
        )
