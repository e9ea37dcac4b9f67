"""The client: everything that an application calls."""

from __future__ import annotations

import asyncio
import time
import uuid
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from . import topics as protocol
from .backoff import Backoff
from .buffer import BufferLimits
from .clock import HubClock
from .commands import Call, Commands
from .connection import Connection, Credentials
from .errors import ConnectionLost, CredentialsRefused, DeviceError, NoAnswer, NoSecret, NotConnected
from .handlers import log
from .link import Address
from .listener import Listener
from .names import check, check_client_id, check_identity
from .payload import to_bytes, to_json
from .shadows import Shadows
from .sqlite_store import SqliteStore, default_path
from .uplinks import Receipt, Uplinks

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Coroutine, Mapping
    from types import TracebackType

    from .handlers import Handler
    from .payload import Payload
    from .shadow import Shadow
    from .shadows import Form
    from .store import Store

HandlerT = TypeVar("HandlerT", bound="Handler")

SECRET: Final = "secret"  # noqa: S105 - its place in the store
ELAPSED: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)
"""Of the clocks that nobody sets the one that goes on while the device sleeps; None: the system has none."""
PATIENCE: Final = 10.0
"""Seconds for the hub's own answers."""


def _wall() -> int:
    return time.time_ns() // 1_000_000


def _monotonic() -> int:
    return (time.monotonic_ns() if ELAPSED is None else time.clock_gettime_ns(ELAPSED)) // 1_000_000


