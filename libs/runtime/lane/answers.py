"""Answers of a lane to requests, as outputs of its step. Pure.

A request that names where to reply is answered there, by the event that decides it: in order with everything else
about its row, and once in effect. Only the answer may be repeated after a crash, with the same bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from libs.topics import catalog
from libs.topics.codec import InvalidMessage, encode
from libs.topics.messages.hub import RequestAnswered, RequestRefused
from libs.topics.names import API_REPLIES

from .model import reply

if TYPE_CHECKING:
    from libs.topics.messages.base import ReplyTo

    from .model import At, Output

PARTITIONS: Final = catalog.get(API_REPLIES).partitions or 0


class Asking(Protocol):
    """A request, or what a row keeps of one that is answered later."""

    @property
    def reply_to(self) -> ReplyTo | None: ...


def answer(request: Asking, at: At, status: int, body: Any = None, version: int | None = None) -> tuple[Output, ...]:
    """Make the answer to a request: its one output, or none where nobody waits.

    ``status``: of HTTP; ``body``: what `codec.encode` takes; ``version``: of the document. Raises `InvalidMessage`
    where the request names a partition that there is not: it is refused whole, as a dead letter, since an output that
    cannot be delivered would end the process at each attempt.
    """
    to = address(request)
    if to is None:
        return ()
    raw = msgspec.Raw(encode(body))
    return _to(to, RequestAnswered(to.correlation_id, status, raw, version, at.timestamp))


def refuse(
    request: Asking, at: At, status: int, *, code: str, detail: str, advice: str, current: Any = None
) -> tuple[Output, ...]:
    """Make the refusal of a request, as `answer`. ``current``: the document that a condition did not fit."""
    to = address(request)
    if to is None:
        return ()
    raw = msgspec.Raw(encode(current))
    return _to(to, RequestRefused(to.correlation_id, status, code, detail, advice, raw, at.timestamp))


def address(request: Asking) -> ReplyTo | None:
    """Return where the answer goes. Raises `InvalidMessage` as `answer`: what answers later asks before it keeps it."""
    to = request.reply_to
    if to is not None and not 0 <= to.partition < PARTITIONS:
        raise InvalidMessage(f"{API_REPLIES} has no partition {to.partition} to reply to")
    return to


def _to(to: ReplyTo, message: RequestAnswered | RequestRefused) -> tuple[Output, ...]:
    return (reply(API_REPLIES, to.partition, to.correlation_id.encode(), encode(message)),)
