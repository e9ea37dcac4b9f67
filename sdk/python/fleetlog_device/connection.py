"""Keeps a device connected: with which secret, after which wait, and when to give up."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from .errors import ConnectionLost, CredentialsRefused
from .handlers import log
from .link import connected, heed_cancellation

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from .backoff import Backoff
    from .link import Address, Link

CHANCE: Final = random.SystemRandom()


class Session(Protocol):
    """What happens over a connection."""

    async def hold(self, link: Link) -> None:
        """Until cancelled. Raises `ConnectionLost`."""

    async def lost(self, reason: Exception) -> None:
        """A connection, or an attempt at one, failed."""


@dataclass(frozen=True, slots=True)
class Credentials:
    client_id: str
    user: str
    secrets: tuple[str, ...]
    """Tried in turn when one is refused."""
    refusals: int | None
    """How often in a row all of them are refused before that is the end; None: there is none."""


class Connection:
    """One link after the other, until it is stopped or refused."""

    def __init__(self, address: Address, credentials: Credentials, backoff: Backoff) -> None:
        """Raises what reading the TLS authorities raises."""
        self._address, self._credentials, self._backoff = address, credentials, backoff
        self._context = address.context()

    async def run(self, session: Session) -> None:
        """Until cancelled. Raises `CredentialsRefused`."""
        who = self._credentials
        failures = refused = turn = 0
        while True:
            since = asyncio.get_running_loop().time()
            try:
                secret = who.secrets[turn]
                async with connected(self._address, self._context, who.client_id, who.user, secret) as link:
                    refused = 0
                    await session.hold(link)
            except CredentialsRefused as error:
                turn, refused = (turn + 1) % len(who.secrets), refused + 1
                log.warning("%s", error)
                await session.lost(error)
                if who.refusals is not None and refused >= who.refusals * len(who.secrets):
                    raise
                if turn:
                    continue  # the other secret of a rotation, at once
                # what was just registered, joined or rotated reaches the broker within a second: do not give up before
                await asyncio.sleep(self._backoff.first)
            except ConnectionLost as error:
                log.info("no connection to %s: %s", self._address.host, error)
                await session.lost(error)
                if asyncio.get_running_loop().time() - since >= self._backoff.steady:
                    failures = 0
            heed_cancellation()
            failures += 1
            await asyncio.sleep(self._backoff.wait(failures, CHANCE.random()))


async def first_of(*works: Coroutine[object, object, None]) -> None:
    """Run all until one ends, which is by an error; end the others, and raise it."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
