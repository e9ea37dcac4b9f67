"""ClickHouse's HTTP interface in front of the engine."""

from __future__ import annotations

import base64
import binascii
import gzip
import hmac
import json
import logging
import uuid
from typing import TYPE_CHECKING

import lz4.frame
from aiohttp import hdrs, web
from multidict import CIMultiDict

from devstack.clickhouse import frames, native, statement
from devstack.clickhouse.engine import Engine, Request, Result
from devstack.clickhouse.errors import AUTHENTICATION_FAILED, BAD_ARGUMENTS, NOT_IMPLEMENTED, ClickHouseError

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST_BODY = 1 << 30
WORTH_COMPRESSING = 1024
"""Bytes: smaller answers go out as they are."""

PARAMETER = "param_"
NOT_SETTINGS = frozenset(
    {
        "query",
        "database",
        "default_format",
        "user",
        "password",
        "query_id",
        "session_id",
        "session_timeout",
        "session_check",
        "compress",
        "decompress",
        "quota_key",
        "role",
        "wait_end_of_query",
        "buffer_size",
        "stacktrace",
        "close_session",
        "client_protocol_version",
        "enable_http_compression",
        "http_zlib_compression_level",
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
        "cancel_http_readonly_queries_on_client_close",
    }
)
"""Query parameters of the HTTP interface itself; every other one is a setting of the engine."""

CONTENT_TYPES = {
    "Native": "application/octet-stream",
    "RowBinary": "application/octet-stream",
    "Arrow": "application/octet-stream",
    "ArrowStream": "application/octet-stream",
    "Parquet": "application/octet-stream",
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8",
    "CSVWithNames": "text/csv; charset=UTF-8",
}
TEXT = "text/plain; charset=UTF-8"

log = logging.getLogger(__name__)


class Server:
    """Answers ``/`` (queries) and ``/ping`` for one user."""

    def __init__(self, engine: Engine, user: str, password: str) -> None:
        self._engine = engine
        self._user = user
        self._password = password

    def app(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_get("/ping", self._ping)
        app.router.add_get("/", self._handle)
        app.router.add_post("/", self._handle)
        return app

    async def _ping(self, _request: web.Request) -> web.Response:
        return web.Response(text="Ok.\n")

    async def _handle(self, request: web.Request) -> web.Response:
        headers = CIMultiDict(
            {
                "X-ClickHouse-Server-Display-Name": "fleetlog-chdb",
                "X-ClickHouse-Query-Id": request.query.get("query_id") or str(uuid.uuid4()),
                "X-ClickHouse-Timezone": "Etc/UTC",
            }
        )
        try:
            self._authenticate(request)
            if request.method == hdrs.METH_GET and not request.query.get("query"):
                return web.Response(text="Ok.\n", headers=headers)
            result = await self._engine.execute(await _read(request))
            data = _revised(result, request.query)
        except ClickHouseError as error:
            log.warning("%s", error)
            headers["X-ClickHouse-Exception-Code"] = str(error.code)
            return web.Response(text=f"{error}\n", status=error.status, headers=headers)
        headers["X-ClickHouse-Format"] = result.format
        headers["X-ClickHouse-Summary"] = json.dumps(result.summary)
        headers[hdrs.CONTENT_TYPE] = CONTENT_TYPES.get(result.format, TEXT)
        return web.Response(body=_compressed(data, request, headers), headers=headers)

    def _authenticate(self, request: web.Request) -> None:
        """Three ways to say who one is, in ClickHouse's order: its own headers, basic authentication, parameters."""
        user, password = _credentials(request.headers, request.query)
        known = hmac.compare_digest(user.encode(), self._user.encode())
        if not (hmac.compare_digest(password.encode(), self._password.encode()) and known):
            text = f"{user}: Authentication failed: password is incorrect, or there is no user with such name."
            raise ClickHouseError(AUTHENTICATION_FAILED, text)


def _credentials(headers: Mapping[str, str], query: Mapping[str, str]) -> tuple[str, str]:
    if "X-ClickHouse-User" in headers:
        return headers["X-ClickHouse-User"], headers.get("X-ClickHouse-Key", "")
    scheme, _, encoded = headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ClickHouseError(AUTHENTICATION_FAILED, "Invalid HTTP Basic authentication") from error
        return user, password
    return query.get("user", "default"), query.get("password", "")


async def _read(request: web.Request) -> Request:
    """The request as the engine takes it. GET is read-only, as in ClickHouse."""
    arguments = request.query
    for name in ("compress", "decompress"):
        if arguments.get(name, "0") not in {"0", "false"}:
            text = f"{name}=1 (ClickHouse's own block compression): use Content-Encoding or Accept-Encoding"
            raise ClickHouseError(NOT_IMPLEMENTED, text)
    query, parameters = arguments.get("query", ""), _parameters(arguments)
    if request.content_type == "multipart/form-data":
        form = {name: str(value) for name, value in (await request.post()).items()}
        query, parameters, body = form.get("query", query), parameters | _parameters(form), b""
    else:
        body = await request.read()  # aiohttp has undone gzip, deflate and zstd
        if request.headers.get(hdrs.CONTENT_ENCODING) == "lz4":
            body = frames.decompress(body)
    headers = request.headers
    return Request(
        statement=statement.parse(query, body),
        database=arguments.get("database") or headers.get("X-ClickHouse-Database") or "",
        format=arguments.get("default_format") or headers.get("X-ClickHouse-Format") or "TabSeparated",
        settings={
            name: value
            for name, value in arguments.items()
            if name not in NOT_SETTINGS and not name.startswith(PARAMETER)
        },
        parameters=parameters,
        read_only=request.method == hdrs.METH_GET,
    )


def _parameters(arguments: Mapping[str, str]) -> dict[str, str]:
    return {name[len(PARAMETER) :]: value for name, value in arguments.items() if name.startswith(PARAMETER)}


def _revised(result: Result, query: Mapping[str, str]) -> bytes:
    version = query.get("client_protocol_version", "0")
    if not version.isdecimal():
        raise ClickHouseError(BAD_ARGUMENTS, f"client_protocol_version {version!r} is not a number")
    if result.format == "Native" and version != "0":
        return native.reframe(result.data, int(version))
    return result.data


def _compressed(data: bytes, request: web.Request, headers: CIMultiDict[str]) -> bytes:
    if request.query.get("enable_http_compression") != "1" or len(data) < WORTH_COMPRESSING:
        return data
    accepted = request.headers.get(hdrs.ACCEPT_ENCODING, "")
    if "lz4" in accepted:
        headers[hdrs.CONTENT_ENCODING] = "lz4"
        packed: bytes = lz4.frame.compress(data)
        return packed
    if "gzip" in accepted:
        headers[hdrs.CONTENT_ENCODING] = "gzip"
        return gzip.compress(data, 1)
    return data
