"""What the sources of connection events share: what a source is, and how strictly its JSON is read. Pure.

Brokers write these events about what clients told them. Who a device is comes from what the broker has checked (the
user name, in Aliyun's form the client id), when it was from the broker's clock, and what does not fit is refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final, Protocol, TypeVar

import msgspec

from libs.topics.access import joining_product
from libs.topics.codec import FAULTS, encode
from libs.topics.identity import BROADCAST_KEY, InvalidName, device_key, split_key
from libs.topics.messages.presence import ConnectionObserved, SourceStarted
from libs.topics.names import PRESENCE_INBOX
from services.ingest.letters import letter
from services.ingest.model import Dropped, Parsed, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")
SECONDS: Final = range(10**9, 4_102_444_801)
"""Unix times from September 2001 to the end of 2099, in seconds. None of them is one of `MILLIS`."""
MILLIS: Final = range(1000 * SECONDS.start, 1000 * SECONDS.stop)
MAX_TEXT: Final = 256
"""Characters of a client id; of a reason or an error, more are cut off."""

Keepalive = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
_HOST = re.compile(r"[0-9A-Fa-f:.]{2,45}")
_PEER = re.compile(r"\[?(?P<host>[0-9A-Fa-f:.]{2,45}?)\]?:[0-9]{1,5}")


class Source(Protocol):
    """Where connection events come from, over MQTT."""

    @property
    def prefixes(self) -> tuple[str, ...]:
        """What the topics of its messages begin with."""
        ...

    @property
    def filters(self) -> tuple[str, ...]:
        """What to subscribe to for them."""
        ...

    def __call__(self, topic: str, payload: bytes, packet_id: int, now: int) -> Parsed: ...


class Broker(Source, Protocol):
    """The broker whose devices ingest serves."""

    @property
    def names(self) -> tuple[str, ...]:
        """Its sources: itself, or each of its nodes."""
        ...

    def started(self, time: int, packet_id: int, now: int) -> tuple[Record, ...]:
        """Tells every partition that the connections from before ``time`` are gone."""
        ...


def started(sources: Iterable[str], partitions: int, time: int, packet_id: int, now: int) -> tuple[Record, ...]:
    """The start of each source, in every partition of the inbox."""
    return tuple(
        Record(PRESENCE_INBOX, BROADCAST_KEY, encode(SourceStarted(source, time, packet_id, partition, now)), partition)
        for source in sources
        for partition in range(partitions)
    )


class Unfit(ValueError):
    """An event that must not be believed, or that nobody can read. ``reason`` is the dead letter's."""

    def __init__(self, reason: str, error: str) -> None:
        super().__init__(error[:MAX_TEXT])  # an error may quote the payload, and a record has a size limit
        self.reason = reason


def observe(
    read: Callable[[], ConnectionObserved | Dropped], topic: str, payload: bytes, packet_id: int, now: int
) -> Parsed:
    """What ``read`` makes of the message, or one dead letter where it raises `Unfit`."""
    try:
        found = read()
    except Unfit as error:
        return (letter(error.reason, str(error), topic, payload, packet_id, now),)
    if isinstance(found, Dropped):
        return found
    return (Record(PRESENCE_INBOX, device_key(found.product_id, found.device_id), encode(found)),)


def decoded(decoder: msgspec.json.Decoder[T], payload: bytes) -> T:
    """Raises `Unfit`."""
    try:
        return decoder.decode(payload)
    except FAULTS as error:
        raise Unfit("invalid_connection_event", str(error)) from error


def device_of(username: str | None) -> tuple[str, str] | None:
    """(product id, device id) of an authenticated user name; None where it is not a device's.

    It is not for want of a slash, or while the device has no credentials of its own yet. Raises `Unfit` on any other
    name with a slash that is not ``product/device``.
    """
    if username is None or "/" not in username or joining_product(username) is not None:
        return None
    try:
        return split_key(username.encode("utf-8", "backslashreplace"))
    except InvalidName:
        raise Unfit("invalid_client", "the user name has a slash, but it is not product/device") from None


def client_id_of(text: str) -> str:
    """Raises `Unfit` on a client id that no device should have."""
    if not 0 < len(text) <= MAX_TEXT or not text.isprintable():
        raise Unfit("invalid_client", f"a client id must be 1 to {MAX_TEXT} printable characters")
    return text


def millis(value: int | None, name: str) -> int:
    """A broker's time in ms, be it in seconds or in ms. Raises `Unfit`."""
    if value is None:
        raise Unfit("time_missing", f"{name} is missing, and the time of receipt is not when it happened")
    if value in MILLIS:
        return value
    if value in SECONDS:
        return 1000 * value
    raise Unfit("invalid_time", f"{name} is neither seconds nor milliseconds of a time from 2001 to 2099")


def address(text: str | None) -> str | None:
    """An IP address without port; None for anything else, which is no reason to lose the event."""
    return text if text is not None and _HOST.fullmatch(text) else None


def address_of_peer(text: str | None) -> str | None:
    """The address in ``host:port``; IPv6 with or without brackets."""
    found = _PEER.fullmatch(text) if text is not None else None
    return found["host"] if found else None


def level(protocol: int | None) -> int | None:
    """An MQTT protocol level that exists."""
    return protocol if protocol in {3, 4, 5} else None
