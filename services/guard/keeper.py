"""Keeps the broker's files equal to the topics, and the broker to the files.

A round writes what has changed, sends one SIGHUP and waits until the broker has applied it; the next round takes
whatever came meanwhile. Between two rounds the broker has at least as long for its clients as it stood still.

What a crash must not make us forget is on disk: a deleted device is in `owed` before it leaves `passwords`, until its
session in the broker has ended. Whoever is in the `passwords` of an earlier run and registered no more is owed too.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Final

from libs.runtime import logs
from libs.runtime.health import Verdict
from libs.topics.identity import InvalidName, is_name, split_key

from . import credentials, files, metrics
from .kept import Kept
from .model import Device, Roll, Unfit
from .sessions import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from libs.topics.messages.registry_events import DeviceDocument, ProductDocument

    from .broker import Broker, Process
    from .sessions import Sessions

log = logs.get(__name__)

BATCH: Final = 0.05
"""Seconds that a change waits for company."""
LOOK: Final = 1.0
"""Seconds between two looks at the files and at the broker."""
AT_ONCE: Final = 200
"""Sessions that one round ends: well under a second's work, for which the next change waits."""


class Keeper:
    """`take_devices` and `take_products` get every change of the topics, in the loop; `run` does the work."""

    def __init__(
        self, directory: Path, group: int | None, broker: Broker, sessions: Sessions, *, many_blocks: int
    ) -> None:
        self._passwords = Kept(directory / "passwords", group)
        self._access = Kept(directory / "access", group)
        self._owed_file = Kept(directory / "owed")
        self._broker, self._sessions, self._many_blocks = broker, sessions, many_blocks
        self._roll = Roll()
        self._unfit: dict[bytes, str] = {}
        self._texts = (b"", b"")
        self._owed: dict[str, None] = {}
        self._told: Process | None = None
        self._stale, self._changed = True, asyncio.Event()
        self._since: float | None = None
        """When the first change came that the broker does not know of, by the loop's clock."""
        self._rest_until = 0.0
        """The broker's own time, before it is told again."""
        self.beat: float | None = None
        """When the last round ended, by the loop's clock."""
        self.verdict = Verdict(ok=False, reason="the topics are being read")

    def take_devices(self, changes: Sequence[tuple[bytes, DeviceDocument | None]]) -> None:
        for key, document in changes:
            try:
                product_id, device_id = split_key(key)
            except InvalidName as error:
                self._note(key, Unfit("invalid_key", str(error)))
                continue
            if self._roll.put_device(product_id, device_id, self._device(key, document)):
                self._owed[f"{product_id}/{device_id}"] = None
        self._wake()

    def take_products(self, changes: Sequence[tuple[bytes, ProductDocument | None]]) -> None:
        for key, document in changes:
            self._unfit.pop(key, None)
            product = None
            if document is not None:
                try:
                    product = credentials.product(key, document)
                except Unfit as error:
                    self._note(key, error)
            self._roll.put_product(key.decode("utf-8", "backslashreplace"), product)
        self._wake()

    async def run(self, stop: asyncio.Event, check: Callable[[], None]) -> None:
        """Return when ``stop`` is set. To be called when the topics have been read to their ends.

        ``check`` raises what ended the following of the topics. Raises PermissionError where we may not signal the
        broker.
        """
        self._remember()
        clock = asyncio.get_running_loop().time
        while not stop.is_set():
            check()
            more = await self._round()
            self.beat = clock()
            if not more:
                await _first(stop, self._changed, seconds=LOOK)
            self._changed.clear()
            await asyncio.sleep(max(BATCH, self._rest_until - clock()))

    # -- what is to be

    def _device(self, key: bytes, document: DeviceDocument | None) -> Device | None:
        self._unfit.pop(key, None)
        if document is None:
            return None
        try:
            return credentials.device(key, document)
        except Unfit as error:
            self._note(key, error)
            return Device(document.created_at, None)

    def _note(self, key: bytes, error: Unfit) -> None:
        self._unfit[key] = error.reason
        log.warning("left out of the broker's files", key=repr(key), reason=error.reason, error=str(error))

    def _wake(self) -> None:
        if self._since is None:
            self._since = asyncio.get_running_loop().time()
        self._stale = True
        self._changed.set()

    def _remember(self) -> None:
        """Whom an earlier run let in or owed, and who is registered no more. Raises OSError."""
        earlier = files.users(self._passwords.read()) | set(self._owed_file.read().decode(errors="replace").split())
        gone = {user for user in earlier if _is_device(user) and not self._roll.holds(user)}
        self._owed |= dict.fromkeys(sorted(gone))

    # -- what is

    async def _round(self) -> bool:
        """Return whether there is more to do at once."""
        try:
            wrote = await self._write()
        except OSError as error:
            metrics.FAILED.inc()
            log.exception("the broker's files cannot be written")
            self._stale = True
            self.verdict = Verdict(ok=False, reason=f"the files cannot be written: {error}")
            return False
        self.verdict = Verdict(ok=True)
        await self._tell(wrote=wrote)
        return await self._end_sessions()

    async def _write(self) -> bool:
        """Return whether `passwords` or `access` is another than before. Raises OSError."""
        stale, self._stale = self._stale, False
        if stale:
            self._render()
        owed = "".join(f"{user}\n" for user in self._owed).encode()
        if not await asyncio.to_thread(self._put, owed, *self._texts):
            return False
        metrics.WRITTEN.labels("change" if stale else "altered").inc()
        if not stale:
            log.warning("somebody altered the broker's files; they are put right")
        return True

    def _render(self) -> None:
        passwords = files.passwords(self._roll.logins())
        access, blocks = files.access(self._roll)
        self._texts = access, passwords
        metrics.USERS.set(passwords.count(b"\n"))
        metrics.BLOCKS.set(blocks)
        metrics.LEFT_OUT.clear()
        for reason in self._unfit.values():
            metrics.LEFT_OUT.labels(reason).inc()
        if blocks > self._many_blocks:
            log.warning("many users with access rules of their own: the broker stands still for long", blocks=blocks)

    def _put(self, owed: bytes, access: bytes, passwords: bytes) -> bool:
        self._owed_file.put(owed)
        changed = self._access.put(access)
        return self._passwords.put(passwords) or changed

    async def _tell(self, *, wrote: bool) -> None:
        process = self._broker.find()
        if wrote or process != self._told:  # a broker that has started since may have read what was there before
            self._told = process if process is not None and self._broker.reload(process) else None
            if self._told is not None:
                metrics.RELOADS.inc()
                await self._await_reload()
        metrics.BROKER.set(self._told is not None)

    async def _await_reload(self) -> None:
        clock = asyncio.get_running_loop().time
        began, since, self._since = clock(), self._since, None
        try:
            await self._sessions.reloaded()
        except Unreachable as error:
            log.warning("the broker's internal listener does not answer", error=str(error))
            return
        stood_still = clock() - began
        self._rest_until = clock() + stood_still
        metrics.RELOAD_SECONDS.observe(stood_still)
        if since is not None:
            metrics.APPLY_SECONDS.observe(clock() - since)

    async def _end_sessions(self) -> bool:
        """End the sessions of devices that are no more, as far as the broker can be asked. Return whether more are."""
        ending = list(islice(self._owed, AT_ONCE)) if self._told is not None else []
        try:
            await self._sessions.end(ending)
        except Unreachable as error:
            log.warning("sessions of deleted devices cannot be ended yet", sessions=len(self._owed), error=str(error))
            ending = []
        for user in ending:
            self._owed.pop(user, None)
        metrics.ENDED.inc(len(ending))
        metrics.OWED.set(len(self._owed))
        return bool(ending)


def _is_device(user: str) -> bool:
    product_id, _, device_id = user.partition("/")
    return is_name(product_id) and is_name(device_id)


async def _first(*events: asyncio.Event, seconds: float) -> None:
    """Wait for one of the events, but no longer than ``seconds``."""
    waiters = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiters, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiters:
            waiter.cancel()
