"""The simulated devices' messages: MQTT topic, payload and where in Kafka each has to arrive."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

import msgspec

from libs.topics import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .dataset import WeatherRecord
    from .plan import Kind, Script

ARRIVES_IN: dict[Kind, str] = {
    "weather": names.DEVICE_TELEMETRY,
    "frame": names.DEVICE_TELEMETRY,
    "status": names.SHADOW_INBOX,
    "clock": names.COMMANDS_INBOX,
    "forecast": names.APP_DATA_REQUESTS,
}
"""The Kafka topic that must hold a message of this kind once its publish was acknowledged."""

STORED: frozenset[Kind] = frozenset(kind for kind, topic in ARRIVES_IN.items() if topic == names.DEVICE_TELEMETRY)
"""Kinds that must also become a row in ClickHouse."""

FRAME = Struct("<BIhh")
"""A device's own form: a magic byte, a counter, tenths of a degree, tenths of a metre per second."""

_encode = msgspec.json.Encoder().encode


def mqtt_topic(script: Script, kind: Kind, message_id: str) -> str:
    """Where the device publishes it; the levels are those of the device protocol."""
    product, device = script.product_id, script.device_id
    match kind:
        case "weather":
            return f"upload_data/{product}/{device}/weather/{message_id}"
        case "frame":
            return f"upload_data/{product}/{device}/frame/{message_id}"
        case "status":
            return f"update_status/{product}/{device}/{message_id}"
        case "clock":
            return f"get/{product}/{device}/$ntp/{message_id}"
        case "forecast":
            return f"get/{product}/{device}/forecast/{message_id}"


def payload(script: Script, kind: Kind, count: int, sent_at: float, weather: Sequence[WeatherRecord]) -> bytes:
    """Bytes of the device's ``count``-th message (from 0), sent at Unix seconds ``sent_at``; JSON but for frames."""
    record = weather[(script.offset + count) % len(weather)]
    match kind:
        case "weather":
            return _encode(record)
        case "frame":
            return FRAME.pack(0xFE, count, round(record.temp_max * 10), round(record.wind * 10))
        case "status":
            return _encode({"app_ver": "1.4.2", "battery": 100 - count % 60, "uptime": count})
        case "clock":
            return _encode({"device_time": int(sent_at * 1000)})
        case "forecast":
            return _encode({"days": 3})
