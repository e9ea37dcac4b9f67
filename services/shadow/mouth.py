"""What is said to a device, and on which topics. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from libs.runtime.lane.model import At, Output
    from libs.shadow.document import Document
    from libs.topics.messages.shadow_changes import Via

    from .model import Speech


def accepted(
    at: At, via: Via, speech: Speech | None, shadow: str | None, document: Document, n: int
) -> tuple[Output, ...]:
    """Answer a report or an acknowledgement that was accepted. ``n``: of the first output, for `At.id`."""
    return ()


def refused(
    at: At, via: Via, speech: Speech | None, shadow: str | None, document: Document, n: int, *, code: str, detail: str
) -> tuple[Output, ...]:
    """Answer one that was refused. IoTHub's and native devices get the document on ``version_conflict``."""
    return ()


def whole(
    at: At, via: Via, speech: Speech | None, shadow: str | None, document: Document, n: int
) -> tuple[Output, ...]:
    """Answer a fetch."""
    return ()


def changed(at: At, speech: Speech | None, shadow: str | None, document: Document, n: int) -> tuple[Output, ...]:
    """Tell what is desired and not reported, in the dialect spoken last; in all of them until one is known."""
    return ()
