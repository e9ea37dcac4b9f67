"""The shadow of a device: got, reported, and brought to what is desired."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from . import shadow_documents
from .errors import NoAnswer, ShadowRefused
from .handlers import call, log, log_failure
from .shadow_documents import Accepted, Document, Refused, Told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from .handlers import Handler
    from .shadow_documents import Dialect, State
    from .store import Store

    Send = Callable[[str, bytes], Awaitable[None]]

VERSION: Final = "shadow_version"
REPORTED_VERSION: Final = "shadow_reported_version"
ATTEMPTS: Final = 8
"""Of a report that others' changes overtake."""
PATIENCE: Final = 10.0
"""Seconds."""


class Shadow:
    """One conversation at a time: neither dialect's answers say which message they answer.

    ``document`` is the newest that is known: what the hub told, with what it has accepted since.
    """

    def __init__(self, dialect: Dialect, store: Store, send: Send, name: str | None = None) -> None:
        """``name``: of a named shadow."""
        self._dialect, self._store, self._send = dialect, store, send
        self._versions = tuple(key if name is None else f"{key}:{name}" for key in (VERSION, REPORTED_VERSION))
        self._talking = asyncio.Lock()
        self._answers: asyncio.Queue[Told] | None = None
        self._handler: Handler | None = None
        self._changed = asyncio.Event()
        self._document = Document()
        self._doubtful = False
        """An answer may still come that nobody waits for."""

    def restore(self) -> None:
        """Know the versions that the process before knew."""
        version, reported_version = map(self._store.get, self._versions)
        self._document = Document(
            version=int(version or 0), reported_version=None if reported_version is None else int(reported_version)
        )

    def speaks(self, dialect: type[Dialect]) -> bool:
        """What the hub says in another one is not for this device."""
        return type(self._dialect) is dialect

    @property
    def document(self) -> Document:
        return self._document

    def on_delta(self, handler: Handler) -> Handler:
        """Call ``handler(delta, document)`` when something else is desired than reported.

        When it returns None, all that is desired is so, and is acknowledged: in the native form it is reported, and
        stays desired; in the dialects it is reported, and is desired no more. When it returns an object, that is
        reported instead (nothing, where it is empty), and what is desired stays. When it raises, nothing is said; the
        next document tries again.
        """
        self._handler = handler
        return handler

    @property
    def wanted(self) -> bool:
        """Whether anybody wants to know what is desired."""
        return self._handler is not None

    async def get(self, *, timeout: float = PATIENCE) -> Document:  # noqa: ASYNC109 - its own error says what was awaited
        """The document. Raises `NoAnswer`, `NotConnected` and `ShadowRefused`."""
        async with self._conversation(timeout):
            return await self._fetch()

    async def report(self, reported: Mapping[str, Any], *, timeout: float = PATIENCE) -> int:  # noqa: ASYNC109 - as above
        """Merge into what is reported (None deletes a key); the new version.

        Where the hub has another version, it is fetched and the report made anew.
        Raises `NoAnswer`, `NotConnected` and `ShadowRefused`.
        """
        change = dict(reported)
        return await self._insist(change, lambda known: self._dialect.report(_id(), change, known), timeout)

    async def delete(self, *names: str, timeout: float = PATIENCE) -> int:  # noqa: ASYNC109 - as above
        """Report these no more; the new version. Raises as `report` does."""
        change = dict.fromkeys(names)
        return await self._insist(change, lambda known: self._dialect.delete(_id(), names, known), timeout)

    async def acknowledge(self, *, timeout: float = PATIENCE) -> int | None:  # noqa: ASYNC109 - as above
        """Say that all that is desired in `document` is so; the new version.

        None where something else is desired meanwhile, which then comes as a delta of its own.
        Raises `NoAnswer`, `NotConnected` and `ShadowRefused`.
        """
        return await self._acknowledge(self._document.desired, timeout)

    async def _acknowledge(self, desired: State, timeout: float) -> int | None:  # noqa: ASYNC109 - as above
        """As `acknowledge`, of what was desired before others let us talk: nobody heard of what is desired since."""
        async with self._conversation(timeout):
            for _ in range(ATTEMPTS):
                known = self._document
                if not shadow_documents.same(known.desired, desired):
                    return None
                if not known.desired or not (known.delta or self._dialect.acknowledges):
                    return known.version
                answer = await self._exchange(self._dialect.acknowledge(_id(), known), known)
                if isinstance(answer, Accepted):
                    self._keep(self._acknowledged(known, answer))
                    return answer.version
                await self._refresh(answer)
        raise NoAnswer(f"the shadow changed {ATTEMPTS} times while it was acknowledged")

    def _acknowledged(self, known: Document, answer: Accepted) -> Document:
        """The newest document, with what was said of the one that was known then: it may have changed since."""
        if self._dialect.acknowledges:
            return shadow_documents.acknowledged(self._document, answer)
        return shadow_documents.reported(self._document, known.delta, answer)

    def receive(self, told: Told) -> None:
        """Take what the hub says: as the answer to whoever talks, and as news."""
        if self._answers is not None:
            self._answers.put_nowait(told)
        elif isinstance(told, Document) and told.version >= self._document.version:
            self._take(told)
        elif isinstance(told, Refused):
            log.warning("the hub refused a shadow message that nobody waits for: %s %s", told.code, told.message)

    async def follow(self) -> None:
        """Call the handler for what is desired, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._handler is None or not self._document.desired:
                continue
            try:
                await self._settle(self._handler, self._document)
            except Exception as error:  # noqa: BLE001 - an application may raise anything
                log_failure("the handler of the shadow's delta", error)

    async def _settle(self, handler: Handler, document: Document) -> None:
        if not document.delta and not self._dialect.acknowledges:
            return
        result = await call(handler, document.delta, document) if document.delta else None
        if isinstance(result, Mapping):
            if result:
                await self.report(result)
        else:
            await self._acknowledge(document.desired, PATIENCE)

    async def _insist(self, change: State, say: Callable[[Document], tuple[str, bytes]], timeout: float) -> int:  # noqa: ASYNC109 - as above
        """Say it for the newest document until the hub accepts it; the version that makes."""
        async with self._conversation(timeout):
            for _ in range(ATTEMPTS):
                known = self._document
                answer = await self._exchange(say(known), known)
                if isinstance(answer, Accepted):
                    self._keep(shadow_documents.reported(self._document, change, answer))
                    return answer.version
                await self._refresh(answer)
        raise NoAnswer(f"the shadow changed {ATTEMPTS} times while it was reported")

    @asynccontextmanager
    async def _conversation(self, timeout: float) -> AsyncIterator[None]:  # noqa: ASYNC109 - as above
        """Hold the floor. After an answer that never came, the next conversation begins with the whole document."""
        try:
            async with asyncio.timeout(timeout), self._talking:
                self._answers = asyncio.Queue()
                try:
                    if self._doubtful:
                        await self._fetch()
                    self._doubtful = True
                    yield
                    self._doubtful = False
                finally:
                    self._end()
        except TimeoutError as error:
            raise NoAnswer(f"the hub said nothing of the shadow within {timeout:g} s") from error

    def _end(self) -> None:
        """Let others talk. What came behind the last answer is news."""
        left, self._answers = self._answers, None
        while left is not None and not left.empty():
            self.receive(left.get_nowait())

    async def _fetch(self) -> Document:
        await self._send(*self._dialect.pull(_id()))
        while True:
            answer = await self._next()
            if isinstance(answer, Refused):
                raise ShadowRefused(answer.code, answer.message)
            if isinstance(answer, Document):
                self._take(answer)
                return answer

    async def _exchange(self, message: tuple[str, bytes], known: Document) -> Told:
        """The answer to a message that was made for this document."""
        await self._send(*message)
        while True:
            answer = await self._next()
            if not isinstance(answer, Document):
                return answer
            self._take(answer)
            if self._dialect.refuses(answer, known):
                return answer

    async def _refresh(self, answer: Told) -> None:
        """After a refusal: have the newest document. Raises `ShadowRefused` where that does not help."""
        if isinstance(answer, Refused):
            if answer.code != self._dialect.conflict:
                raise ShadowRefused(answer.code, answer.message)
            await self._fetch()

    async def _next(self) -> Told:
        assert self._answers is not None
        return await self._answers.get()

    def _take(self, document: Document) -> None:
        """Believe the hub, also where its version is smaller: the shadow may have been made anew."""
        self._keep(document)
        self._changed.set()

    def _keep(self, document: Document) -> None:
        self._document = document
        version, reported_version = self._versions
        self._store.put(version, str(document.version))
        if document.reported_version is not None:
            self._store.put(reported_version, str(document.reported_version))


def _id() -> str:
    return uuid.uuid4().hex
