"""mosquitto's log lines to connection events. Pure and stateless: one line, one outcome.

mosquitto 2.0 with ``log_dest topic`` publishes its log below ``$SYS/broker/log/``: N (notices), E (errors; only a
takeover is told there) and I (information; only the start is told there). A line is ``<seconds>: <text>``.

On the device listener ``use_username_as_clientid`` makes client id and user name the same text, ``product/device``.
Every pattern here takes the whole line, names from their own alphabet only, and numbers of bounded length (mosquitto
cuts a line at 999 bytes, so that an endless number could move a forged ending there). Hence no text inside a client
id or user name can make a line pass for another device's: such a line is refused as a whole.

Two limits are the broker's own. A line lives for 20 s: what it says while ingest is away for longer is lost. And only
a start tells that the connections from before are gone: it reaches a persistent session, also one read back after a
kill; a broker that lost the session shows that at CONNACK, and the bridge then tells the start itself.
"""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

from libs.topics.access import REGISTER
from libs.topics.codec import encode
from libs.topics.identity import NAME, device_key
from libs.topics.messages.presence import ConnectionObserved
from libs.topics.names import PRESENCE_INBOX

from .letters import letter
from .model import Dropped, Parsed, Record
from .sources.common import started

LOG_TOPIC: Final = "$SYS/broker/log/"
LOG_TOPICS: Final = tuple(LOG_TOPIC + kind for kind in "NEI")
LEVELS: Final = {"1": 3, "2": 4, "5": 5}
"""mosquitto's number for the protocol, to MQTT's level (3 is MQTT 3.1, 4 is 3.1.1)."""

_TIME = re.compile(r"(?P<seconds>[0-9]{1,12}): (?P<text>.*)", re.DOTALL)
_DEVICE = rf"(?P<product_id>{NAME.pattern})/(?P<device_id>{NAME.pattern})"
_OPENED = re.compile(
    rf"New client connected from (?P<ip>[^ ]{{1,64}}):(?P<port>[0-9]{{1,5}}) as (?P<client>{_DEVICE}) "
    r"\(p(?P<protocol>[125]), c[01], k(?P<keepalive>[0-9]{1,5}), u'(?P=client)'\)\."
)
_TAKEN_OVER = re.compile(rf"Client {_DEVICE} (?P<reason>already connected, closing old connection)\.")
_ENDINGS = (
    "disconnected",
    "closed its connection",
    "has exceeded timeout, disconnecting",
    "been disconnected by administrative action",
    "disconnected due to malformed packet",
    "disconnected due to protocol error",
    "disconnected due to oversize packet",
    "disconnected due to oversize payload",
    "disconnected due to out of memory",
    "disconnected due to QoS too high or retain not supported",
)
_CLOSED = re.compile(rf"Client {_DEVICE} (?P<reason>{'|'.join(map(re.escape, _ENDINGS))})\.")
# The system's words for a socket error. They must not be able to hold one of the endings above: then a client id
# that goes on after a device's name could close that device's connection.
_WORDS = r"(?!.*(?:disconnect|closed its|already connected))[A-Za-z0-9 ,'/()-]{1,80}"
_FAILED = re.compile(rf"Client {_DEVICE} (?P<reason>disconnected: {_WORDS})\.")
_BROKEN = re.compile(rf"(?P<reason>Bad socket read/write) on client {_DEVICE}: {_WORDS}\.?")
_STARTED = re.compile(r"mosquitto version [0-9A-Za-z.-]{1,32} running")

# Nothing but a CONNECT that the device listener refuses ends with these words: a connection that was never made must
# not close somebody's. Where the credentials are wrong, unknown or of a disabled device, nobody is named; for want of a
# user name it is whatever client id came along.
_NEVER_CONNECTED = re.compile(r"Client (?P<client>.*) disconnected, not authorised\.", re.DOTALL)
_NOBODY = "<unknown>"
_ABOUT_CLIENT = re.compile(
    r"(?:New (?:client|bridge) connected from [^ ]* as |Client (?!connection from )|Bad socket read/write on client )"
    r"(?P<rest>.*)",
    re.DOTALL,
)
_JOINING = re.compile(rf"(?<![^']){NAME.pattern}/{re.escape(REGISTER)}(?=[ :'])")
"""A device that has only its product's secret: at the beginning of the rest, or as the user name in quotes."""

