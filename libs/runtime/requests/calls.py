"""What becomes of a request: its ends, and how they are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from libs.runtime import metrics
from libs.topics.messages.hub import RequestAnswered, RequestRefused

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

Answer: TypeAlias = RequestAnswered | RequestRefused

ASKED = metrics.counter(
    "requests",
    "Requests to lanes: answered, refused, no_answer, not_asked, or abandoned by the asker.",
    ("inbox", "outcome"),
)
SECONDS = metrics.histogram("requests_seconds", "Seconds from a request to its answer or refusal.", ("inbox",))


class NotAsked(RuntimeError):
    """Nothing was sent.

    Too many requests are open, no partition is dealt to this process, the request is too large, the producer has
    failed, or this process ends.
    """


class NoAnswer(RuntimeError):
    """No answer came in time; the request may or may not have been carried out, or may yet be."""


class Refused(Exception):
    """The owner of the key has refused; nothing changed. ``answer`` says why."""

    def __init__(self, answer: RequestRefused) -> None:
        super().__init__(f"{answer.code}: {answer.detail}")
        self.answer = answer


Outcome: TypeAlias = RequestAnswered | Refused | NoAnswer | NotAsked
"""What a request comes to."""


class Call(NamedTuple):
    """A request that was sent."""

    partition: int
    correlation: str
    answer: asyncio.Future[Answer]
    begun: float
    """When, by the loop's time."""


def outcome_of(end: Answer | NoAnswer | NotAsked) -> str:
    """Return the value of the metrics' label."""
    return _OUTCOMES[type(end)]


_OUTCOMES: Final[Mapping[type, str]] = {
    RequestAnswered: "answered",
    RequestRefused: "refused",
    NoAnswer: "no_answer",
    NotAsked: "not_asked",
}
