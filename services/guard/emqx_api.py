"""EMQX's REST interface, version 5.8 or later, as far as ending sessions needs it."""

from __future__ import annotations

import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from libs.runtime.settings import BrokerApiSettings

T = TypeVar("T")
ROWS: Final = 1000
"""Sessions in one answer; with the fields that are asked for a row has about 0.2 kB."""
TIMEOUT: Final = 10.0
"""Seconds for one question."""
FIELDS: Final = "clientid,username,connected,client_attrs"


class Unanswered(Exception):
    """The broker did not answer, or not as documented. Ask again."""


class Session(msgspec.Struct, frozen=True):
    clientid: str
    connected: bool
    username: str | None = None
    client_attrs: dict[str, str] = {}
    """What the answer to the authentication said about the client."""


class _Meta(msgspec.Struct):
    cursor: str | None = None


class _Page(msgspec.Struct):
    data: list[Session]
    meta: _Meta


_page = msgspec.json.Decoder(_Page)


class EmqxApi:
    """Make it inside the event loop. Raises OSError where the file of the authorities is missing or not PEM."""

    def __init__(self, settings: BrokerApiSettings, *, rows: int = ROWS, timeout: float = TIMEOUT) -> None:
        key, secret = settings.key, settings.secret.reveal()
        tls = ssl.create_default_context(cafile=settings.tls_ca_file) if settings.tls_ca_file else True
        self._base, self._rows = f"{settings.url.rstrip('/')}/api/v5/", rows
        self._http = aiohttp.ClientSession(
            headers={"Authorization": aiohttp.encode_basic_auth(key, secret)} if key else {},
            timeout=aiohttp.ClientTimeout(total=timeout),
            connector=aiohttp.TCPConnector(ssl=tls),
        )

    async def close(self) -> None:
        await self._http.close()

    async def of(self, username: str) -> list[Session]:
        """Return the sessions of a user, also those that are kept without a connection. Raises `Unanswered`."""
        page = await self._list("clients", {"username": username, "page": "1"})
        return [session for session in page.data if session.username == username]

    async def everyone(self) -> AsyncIterator[Session]:
        """Yield all sessions; one that comes or goes meanwhile may be missing. Raises `Unanswered`.

        By cursor (``clients_v2``), since a page of a list that shrinks while it is read leaves out others.
        """
        question = dict[str, str]()
        while True:
            page = await self._list("clients_v2", question)
            for session in page.data:
                yield session
            if page.meta.cursor is None:
                return
            question = {"cursor": page.meta.cursor}

    async def end(self, client_id: str) -> None:
        """End a session and forget what is queued for it; one that is gone already is well. Raises `Unanswered`."""
        status, _ = await self._ask("DELETE", f"clients/{quote(client_id, safe='')}", {})
        if status not in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND}:
            raise Unanswered(f"DELETE clients/...: status {status}")

    async def _list(self, what: str, question: dict[str, str]) -> _Page:
        status, body = await self._ask("GET", what, {"limit": str(self._rows), "fields": FIELDS, **question})
        if status != HTTPStatus.OK:
            raise Unanswered(f"GET {what}: status {status}")
        try:
            return _page.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unanswered(f"GET {what}: {error}") from error

    async def _ask(self, method: str, path: str, question: dict[str, str]) -> tuple[int, bytes]:
        url = URL(self._base + path, encoded=True).with_query(question)
        try:
            async with self._http.request(method, url, allow_redirects=False) as answer:
                return answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unanswered(f"{method} {path.partition('/')[0]}: {error or type(error).__name__}") from error
