"""The hub's HTTP API, as a client sees it."""

from __future__ import annotations

import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import httpx
import msgspec

from .exits import Exit, Failure, of_http, usage
from .stream import events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

    from .stream import Event

TIMEOUT = 60.0
"""Seconds for an answer: a bulk request takes its time, and the API itself never hangs."""
PAGE = 1000
"""Items asked for at once: the most that the API gives."""
SILENCE = 60.0
"""Seconds without a byte after which a stream is broken: the API tells its position every 15."""
REOPEN = 1.0
"""Seconds before a stream is opened again."""
REOPENED = 20
"""How often in a row that is tried: an API that is restarted is back by then."""
MERGE_PATCH = "application/merge-patch+json"
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)


class Api:
    """``url``: without ``/v1``. Every call raises `Failure` where it is refused or nobody answers."""

    def __init__(
        self,
        url: str,
        key: str,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url, self._sleep = url.rstrip("/"), sleep
        headers = {"Authorization": f"Bearer {key}", "User-Agent": "fleetlog-cli"}
        try:
            self._client = httpx.Client(
                base_url=f"{self.url}/v1", headers=headers, timeout=TIMEOUT, transport=transport
            )
        except httpx.InvalidURL as error:
            raise usage(f"FLEETLOG_API_URL is no URL: {error}") from error
        except UnicodeEncodeError as error:
            raise usage("FLEETLOG_API_KEY is no API key: it has characters beyond ASCII") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def get(self, path: str, **parameters: Any) -> Any:
        """Return the document; parameters that are None are left out."""
        return _document(self._answer("GET", path, params=_given(parameters)))

    def send(
        self, method: str, path: str, body: Any = None, *, version: int | None = None, idempotency: str | None = None
    ) -> Any:
        """Ask for a change; returns the answer's document, None where it has none.

        ``version``: that the document must have (``If-Match``). ``idempotency``: a key under which the same request,
        repeated, is carried out once; None: a new one.
        """
        return _document(self._change(method, path, body, version, idempotency=idempotency))

    def merge(
        self, path: str, patch: dict[str, Any], *, version: int | None = None, wait: int | None = None
    ) -> tuple[Any, bool]:
        """Apply a merge patch (RFC 7396); returns the document, and whether what was awaited has come.

        ``version``: as for `send`. ``wait``: seconds that the answer may take for it.
        """
        seconds = None if wait is None else f"{wait}s"
        answer = self._change("PATCH", path, patch, version, media=MERGE_PATCH, params=_given({"wait": seconds}))
        return _document(answer), answer.status_code != httpx.codes.ACCEPTED

    def _change(
        self,
        method: str,
        path: str,
        body: Any,
        version: int | None,
        *,
        media: str = "application/json",
        idempotency: str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> httpx.Response:
        headers = {"Idempotency-Key": idempotency or uuid.uuid4().hex}
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        if body is None:
            return self._answer(method, path, headers=headers, params=params)
        headers["Content-Type"] = media
        return self._answer(method, path, headers=headers, params=params, content=msgspec.json.encode(body))

    def pages(self, path: str, limit: int | None = None, **parameters: Any) -> Iterator[dict[str, Any]]:
        """Yield the items of a list, page after page; ``limit``: no more than so many."""
        left, cursor = limit, None
        while left is None or left > 0:
            page = self.get(path, limit=PAGE if left is None else min(left, PAGE), cursor=cursor, **parameters)
            yield from page["items"] if left is None else page["items"][:left]
            left = None if left is None else left - len(page["items"])
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def follow(self, path: str, last: str | None = None, **parameters: Any) -> Iterator[Event]:
        """Yield server-sent events, without end; ``last``: the id of the last one that was seen.

        Where the stream breaks or the API ends it, as it does when it is restarted, it is opened again where it was.
        Raises `Failure`, whose advice names that place, where it cannot be opened, or not any more.
        """
        left = 0
        while True:
            try:
                for event in self._stream(path, last, parameters):
                    left, last = REOPENED, event.id or last
                    if event.name not in {"", "ended"}:  # why it ends does not matter: opening it again tells
                        yield event
            except Failure as failure:
                if failure.status is not Exit.UNAVAILABLE or left <= 0:
                    if last is not None:
                        failure.advice = f"go on with --after {last}"
                    raise
            left -= 1
            self._sleep(REOPEN)

    def _stream(self, path: str, last: str | None, parameters: Mapping[str, Any]) -> Iterator[Event]:
        headers = {"Accept": "text/event-stream", **({} if last is None else {"Last-Event-ID": last})}
        quiet = httpx.Timeout(TIMEOUT, read=SILENCE)
        request = self._client.build_request("GET", path, params=_given(parameters), headers=headers, timeout=quiet)
        with _reported(self.url):
            answer = self._client.send(request, stream=True)
            try:
                if answer.is_error:
                    answer.read()
                    raise refusal(answer)
                yield from events(answer.iter_lines())
            finally:
                answer.close()

    def _answer(self, method: str, path: str, **options: Any) -> httpx.Response:
        with _reported(self.url):
            answer = self._client.request(method, path, **options)
        if answer.is_error:
            raise refusal(answer)
        return answer


def _document(answer: httpx.Response) -> Any:
    """Raises `Failure` where it is none; None where there is none."""
    try:
        return msgspec.json.decode(answer.content) if answer.content else None
    except UNREADABLE as error:
        raise Failure(
            Exit.FAILED,
            f"{answer.request.url} answered {answer.status_code} with something that is not JSON",
            code="not_the_api",
            advice="is FLEETLOG_API_URL right?",
        ) from error


def refusal(answer: httpx.Response) -> Failure:
    """Make of an error of the API what people read (RFC 9457 problem details)."""
    try:
        problem = msgspec.json.decode(answer.content, type=dict[str, Any])
    except UNREADABLE:
        problem = {}
    further = {
        name: value for name, value in problem.items() if name not in {"type", "title", "status", "detail", "instance"}
    }
    code, advice = str(further.pop("code", "http_error")), str(further.pop("advice", ""))
    wait = answer.headers.get("Retry-After")
    if wait is not None:
        further["retry_after_s"] = int(wait) if wait.isdecimal() else wait
    sentence = problem.get("detail") or problem.get("title") or f"{answer.request.url} answered {answer.status_code}"
    return Failure(of_http(answer.status_code, code), str(sentence), code=code, advice=advice, further=further)


@contextmanager
def _reported(url: str) -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        reason = str(error) or type(error).__name__
        raise Failure(
            Exit.UNAVAILABLE,
            f"the API at {url} cannot be reached: {reason}",
            code="api_unreachable",
            advice="is it running, and is FLEETLOG_API_URL right?",
        ) from error


def _given(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}
