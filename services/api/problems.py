"""Errors as problem documents (RFC 9457), whoever raised them."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, SerializationException, ValidationException

from libs.runtime import logs
from libs.runtime.owners.reads import Unavailable
from libs.runtime.requests.client import NoAnswer, NotAsked, Refused
from libs.topics.identity import InvalidName

from .codes import CODES, type_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar.types import ExceptionHandlersMap

log = logs.get(__name__)

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER: Final = 1
"""Seconds that a caller is asked to wait where the hub could not answer."""

FRAMEWORK: Final = {
    400: "malformed_body",
    401: "unauthorized",
    403: "forbidden",
    404: "unknown_path",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
    422: "invalid_request",
    429: "rate_limited",
    503: "unavailable",
}
"""What the framework's own refusals are called, by their status."""


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one part of a request."""

    field: str
    """Its path, such as ``defaults.acl[0].topic``; empty for the whole."""
    source: str
    """``body``, ``query``, ``path`` or ``header``."""
    detail: str


class ProblemDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457, with ``code`` and ``advice``."""

    type: str
    title: str
    status: int
    code: str
    """Stable, in snake_case: the table is in the documentation."""
    detail: str
    """What happened this time, for people."""
    advice: str
    """What to do about it."""
    errors: tuple[FieldError, ...] = ()
    """With ``invalid_request``: each field at fault."""
    current: msgspec.Raw | None = None
    """With ``version_conflict``: the document as it is now. With the end of an rpc: its entry, or at least its ids; of
    a fan-out that may have begun its ids."""
    request_id: str | None = None
    """As in the header X-Request-Id and in the hub's log."""


class Problem(Exception):
    """Ends a request with a problem document. ``code`` is one of `codes.CODES`."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        advice: str = "",
        status: int = 0,
        errors: tuple[FieldError, ...] = (),
        current: msgspec.Raw | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        known = CODES.get(code)
        self.code = code
        self.headers = dict(headers or {})
        status = status or (known.status if known else HTTPStatus.INTERNAL_SERVER_ERROR)
        self.document = ProblemDocument(
            type_of(code),
            known.title if known else HTTPStatus(status).phrase,
            status,
            code,
            detail,
            advice or (known.advice if known else ""),
            errors,
            current,
        )

    @property
    def status(self) -> int:
        return self.document.status


def unknown_product(product_id: str) -> Problem:
    """Make the one answer about a product that does not exist and about one that the caller may not know of."""
    return Problem("unknown_product", f"there is no product {product_id}")


def busy(code: str, detail: str, *, current: msgspec.Raw | None = None) -> Problem:
    return Problem(code, detail, current=current, headers={"Retry-After": str(RETRY_AFTER)})


def late(seconds: float) -> Problem:
    return busy("deadline_exceeded", f"no answer could be made within {seconds:g} s")


def refusal(refused: Refused) -> Problem:
    """What the owner of the key said, as it said it."""
    answer = refused.answer
    current = _shown(answer.current)
    return Problem(answer.code, answer.detail, advice=answer.advice, status=answer.status, current=current)


def _shown(current: msgspec.Raw) -> msgspec.Raw | None:
    """Show a document as answers show it: where it is a message of a topic, too, without the name of its kind."""
    if bytes(current) == b"null":
        return None
    fields = msgspec.json.decode(current, type=dict[str, msgspec.Raw])
    return current if fields.pop("type", None) is None else msgspec.Raw(msgspec.json.encode(fields))


MISSING: Final = re.compile(r"Missing required (?P<source>\w+) parameter '(?P<name>[^']+)'")
"""The framework says it in words only."""
BUSY: Final = {NotAsked: "not_asked", NoAnswer: "no_answer", Unavailable: "unavailable"}


def problem_of(error: Exception) -> Problem:
    """Find the problem that an exception is; whatever nobody foresaw is ``internal_error``."""
    match error:
        case Problem():
            found = error
        case Refused():
            found = refusal(error)
        case InvalidName():
            found = Problem("invalid_name", str(error))
        case NotAsked() | NoAnswer() | Unavailable():
            found = busy(BUSY[type(error)], str(error))
        case ValidationException():
            found = Problem("invalid_request", "the request does not fit", errors=tuple(_errors(error)))
        case SerializationException():
            found = Problem("malformed_body", str(error))
        case HTTPException() if error.status_code in FRAMEWORK:
            found = Problem(FRAMEWORK[error.status_code], error.detail, headers=error.headers)
        case _:
            found = Problem("internal_error", "the answer could not be made")
    return found


def as_problem(error: Exception, method: str, path: str, request_id: str | None) -> tuple[Problem, ProblemDocument]:
    """Find the problem that an exception is, and its document. The log tells of those that are the hub's own fault."""
    problem = problem_of(error)
    if problem.code == "internal_error":
        log.error("cannot answer", method=method, path=path, exc_info=error)
    return problem, msgspec.structs.replace(problem.document, request_id=request_id)


def answer(request: Request[Any, Any, Any], error: Exception) -> Response[ProblemDocument]:
    """Answer with the problem that the exception is."""
    request_id = request.scope.get("state", {}).get("request_id")
    problem, document = as_problem(error, request.method, request.url.path, request_id)
    return Response(document, status_code=problem.status, media_type=MEDIA_TYPE, headers=problem.headers)


def _errors(error: ValidationException) -> list[FieldError]:
    if missing := MISSING.match(error.detail):
        return [FieldError(missing["name"], missing["source"], "it is required")]
    entries = error.extra if isinstance(error.extra, list) else []
    return [
        FieldError(entry.get("key") or "", _source(entry.get("source")), entry.get("message") or "")
        for entry in entries
    ]


def _source(said: Any) -> str:
    return str(getattr(said, "value", said) or "body")


HANDLERS: Final[ExceptionHandlersMap] = {HTTPException: answer, Exception: answer}