class Device:
    """One device of a hub. Use it with ``async with``; the README has the ten lines, and what each call does.

    Entering does not wait for a connection: what is uploaded meanwhile is buffered, and handlers that are registered
    before the first ``await`` miss nothing. Leaving waits up to ``drain`` seconds for handlers that run and for what
    is in the buffer. A `Device` is entered once.
    """

    def __init__(
        self,
        product: str,
        device: str,
        secret: str | None = None,
        *,
        host: str,
        port: int | None = None,
        tls: bool | str | Path | ssl.SSLContext = False,
        websocket: str | None = None,
        keepalive: int = 60,
        session_expiry: int = 3600,
        client_id: str | None = None,
        previous_secret: str | None = None,
        refusals: int | None = 3,
        backoff: Backoff | None = None,
        store: Store | str | Path | None = None,
        buffer: BufferLimits | None = None,
        shadow: Form = "iothub",
        synchronise: bool = True,
        drain: float = 5.0,
    ) -> None:
        """``host`` to ``session_expiry``: see `fleetlog_device.link.Address`.

        secret: None: what `join` left in the store.
        client_id: None: ``product/device``, which is also the user name.
        previous_secret: tried when ``secret`` is refused, while a rotation is under way.
        refusals: how often in a row all secrets are refused before `CredentialsRefused` ends it; None: never.
        store: a `Store`, the path of a sqlite file, or None for one at `default_path`.
        shadow: how the device's own shadow is spoken of: a new device's best form is ``native``.
        synchronise: ask for the hub's time and this device's tags at each connection.

        Raises `InvalidName`.
        """
        self.product, self.device = check_identity(product, device)
        self.identity = f"{product}/{device}"
        self._secrets = tuple(each for each in (secret, previous_secret) if each is not None)
        self._address = Address(host, port, tls, websocket, keepalive, session_expiry)
        self._client_id, self._refusals = check_client_id(client_id or self.identity), refusals
        self._backoff, self._synchronise, self._drain = backoff or Backoff(), synchronise, drain
        self._store: Store = opened_store(product, device, store)
        self._uplinks = Uplinks(buffer or BufferLimits(), self._store)
        self._topics = protocol.Topics(product, device, self._client_id)
        self._clock = HubClock(_wall, _monotonic)
        self._commands = Commands(
            self._topics, self._store, self._uplinks, self._clock.now, lambda: self._clock.synchronised
        )
        self._shadows = Shadows(shadow, self._topics, self._store, self._send_now)
        self._listener = self._listen()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connection: asyncio.Task[None] | None = None

    def _listen(self) -> Listener:
        return Listener(
            topics=self._topics,
            store=self._store,
            uplinks=self._uplinks,
            commands=self._commands,
            shadows=self._shadows,
            clock=self._clock,
            tell=self._tell_upgrade,
            greet=self._greet,
            tagged=self._retagged,
        )

    # --- life

    async def __aenter__(self) -> Self:
        """Raises `NoSecret`, `StoreMismatch`, and what reading the TLS authorities raises."""
        self._store.open(self.identity)
        try:
            connection = Connection(self._address, self._credentials(), self._backoff)
            self._uplinks.restore()
            self._listener.restore()
            self._shadows.restore()
            self._commands.resume()
        except BaseException:
            self._store.close()
            raise
        for work in (self._listener.calls.run(), self._listener.upgrades.run()):
            self._spawn(work)
        self._shadows.start(self._spawn)
        self._connection = self._spawn(connection.run(self._listener))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.closing = True
        try:
            async with asyncio.timeout(self._drain):
                await self._commands.finished()
                await self._until(self._uplinks.drained())
        except (TimeoutError, CredentialsRefused):
            log.warning("left with %d messages that the hub has not acknowledged", self.pending)
        finally:
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._commands.stop()
            self._store.close()

    async def run(self) -> None:
        """Go on for ever. Raises `CredentialsRefused`."""
        await asyncio.shield(self._running())

    @property
    def connected(self) -> bool:
        return self._listener.link is not None

    async def wait_connected(self, timeout: float = PATIENCE) -> None:  # noqa: ASYNC109 - its own error says what was awaited
        """Raises `NotConnected` and `CredentialsRefused`."""
        try:
            async with asyncio.timeout(timeout):
                await self._until(_event(self._listener.linked))
        except TimeoutError as error:
            raise NotConnected(f"no connection to the hub within {timeout:g} s") from error

    # --- uplink

    async def upload(self, data_type: str, payload: Payload, *, message_id: str | None = None) -> Receipt:
        """Take data into the buffer, from which it goes to the hub, in order.

        ``message_id``: names the message for ever, for an application that may upload it twice; else a new one.
        Raises `InvalidName`, `BufferFull` and, when the connection has ended for good, `CredentialsRefused`.
        """
        check(data_type, "data type")
        message = _message_id() if message_id is None else check(message_id, "message id")
        return self._offer(self._topics.upload(data_type, message), payload, message)

    async def update_status(self, status: Mapping[str, Any]) -> Receipt:
        """Tell the device's status, such as ``app_ver``; only the latest matters. Raises as `upload` does."""
        message = _message_id()
        return self._offer(self._topics.status(message), to_json(dict(status)), message)

    async def send(self, device: str, payload: Payload) -> Receipt:
        """Send a message to another device of the same product, which must allow it. Raises as `upload` does."""
        message = _message_id()
        return self._offer(self._topics.message(check(device, "device id"), message), payload, message)

    async def send_request(self, resource: str, payload: Payload = None) -> Receipt:
        """Ask an application for data; its answer comes as whatever command it sends. Raises as `upload` does."""
        message = _message_id()
        return self._offer(self._topics.request(check(resource, "resource"), message), payload, message)

    async def request(
        self,
        resource: str,
        payload: Payload = None,
        *,
        answer: str | None = None,
        timeout: float = 30.0,  # noqa: ASYNC109 - its own error says what was awaited
    ) -> Call:
        """Ask an application for data, and wait for the command that answers.

        ``answer``: that command's name; None: the resource's. It then goes to no handler, and is replied to with
        nothing. Raises `InvalidName`, `NoAnswer`, `NotConnected` and `PublishRefused`.
        """
        topic = self._topics.request(check(resource, "resource"), _message_id())
        answered = self._commands.expect(check(answer or resource, "command"))
        try:
            async with asyncio.timeout(timeout):
                await self._send_now(topic, to_bytes(payload))
                return await answered
        except TimeoutError as error:
            raise NoAnswer(f"nobody answered the request for {resource} within {timeout:g} s") from error
        finally:
            answered.cancel()

    async def flush(self) -> None:
        """Return when the broker has acknowledged everything. Raises `CredentialsRefused`."""
        await self._until(self._uplinks.drained())

    @property
    def pending(self) -> int:
        """Messages that the broker has not acknowledged."""
        return len(self._uplinks)

    @property
    def dropped(self) -> int:
        """Messages that the buffer's policy threw away, in this process."""
        return self._uplinks.dropped

    # --- downlink

    def command(self, name: str | None = None) -> Callable[[HandlerT], HandlerT]:
        """Decorate the handler of a command: ``handler(call)`` is called once, and what it returns is the reply.

        None: of every command without a handler of its own. Raises `InvalidName`.
        """

        def register(handler: HandlerT) -> HandlerT:
            self._commands.register(name, handler)
            return handler

        return register

    def on_connected(self, handler: HandlerT) -> HandlerT:
        """``handler()``, after each connection."""
        self._listener.hooks.connected = handler
        return handler

    def on_disconnected(self, handler: HandlerT) -> HandlerT:
        """``handler(reason)``, a `CredentialsRefused` or a `ConnectionLost`, also after an attempt that failed."""
        self._listener.hooks.disconnected = handler
        return handler

    def on_message(self, handler: HandlerT) -> HandlerT:
        """``handler(sender, payload)``: another device of the product sent a message."""
        self._listener.hooks.message = handler
        return handler

    def on_p2p(self, handler: HandlerT) -> HandlerT:
        """``handler(topic, payload)``: somebody published to ``{topic}/p2p/{client id}``."""
        self._listener.hooks.peer = handler
        return handler

    def on_tags(self, handler: HandlerT) -> HandlerT:
        """``handler(tags)``, a frozenset: the device's tags have changed."""
        self._listener.hooks.tags = handler
        return handler

    def on_upgrade(self, handler: HandlerT) -> HandlerT:
        """``handler(upgrade)``, an `Upgrade`: the hub offers one. One at a time."""
        self._listener.hooks.upgrade = handler
        return handler

    # --- what the hub knows

    @property
    def shadow(self) -> Shadow:
        """The device's own shadow."""
        return self._shadows.own

    def named_shadow(self, name: str) -> Shadow:
        """A document beside the device's own; up to ten begin with their first report. Raises `InvalidName`."""
        return self._shadows.named(check(name, "shadow"))

    @property
    def tags(self) -> frozenset[str]:
        return self._listener.tags.names

    def now(self) -> int:
        """The hub's time in Unix ms; the device's own before `sync_time` was ever answered."""
        return self._clock.now()

    async def sync_time(self, *, timeout: float = PATIENCE) -> int:  # noqa: ASYNC109 - its own error says what was awaited
        """Ask for the hub's time; what it is ahead of the device's clock, in ms.

        Raises `NoAnswer`, `NotConnected` and `PublishRefused`.
        """
        asked = self._clock.ask()
        waiting = self._listener.times[asked] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout):
                await self._send_now(self._topics.request("$ntp", _message_id()), to_json({"device_time": asked}))
                await waiting
        except TimeoutError as error:
            raise NoAnswer(f"the hub did not tell its time within {timeout:g} s") from error
        finally:
            self._listener.times.pop(asked, None)
        return self._clock.offset

    # --- within

    def _offer(self, topic: str, payload: Payload, message: str) -> Receipt:
        running = self._running()
        if running.done():
            running.result()
        return self._uplinks.offer(topic, to_bytes(payload), message)

    async def _tell_upgrade(self, payload: bytes) -> Receipt:
        message = _message_id()
        return self._offer(self._topics.upgrade_progress(message), payload, message)

    async def _send_now(self, topic: str, payload: bytes) -> None:
        """Past the buffer, over the connection that there is or will be: for messages whose answer is awaited."""
        await self._until(_event(self._listener.linked))
        link = self._listener.link
        if link is None:
            raise NotConnected("the connection is gone")
        try:
            await link.publish(topic, payload)
        except ConnectionLost as error:
            raise NotConnected(str(error)) from error

    def _greet(self) -> None:
        if self._synchronise:
            self._spawn(self._ask("the time", self.sync_time))
            self._ask_tags()
        for shadow in self._shadows:
            if shadow.wanted:
                self._spawn(self._ask("the shadow", shadow.get))

    def _retagged(self) -> None:
        if self._synchronise:  # who does not say at each connection what it has is not counted on
            self._ask_tags()

    def _ask_tags(self) -> None:
        """Ask for this device's tags by saying which it has, and whether what is published to them reaches it."""
        tags = self._listener.tags
        document = to_json({"tags_version": tags.version, "subscribed": self._listener.follows})
        question = self._topics.request("$tags", _message_id())
        self._spawn(self._ask("the tags", partial(self._send_now, question, document)))

    @staticmethod
    async def _ask(what: str, question: Callable[[], Awaitable[object]]) -> None:
        """What nobody waits for: the next connection asks again. Asked not at all where the device leaves at once."""
        try:
            await question()
        except DeviceError as error:
            log.info("did not learn %s: %s", what, error)

    def _credentials(self) -> Credentials:
        kept = self._store.get(SECRET)
        secrets = self._secrets or ((kept,) if kept else ())
        if not secrets:
            raise NoSecret(f"no secret for {self.identity}: give one, or join first")
        return Credentials(self._client_id, self.identity, secrets, self._refusals)

    def _running(self) -> asyncio.Task[None]:
        if self._connection is None or self._connection.cancelled():
            raise NotConnected("use the device within `async with`")
        return self._connection

    async def _until(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for it while the connection goes on. Raises `CredentialsRefused`."""
        waiting = asyncio.ensure_future(work)
        try:
            await asyncio.wait((waiting, self._running()), return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                self._running().result()
        finally:
            waiting.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            if isinstance(error, DeviceError):
                log.error("the device stopped: %s", error)  # as `run` raises it
            else:
                log.error("the device stopped", exc_info=error)


async def _event(event: asyncio.Event) -> None:
    await event.wait()


def _message_id() -> str:
    return uuid.uuid4().hex


def opened_store(product: str, device: str, store: Store | str | Path | None) -> Store:
    """The store that an application named, or the default one."""
    if store is None:
        return SqliteStore(default_path(product, device))
    return SqliteStore(store) if isinstance(store, (str, Path)) else store
