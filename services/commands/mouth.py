"""Commands as they leave for devices. Pure; docs/devices.md has the topics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from libs.topics import catalog, names
from libs.topics.messages.downlink import PublishMessage

if TYPE_CHECKING:
    from libs.runtime.lane.model import At, Output
    from libs.topics.messages.base import Millis
    from libs.topics.messages.command_requests import SendToTag

    from .model import Command

PLAIN: Final = "plain"
"""Payloads leave as the bytes that they are: there is nothing for the device to decode."""
TEXT: Final = {"json": "application/json", "base64": "application/octet-stream"}


def to_device(at: At, message_id: str, command: Command, now: Millis) -> tuple[Output, ...]:
    """Send a command to its device."""
    key = at.key.decode()
    product_id, _, device_id = key.partition("/")
    message = PublishMessage(
        id=message_id,
        product_id=product_id,
        device_id=device_id,
        tag=None,
        topic=f"{command.mode}/{key}/{_tail(command.command, command.request_id, command.expires_at)}",
        qos=1,
        encoding=command.encoding,
        payload=msgspec.Raw(command.payload),
        expires_at=command.expires_at,
        content_type=TEXT[command.encoding],
        request_id=command.request_id,
        at=now,
    )
    return catalog.publish(names.DOWNLINK_MESSAGES, at.key, message)


def to_tag(message_id: str, request: SendToTag, expires_at: Millis, now: Millis) -> tuple[Output, ...]:
    """Send a command to whoever listens to a tag's topic."""
    message = PublishMessage(
        id=message_id,
        product_id=request.product_id,
        device_id=None,
        tag=request.tag,
        topic=f"tags/{request.product_id}/{request.tag}/cmd/{_tail(request.command, request.fanout_id, expires_at)}",
        qos=1,
        encoding=request.encoding,
        payload=request.payload,
        expires_at=expires_at,
        content_type=TEXT[request.encoding],
        request_id=request.fanout_id,
        at=now,
    )
    return catalog.publish(names.DOWNLINK_MESSAGES, request.fanout_id.encode(), message)


def _tail(command: str, request_id: str, expires_at: Millis) -> str:
    """The topic has whole seconds; rounded up, so that no device drops what the hub still waits for."""
    return f"{command}/{PLAIN}/{request_id}/{-(-expires_at // 1000)}"
