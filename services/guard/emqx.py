"""Ends the sessions at EMQX that may not be any more.

EMQX asks the hub who may connect, but only when it connects. Whoever is disabled, deleted or has got another secret
while connected is cut here, by the broker's REST interface.

Nothing is written down about that. A session carries the credential id under which it was let in, so that its right
can be judged from the registry's document at any time: after a start all sessions are compared with the documents,
which finds what happened meanwhile.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from libs.runtime import logs, metrics
from libs.topics.access import CREDENTIAL
from libs.topics.identity import InvalidName, split_key

from .emqx_api import Session, Unanswered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from libs.topics.messages.registry_events import DeviceDocument

log = logs.get(__name__)

WORKERS: Final = 8
"""Questions to the broker at a time."""
AGAIN: Final = 1.0
"""Seconds to a second look: a connect that was allowed just before the change may show up just after the first."""
BACK_OFF: Final = (0.2, 30.0)
"""Shortest and longest pause, in seconds, until a broker that did not answer is asked again."""

KICKED = metrics.counter("guard_kicked", "Sessions that were ended at EMQX, by reason.", ("reason",))
FAILED = metrics.counter("guard_kicks_failed", "Questions that EMQX did not answer; they are asked again.")
WAITING = metrics.gauge("guard_kicks_waiting", "Devices whose sessions have still to be looked at.")


class Sessions(Protocol):
    """As `EmqxApi`. All raise `Unanswered`."""

    async def of(self, username: str) -> list[Session]: ...
    def everyone(self) -> AsyncIterator[Session]: ...
    async def end(self, client_id: str) -> None: ...


def fault(session: Session, document: DeviceDocument | None) -> str | None:
    """Return why a device's session may not be; None: it may. A session that is only kept must go with its device."""
    if document is None:
        return "deleted"
    if not session.connected:
        return None
    if not document.enabled:
        return "disabled"
    credential = session.client_attrs.get(CREDENTIAL)
    if credential not in {None, document.credential_id} and document.old_secret is None:
        return "secret_replaced"
    return None


class Kicks:
    """``find``: the document of a key, as it is now. `changed` is told of every document, from the beginning."""

    def __init__(
        self,
        sessions: Sessions,
        find: Callable[[bytes], DeviceDocument | None],
        *,
        again: float = AGAIN,
        back_off: tuple[float, float] = BACK_OFF,
    ) -> None:
        self._sessions, self._find, self._again, self._back_off = sessions, find, again, back_off
        self._secrets: dict[bytes, tuple[str, bool]] = {}
        self._due: asyncio.Queue[bytes] = asyncio.Queue()
        self._looks: dict[bytes, int] = {}
        self._failures: dict[bytes, int] = {}
        self._running = False
        self.compared = False
        """All sessions have been compared with the documents."""

    @property
    def waiting(self) -> int:
        """Devices whose sessions have still to be looked at."""
        return len(self._looks.keys() | self._failures.keys())

    def changed(self, changes: Sequence[tuple[bytes, DeviceDocument | None]]) -> None:
        """Take documents that have changed. What was so before `run` is found by comparing all sessions."""
        for key, document in changes:
            before = self._secrets.pop(key, None)
            after = None if document is None else (document.credential_id, document.old_secret is None)
            if after is not None:
                self._secrets[key] = after
            replaced = before is not None and before != after
            if self._running and (document is None or not document.enabled or replaced):
                self._look(key, 2)

    async def run(self) -> None:
        """Compare all sessions, and cut those of devices that change, until cancelled."""
        self._running = True
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._compare_all())
            for _ in range(WORKERS):
                tasks.create_task(self._work())

    async def _compare_all(self) -> None:
        pause, longest = self._back_off
        while True:
            try:
                async for session in self._sessions.everyone():
                    key = _key_of(session)
                    if key is not None and fault(session, self._find(key)):
                        # later: the document of a device that has just been registered may still be on its way
                        asyncio.get_running_loop().call_later(self._again, self._look, key, 1)
            except Unanswered as error:
                FAILED.inc()
                log.warning("sessions_not_compared", error=str(error), again_in=pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, longest)
            else:
                self.compared = True
                log.info("sessions_compared")
                return

    def _look(self, key: bytes, looks: int) -> None:
        if key not in self._looks:
            self._due.put_nowait(key)
        self._looks[key] = max(looks, self._looks.get(key, 0))
        WAITING.set(self.waiting)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            key = await self._due.get()
            looks = self._looks.pop(key)
            try:
                ended = await self._cut(key)
            except Unanswered as error:
                FAILED.inc()
                failures = self._failures[key] = self._failures.get(key, 0) + 1
                pause = min(self._back_off[0] * 2 ** min(failures - 1, 20), self._back_off[1])
                log.warning("session_not_ended", key=key.decode(), error=str(error), again_in=pause)
                loop.call_later(pause, self._look, key, looks)
            else:
                self._failures.pop(key, None)
                if ended or looks > 1:
                    loop.call_later(self._again, self._look, key, 1)
            WAITING.set(self.waiting)

    async def _cut(self, key: bytes) -> int:
        """End the sessions of a device that may not be; returns how many. Raises `Unanswered`."""
        ended = 0
        for session in await self._sessions.of(key.decode()):
            reason = fault(session, self._find(key))
            if reason is not None:
                await self._sessions.end(session.clientid)
                KICKED.labels(reason).inc()
                log.info("session_ended", client_id=session.clientid, reason=reason)
                ended += 1
        return ended


def _key_of(session: Session) -> bytes | None:
    """Return the key of the device whose session it is; None: it is no device's."""
    key = (session.username or "").encode("utf-8", "backslashreplace")
    try:
        split_key(key)
    except InvalidName:
        return None
    return key
