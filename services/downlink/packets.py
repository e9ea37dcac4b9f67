"""A message as a PUBLISH packet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import mqtt5

if TYPE_CHECKING:
    from .model import Publish

LONGEST_EXPIRY: Final = 0xFFFF_FFFF
"""Seconds; what MQTT 5 (3.3.2.3.3) has room for."""
_QOS: Final = (mqtt5.QoS.AT_MOST_ONCE, mqtt5.QoS.AT_LEAST_ONCE)


def is_expired(message: Publish, now: int) -> bool:
    """``now``: ms."""
    return message.expires_at is not None and message.expires_at <= now


def packet(message: Publish, packet_id: int, now: int, *, again: bool) -> bytes:
    """``now``: ms. The broker drops the message when what is left until it expires, in whole seconds, is over."""
    expiry = None
    if message.expires_at is not None:
        expiry = min(max(1, (message.expires_at - now) // 1000), LONGEST_EXPIRY)
    return mqtt5.PublishPacket(
        message.topic,
        b"%b%d}" % (message.payload, now) if message.stamped else message.payload,
        qos=_QOS[message.qos],
        packet_id=packet_id or None,
        duplicate=again and message.qos > 0,
        message_expiry_interval=expiry,
        content_type=message.content_type,
        correlation_data=message.correlation_data,
    ).write()