# Under a device's id, but without its user name: only the internal listener lets that in. It is the guard, which ends
# the session that a deleted device left behind.
_CLEARED = re.compile(rf"{_DEVICE} \(p[125], c[01], k[0-9]{{1,5}}(?:, u'[^'/]*')?\)\.")

Event: TypeAlias = Literal["connect", "tcpclean"]


class Observer:
    """``source`` names the broker in the events; ``partitions`` is the number of `PRESENCE_INBOX`'s."""

    prefixes = (LOG_TOPIC,)
    filters = LOG_TOPICS

    def __init__(self, source: str, partitions: int) -> None:
        self.source, self._partitions = source, partitions
        self.names = (source,)

    def __call__(self, topic: str, payload: bytes, packet_id: int, now: int) -> Parsed:
        line = _TIME.fullmatch(payload.decode("utf-8", "backslashreplace"))
        if line is None:
            return (letter("invalid_log_line", "it does not begin with seconds", topic, payload, packet_id, now),)
        text, time = line["text"], int(line["seconds"]) * 1000
        kind = topic.removeprefix(LOG_TOPIC)
        if kind == "I":
            running = _STARTED.fullmatch(text) is not None
            return self.started(time, packet_id, now) if running else Dropped("log_line")
        if refused := _NEVER_CONNECTED.fullmatch(text):
            return Dropped("connection_refused" if refused["client"] == _NOBODY else "no_user_name")
        if kind == "N" and (found := _OPENED.fullmatch(text)):
            return self._opened(found, time, packet_id, now)
        if found := self._close(kind, text):
            return self._closed(found, time, packet_id, now)
        return _other(text, topic, payload, packet_id, now)

    def started(self, time: int, packet_id: int, now: int) -> tuple[Record, ...]:
        """Tells every partition that the connections from before ``time`` are gone."""
        return started((self.source,), self._partitions, time, packet_id, now)

    @staticmethod
    def _close(kind: str, text: str) -> re.Match[str] | None:
        patterns = (_TAKEN_OVER,) if kind == "E" else (_CLOSED, _FAILED, _BROKEN)
        return next((found for pattern in patterns if (found := pattern.fullmatch(text))), None)

    def _opened(self, found: re.Match[str], time: int, packet_id: int, now: int) -> Parsed:
        ip, port = found["ip"], found["port"]
        observed = ConnectionObserved(
            product_id=found["product_id"],
            device_id=found["device_id"],
            client_id=found["client"],
            channel_id=f"{time // 1000}-{ip}:{port}",
            event="connect",
            time=time,
            source=self.source,
            sequence=packet_id,
            client_ip=ip,
            protocol=LEVELS[found["protocol"]],
            keepalive=int(found["keepalive"]),
            ingested_at=now,
        )
        return _record(observed)

    def _closed(self, found: re.Match[str], time: int, packet_id: int, now: int) -> Parsed:
        product_id, device_id, reason = found["product_id"], found["device_id"], found["reason"]
        observed = ConnectionObserved(
            product_id=product_id,
            device_id=device_id,
            client_id=f"{product_id}/{device_id}",
            channel_id=None,  # mosquitto names address and port on connect only
            event="tcpclean",
            time=time,
            source=self.source,
            sequence=packet_id,
            reason=reason,
            goodbye=reason == "disconnected",
            takeover=found.re is _TAKEN_OVER,
            ingested_at=now,
        )
        return _record(observed)


def _record(observed: ConnectionObserved) -> Parsed:
    return (Record(PRESENCE_INBOX, device_key(observed.product_id, observed.device_id), encode(observed)),)


def _other(text: str, topic: str, payload: bytes, packet_id: int, now: int) -> Parsed:
    """Lines about clients that are no devices; what is none of these is somebody's forgery.

    The hub's own clients have ids without a slash, and who registers itself has one that no device can have.
    """
    about = _ABOUT_CLIENT.fullmatch(text)
    if about is None:
        return Dropped("log_line")
    if "/" not in about["rest"] or _CLEARED.fullmatch(about["rest"]):
        return Dropped("internal_client")
    if "/" not in _JOINING.sub("", about["rest"]):
        return Dropped("self_registration")
    error = "this line speaks of a client that is not a device: product/device, as id and as user name"
    return (letter("invalid_client", error, topic, payload, packet_id, now),)
