"""Asks a broker's REST interface which nodes run and who is connected."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, Protocol

import aiohttp
import msgspec

from libs.topics.messages.presence import ConnectionObserved

from .sources import emqx_clients
from .sources.common import MILLIS, Unfit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.runtime.settings import BrokerApiSettings

ROWS: Final = 5_000
"""Clients in one answer at most; EMQX allows 10,000. A row has about 1.3 kB."""
CHUNK: Final = 500
"""Rows that are turned into messages at once."""
MAX_BODY: Final = 64 * 1024 * 1024
"""Bytes of an answer at most."""
TIMEOUT: Final = 30.0
"""Seconds for one question."""
MARGIN: Final = 5_000
"""Milliseconds taken off the broker's time: its nodes' clocks differ, and a new client is listed a moment later."""


class Unlisted(Exception):
    """The broker did not answer, or not in a way that proves anything. What was known before still stands."""


class Sight(msgspec.Struct, frozen=True):
    """What a broker says about its nodes."""

    time: int
    """Milliseconds by the broker's clock, and surely before now: who connects later may be missing in a list."""
    uptimes: dict[str, int | None]
    """Of the sources that run, in ms; None where the broker does not tell."""


class Roll(Protocol):
    """A broker's list of its clients."""

    async def sight(self) -> Sight:
        """Raises `Unlisted`."""
        ...

    async def connections(self, source: str, listing: str, now: int) -> list[ConnectionObserved]:
        """All devices' connections of one source, as connects of that listing. Raises `Unlisted`."""
        ...


class EmqxRoll:
    """EMQX 5. ``rows``: how many clients to ask for at once."""

    def __init__(self, settings: BrokerApiSettings, *, rows: int = ROWS, timeout: float = TIMEOUT) -> None:
        self._settings, self._rows = settings, rows
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._tls = ssl.create_default_context(cafile=settings.tls_ca_file) if settings.tls_ca_file else True

    async def sight(self) -> Sight:
        async with self._session() as session:
            body, date = await self._ask(session, "nodes", {})
        with _unlisted():
            uptimes = {f"emqx:{node}": uptime for node, uptime in emqx_clients.running(body).items()}
        return Sight(_clock(date) - MARGIN, uptimes)

    async def connections(self, source: str, listing: str, now: int) -> list[ConnectionObserved]:
        node = source.removeprefix("emqx:")
        found = list[emqx_clients.Row]()
        ranges = [(MILLIS.start, MILLIS.stop - 1)]
        async with self._session() as session:
            while ranges:
                low, high = ranges.pop()
                body, _ = await self._ask(session, "clients", self._question(node, low, high))
                with _unlisted():
                    page = emqx_clients.page(body, low, high)
                    if page.whole:
                        found += page.data
                    else:
                        middle = emqx_clients.middle(page.data, low, high)
                        ranges += [(low, middle), (middle + 1, high)]
        connects = list[ConnectionObserved]()
        for at in range(0, len(found), CHUNK):
            await asyncio.sleep(0)  # others' turn
            with _unlisted():
                rows = [emqx_clients.observed(row, node, listing, now) for row in found[at : at + CHUNK]]
            connects += [connect for connect in rows if connect is not None]
        return connects

    def _question(self, node: str, low: int, high: int) -> dict[str, str]:
        return {
            "node": node,
            "conn_state": "connected",
            "page": "1",
            "limit": str(self._rows),
            "gte_connected_at": str(low),
            "lte_connected_at": str(high),
        }

    def _session(self) -> aiohttp.ClientSession:
        """One connection per task: whoever cancels the task closes it."""
        key, secret = self._settings.key, self._settings.secret.reveal()
        headers = {"Authorization": aiohttp.encode_basic_auth(key, secret)} if key else {}
        connector = aiohttp.TCPConnector(ssl=self._tls)
        return aiohttp.ClientSession(headers=headers, timeout=self._timeout, connector=connector)

    async def _ask(self, session: aiohttp.ClientSession, what: str, question: dict[str, str]) -> tuple[bytes, str]:
        """The body and the ``Date`` of an answer 200. Raises `Unlisted`."""
        url = f"{self._settings.url.rstrip('/')}/api/v5/{what}"
        try:
            async with session.get(url, params=question, allow_redirects=False) as answer:
                if answer.status != 200:
                    raise Unlisted(f"GET {what}: status {answer.status}")
                return await _bounded(answer.content), answer.headers.get("Date", "")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unlisted(f"GET {what}: {error or type(error).__name__}") from error


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    async for part in content.iter_any():
        body += part
        if len(body) > MAX_BODY:
            raise Unlisted(f"the answer has more than {MAX_BODY} bytes")
    return bytes(body)


def _clock(date: str) -> int:
    """Milliseconds of an HTTP date."""
    try:
        return int(parsedate_to_datetime(date).timestamp()) * 1000
    except ValueError:
        raise Unlisted("the answer does not tell the broker's time") from None


@contextmanager
def _unlisted() -> Iterator[None]:
    try:
        yield
    except Unfit as error:
        raise Unlisted(f"{error.reason}: {error}") from error
