"""Reads of owned rows over HTTP: what a worker answers.

| path | answer |
|---|---|
| ``GET /{service}/{table}/{view}/{product}/{device}`` | the view's document; 404 where it shows none |
| ``POST /{service}/{table}/{view}`` with `Keys` | `Batch`, for up to `MAX_KEYS` keys |
| ``GET /{service}/{table}/{view}?term=...`` | a `pages.Page` of what is `pages.Wanted` |
| ``GET /{service}/{table}/tally`` | `Tallies` of the partitions served here |

A key whose partition is not served here is answered with 421, Misdirected Request: ask its owner. Whatever is refused
is a problem document (RFC 9457) with a stable ``code``.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from aiohttp import web

from libs.runtime import metrics
from libs.topics.codec import encode
from libs.topics.identity import InvalidName, device_key, split_key

from .fail import log
from .pages import TURN, Wanted, page
from .reads import NotOwned

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from .lane import Lane
    from .model import View

T = TypeVar("T")

MAX_KEYS: Final = 1000
"""Of one batch."""
MAX_BODY: Final = 256 * 1024
"""Bytes of a request: `MAX_KEYS` keys of the longest names, and as much again."""
TALLY: Final = "tally"
"""Taken by the path of the tallies: no view has this name."""

READS = metrics.counter(
    "lane_reads", "Lane: requests for rows over HTTP, by status of the answer.", ("service", "table", "status")
)


class Keys(msgspec.Struct, frozen=True):
    """Body of a batch."""

    keys: list[str]
    """``product/device`` each."""


class Batch(msgspec.Struct, frozen=True):
    """Answer to a batch; every key asked for is in one of the three."""

    found: dict[str, Any]
    """The view's documents by key."""
    missing: list[str]
    elsewhere: list[str]
    """Their partitions are not served here."""


class Tallies(msgspec.Struct, frozen=True):
    """Answer to a tally; a value of several parts is written with slashes."""

    partitions: dict[str, dict[str, int]]
    """By the partition's number; in it, rows by what they are counted by."""


class Problem(msgspec.Struct, frozen=True):
    """RFC 9457, as all of the hub's refusals over HTTP."""

    type: str
    title: str
    status: int
    code: str
    """Stable, in snake_case."""
    detail: str


