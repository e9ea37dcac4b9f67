"""What becomes of a command's message, told to whoever keeps the command. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from libs.topics.codec import encode
from libs.topics.identity import device_key
from libs.topics.messages.command_requests import MessagePublished
from libs.topics.names import COMMANDS_INBOX

if TYPE_CHECKING:
    from libs.topics.messages.base import Millis

    from .model import Receipt, Refusal

TOPIC: Final = COMMANDS_INBOX


def notice(receipt: Receipt, refusal: Refusal | None, at: Millis, *, heard: bool = True) -> MessagePublished:
    """``refusal``: None where the broker has acknowledged it; ``heard``: false where it says that nobody listens."""
    refused = None if refusal is None else refusal.reason
    return MessagePublished(receipt.product_id, receipt.device_id, receipt.request_id, refused, at, heard)


def record(told: MessagePublished) -> tuple[bytes, bytes]:
    """Key and value."""
    return device_key(told.product_id, told.device_id), encode(told)


def outcome(told: MessagePublished) -> str:
    """Name what became of a message, for counters."""
    if told.refused is not None:
        return "refused"
    return "acknowledged" if told.heard else "unheard"
