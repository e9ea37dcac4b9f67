"""What the downlink tells about itself."""

from __future__ import annotations

from typing import Final

from libs.runtime import metrics

MESSAGES: Final = metrics.counter(
    "downlink_messages",
    "Records that are done with, by what became of them: published, no_subscribers (published, and nobody was there), "
    "unconfirmed (published at QoS 0), expired, refused (by the broker), unpublishable, unknown (a type that this "
    "version does not know), lost (Kafka no longer had them when the downlink came to them; the ends of "
    "applications' transactions count, too).",
    ("outcome",),
)
REFUSALS: Final = metrics.counter(
    "downlink_refusals", "Messages that the broker refused, by the reason code of its PUBACK in hexadecimal.", ("code",)
)
LETTERS: Final = metrics.counter("downlink_dead_letters", "Dead letters written, by reason.", ("reason",))
REPEATS: Final = metrics.counter(
    "downlink_repeats", "Messages sent again since their connection was lost before the broker acknowledged them."
)
NOTICES: Final = metrics.counter(
    "downlink_notices",
    "What became of commands, told to `commands.inbox`: acknowledged (by the broker), unheard (acknowledged, but "
    "nobody has subscribed), refused (also by MQTT itself).",
    ("outcome",),
)
UNTOLD: Final = metrics.gauge(
    "downlink_untold", "Notices that Kafka has not acknowledged yet; their messages are not committed before."
)
IN_FLIGHT: Final = metrics.gauge("downlink_in_flight", "Messages sent that the broker has not acknowledged yet.")
WAITING: Final = metrics.gauge("downlink_waiting", "Messages read from Kafka that are not sent yet.")
PAUSED: Final = metrics.gauge(
    "downlink_paused",
    "1 while a topic of Kafka is not read: the window is full, since the broker is slow or away.",
    ("topic",),
)
CONNECTED: Final = metrics.gauge("downlink_connected", "1 while the broker is connected.")
CONNECTIONS: Final = metrics.counter("downlink_connections", "Connections that the broker accepted.")
DELAY_SECONDS: Final = metrics.histogram(
    "downlink_delay_seconds",
    "From a record's time in Kafka until it is handed to the socket, of the oldest message of each write.",
)
PUBACK_SECONDS: Final = metrics.histogram(
    "downlink_puback_seconds",
    "From a message's way to the socket until its PUBACK, of the oldest message of each read.",
)
LAG: Final = metrics.gauge(
    "downlink_lag",
    "Records in Kafka that are not committed, by topic and partition of this process.",
    ("topic", "partition"),
)