class Refusal(Exception):
    """Ends a request with a problem document."""

    def __init__(self, status: HTTPStatus, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail


def application(service: str, lanes: Mapping[str, Lane], closed: Callable[[], bool]) -> web.Application:
    """Compose the routes. ``closed``: the worker has said goodbye, nothing is served here any more."""
    answers = _Answers(service, lanes, closed)
    app = web.Application(client_max_size=MAX_BODY, middlewares=[answers.refuse])
    app.router.add_get("/{service}/{table}/" + TALLY, answers.tally)
    app.router.add_get("/{service}/{table}/{view}/{product}/{device}", answers.one)
    app.router.add_get("/{service}/{table}/{view}", answers.list)
    app.router.add_post("/{service}/{table}/{view}", answers.batch)
    return app


class _Answers:
    def __init__(self, service: str, lanes: Mapping[str, Lane], closed: Callable[[], bool]) -> None:
        self._service, self._lanes, self._closed = service, lanes, closed

    async def one(self, request: web.Request) -> web.Response:
        lane, view = self._view(request)
        key = _checked(lambda: device_key(request.match_info["product"], request.match_info["device"]))
        try:
            document = self._show(lane, view, key)
        except NotOwned as elsewhere:
            raise Refusal(HTTPStatus.MISDIRECTED_REQUEST, "not_served_here", str(elsewhere)) from elsewhere
        if document is None:
            raise Refusal(HTTPStatus.NOT_FOUND, "unknown_key", f"nothing is known about {key.decode()}")
        return _json(document)

    async def batch(self, request: web.Request) -> web.Response:
        lane, view = self._view(request)
        wanted = _keys(await request.read())
        answer = Batch({}, [], [])
        for number, (text, key) in enumerate(wanted.items(), 1):
            try:
                document = self._show(lane, view, key)
            except NotOwned:
                answer.elsewhere.append(text)
            else:
                if document is None:
                    answer.missing.append(text)
                else:
                    answer.found[text] = document
            if not number % TURN:
                await asyncio.sleep(0)
        return _json(answer)

    async def list(self, request: web.Request) -> web.Response:
        lane, view = self._view(request)
        if not lane.lists:
            raise Refusal(HTTPStatus.NOT_FOUND, "not_listed", "the keys of this table are not listed")
        try:
            wanted = msgspec.convert(dict(request.query), Wanted, strict=False)
        except msgspec.ValidationError as error:
            raise Refusal(HTTPStatus.BAD_REQUEST, "invalid_query", str(error)) from error
        return _json(await page(lane.reads, view, wanted, lambda: self._served(lane)))

    async def tally(self, request: web.Request) -> web.Response:
        lane = self._lane(request)
        counts: Mapping[int, Mapping[Any, int]] = {} if self._closed() else lane.reads.tally()
        return _json(
            Tallies({str(number): {_said(value): n for value, n in found.items()} for number, found in counts.items()})
        )

    @web.middleware
    async def refuse(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Turn refusals and failures, aiohttp's own included, into problem documents, and count every answer."""
        try:
            response = await _attempt(request, handler)
        except Refusal as refusal:
            response = _problem(refusal.status, refusal.code, refusal.detail)
        except web.HTTPException as refusal:
            status = HTTPStatus(refusal.status)
            response = _problem(status, status.name.lower(), refusal.text or status.phrase)
        table = request.match_info.get("table", "")
        READS.labels(self._service, table if table in self._lanes else "", str(response.status)).inc()
        return response

    def _show(self, lane: Lane, view: View, key: bytes) -> Any | None:
        if self._closed():
            raise NotOwned(lane.reads.partition(key))
        return lane.reads.show(view, key)

    def _served(self, lane: Lane) -> frozenset[int]:
        return frozenset() if self._closed() else lane.reads.owned()

    def _lane(self, request: web.Request) -> Lane:
        lane = self._lanes.get(request.match_info["table"])
        if lane is None or request.match_info["service"] != self._service:
            raise Refusal(HTTPStatus.NOT_FOUND, "unknown_table", f"this worker has no table {request.path}")
        return lane

    def _view(self, request: web.Request) -> tuple[Lane, View]:
        lane = self._lane(request)
        view = lane.views.get(request.match_info["view"])
        if view is None:
            raise Refusal(HTTPStatus.NOT_FOUND, "unknown_view", f"views of this table: {', '.join(lane.views)}")
        return lane, view


async def _attempt(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer, or raise `Refusal` also for what nobody foresaw, such as a view that fails; the log says what it was."""
    try:
        return await handler(request)
    except (Refusal, web.HTTPException):
        raise
    except Exception as error:
        log.exception("cannot answer %s", request.path)
        raise Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "the answer could not be made") from error


def _keys(body: bytes) -> dict[str, bytes]:
    """Read a batch's body: keys by their text, in order, each once."""
    try:
        texts = msgspec.json.decode(body, type=Keys).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, "invalid_body", str(error)) from error
    if len(texts) > MAX_KEYS:
        raise Refusal(HTTPStatus.BAD_REQUEST, "too_many_keys", f"{len(texts)} keys where {MAX_KEYS} are the most")
    return _checked(lambda: {text: device_key(*split_key(text.encode())) for text in texts})


def _checked(make: Callable[[], T]) -> T:
    try:
        return make()
    except InvalidName as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, error.code, str(error)) from error


def _said(value: str | Iterable[str]) -> str:
    return value if isinstance(value, str) else "/".join(value)


def _json(document: Any) -> web.Response:
    return web.Response(body=encode(document), content_type="application/json")


def _problem(status: HTTPStatus, code: str, detail: str) -> web.Response:
    problem = Problem("about:blank", status.phrase, status, code, detail)
    return web.Response(status=status, body=encode(problem), content_type="application/problem+json")
