"""Commands: taken once, run once, answered until the broker has the reply."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from . import requests
from .errors import CommandFailed
from .handlers import call, log
from .names import check
from .payload import BadPayload, decoded, to_bytes
from .requests import Request, failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from .handlers import Handler
    from .store import Store
    from .topics import CommandTopic, Mode, Topics
    from .uplinks import Uplinks

AT_ONCE: Final = 32
"""Handlers that run at once; beyond that the connection is not read from, and the broker waits."""
PRUNED_EVERY: Final = 100
"""Commands."""
REPLIES: Final = 100
"""That are kept after the broker has had them: as many as a device has commands open."""
LONGEST_REPLY: Final = 16 * 1024
"""Bytes of one that is kept."""


@dataclass(frozen=True, slots=True)
class Call:
    """A command as its handler gets it."""

    name: str
    payload: bytes
    """Decoded, where it came as base64."""
    mode: Mode
    """``rpc``: somebody waits for the reply."""
    request_id: str
    tag: str | None
    """The tag that it was sent to; None: to this device alone."""
    expires_at: int | None
    """Unix ms of the hub's clock: a reply is late from then on."""

    def text(self) -> str:
        """Raises `UnicodeDecodeError`."""
        return self.payload.decode()

    def json(self) -> Any:
        """Raises `ValueError`."""
        return json.loads(self.payload)


class Commands:
    """``now`` tells the hub's time in ms; ``is_certain``: whether it does, or what the device's own clock says."""

    def __init__(
        self,
        topics: Topics,
        store: Store,
        uplinks: Uplinks,
        now: Callable[[], int],
        is_certain: Callable[[], bool] = lambda: True,
    ) -> None:
        self._topics, self._store, self._uplinks, self._now, self._is_certain = topics, store, uplinks, now, is_certain
        self._handlers: dict[str, Handler] = {}
        self._any: Handler | None = None
        self._awaited: dict[str, list[asyncio.Future[Call]]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._taken = 0
        self._connections = 0
        self._replied: dict[str, tuple[int, bytes]] = {}
        """By request id: the connection on which the reply was sent last, and the reply."""
        self.expired = 0

    def register(self, name: str | None, handler: Handler) -> None:
        """None: of all commands that have no handler of their own. Raises `InvalidName`."""
        if name is None:
            self._any = handler
        else:
            self._handlers[check(name, "command")] = handler

    def connected(self) -> None:
        """A connection begins: what comes again over it is asked for again, see `_repeat`."""
        self._connections += 1

    def resume(self) -> None:
        """Answer what the process before took and did not answer."""
        for request in self._store.unanswered():
            self._answer(requests.resumed(request))

    def expect(self, name: str) -> asyncio.Future[Call]:
        """The next command of that name, which then goes to no handler. Cancel it to give it up."""
        future: asyncio.Future[Call] = asyncio.get_running_loop().create_future()
        self._awaited[name] = [*(each for each in self._awaited.get(name, ()) if not each.done()), future]
        return future

    async def take(self, topic: CommandTopic, payload: bytes, remaining: int | None) -> None:
        """``remaining``: the message expiry that was left, in s. The command may be acknowledged afterwards."""
        certain = self._is_certain()
        ends = requests.deadline(topic.expires_at, remaining, self._now(), certain=certain)
        await self._slots.acquire()
        if self._is_certain() and not certain:  # the hub has told its time meanwhile, and `ends` is of the clock before
            ends = requests.deadline(topic.expires_at, None, self._now())
        known = self._store.request(topic.request_id)
        expired = requests.is_expired(ends, self._now())
        if known is not None or expired:
            self._slots.release()
            self.expired += known is None
            log.debug("command %s is %s", topic.request_id, "expired" if expired else "known")
            if known is not None and not expired:
                self._repeat(known)
            return
        if topic.expires_at is not None and not self._is_certain():
            ends = topic.expires_at * 1000
        answer = self._topics.reply(topic.mode, topic.command, topic.request_id, topic.request_id)
        request = Request(topic.request_id, self._moment(), answer)
        self._store.put_request(request)
        self._prune()
        task = asyncio.create_task(self._run(topic, payload, ends, request), name=f"command {topic.command}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def remember(self, topic: CommandTopic) -> bool:
        """Whether a command of the hub's own, which has no reply, comes for the first time."""
        if self._store.request(topic.request_id) is not None:
            return False
        self._store.put_request(Request(topic.request_id, self._moment(), "", b"", answered=True))
        self._prune()
        return True

    async def finished(self) -> None:
        """Return when no handler runs."""
        while self._running:
            await asyncio.wait(self._running)

    async def stop(self) -> None:
        """Cancel the handlers that run; their callers hear of it when the device starts anew."""
        for task in self._running:
            task.cancel()
        await self.finished()

    async def _run(self, topic: CommandTopic, payload: bytes, ends: int | None, request: Request) -> None:
        try:
            outcome = await self._outcome(topic, payload, ends)
        finally:
            self._slots.release()
        self._answer(requests.settled(request, outcome))

    async def _outcome(self, topic: CommandTopic, payload: bytes, ends: int | None) -> bytes:
        try:
            content = decoded(payload, topic.encoding)
        except BadPayload as error:
            return failure("bad_payload", str(error))
        made = Call(topic.command, content, topic.mode, topic.request_id, topic.tag, ends)
        if self._resolve(made):
            return b""
        handler = self._handlers.get(made.name, self._any)
        if handler is None:
            return failure("unknown_command", f"this device does not know {made.name}")
        try:
            return to_bytes(await call(handler, made))
        except CommandFailed as error:
            return failure(error.code, error.message)
        except Exception as error:  # noqa: BLE001 - an application may raise anything, and the caller hears of it
            return failed(made, error)

    def _resolve(self, made: Call) -> bool:
        awaited = self._awaited.pop(made.name, [])
        waiting = [future for future in awaited if not future.done()]
        if not waiting:
            return False
        waiting.pop(0).set_result(made)
        if waiting:
            self._awaited[made.name] = waiting
        return True

    def _answer(self, request: Request) -> None:
        outcome = request.outcome or b""
        self._store.put_request(request)

        def acknowledged() -> None:
            self._store.put_request(replace(request, outcome=b"", answered=True))
            if len(outcome) <= LONGEST_REPLY:
                self._keep(request.request_id, outcome)

        self._uplinks.reply(request.topic, outcome, acknowledged)

    def _keep(self, request_id: str, outcome: bytes) -> None:
        self._replied.pop(request_id, None)
        self._replied[request_id] = self._connections, outcome
        while len(self._replied) > REPLIES:
            del self._replied[next(iter(self._replied))]

    def _repeat(self, known: Request) -> None:
        """Send a reply again that the hub asks for on another connection than the broker took it from.

        The broker had it and lost it, as it may when it crashes; where the hub has it after all, its message id says
        so.
        """
        connection, outcome = self._replied.get(known.request_id, (self._connections, b""))
        if known.answered and connection < self._connections:
            self._keep(known.request_id, outcome)
            self._uplinks.reply(known.topic, outcome, lambda: None)

    def _moment(self) -> int:
        return self._now() if self._is_certain() else requests.UNDATED

    def _prune(self) -> None:
        self._taken += 1
        if self._taken % PRUNED_EVERY == 0:
            before = self._now() - requests.RETENTION if self._is_certain() else 0
            self._store.prune_requests(before, requests.CAPACITY)


def failed(made: Call, error: Exception) -> bytes:
    """The reply where a handler raised, which is logged."""
    log.error("the handler of %s failed", made.name, exc_info=error)
    return failure("handler_failed", f"{type(error).__name__}: {error}")
