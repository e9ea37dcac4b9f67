"""One connection of an MQTT 5 session, on the codec ``mqtt5``, which does no I/O of its own.

Three habits of that codec (0.8) shape this file. A packet of which more is to come raises `IndexError`, and so does
a whole packet whose inside is too short: only its length tells them apart. A string that is not UTF-8 panics, which is
a `BaseException`. Its enums have neither hash nor name: compare them as integers, show them by ``repr``.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, cast

import mqtt5

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from .options import Options

    Acknowledged: TypeAlias = Callable[[list[mqtt5.PubAckPacket]], None]

READ_SIZE = 256 * 1024
PINGREQ = b"\xc0\x00"
SUBSCRIBE_ID = 65_535
"""A client's packet ids and a server's have nothing to do with each other (MQTT 5, 2.2.1), but there are brokers that
refuse a SUBSCRIBE under the id of a delivery of their own that is not acknowledged: few have so many."""
GRANTED = int(mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE)

_C, _D = mqtt5.ConnAckReasonCode, mqtt5.DisconnectReasonCode
MISCONFIGURED = frozenset(
    int(code)
    for code in (
        _C.MALFORMED_PACKET,
        _C.PROTOCOL_ERROR,
        _C.UNSUPPORTED_PROTOCOL_VERSION,
        _C.CLIENT_ID_NOT_VALID,
        _C.BAD_USER_NAME_OR_PASSWORD,
        _C.NOT_AUTHORIZED,
        _C.BANNED,
        _C.BAD_AUTHENTICATION_METHOD,
        _D.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED,
    )
)
"""Reasons, of CONNACK or DISCONNECT, that only another configuration can remove."""
FORBIDDEN = MISCONFIGURED | {int(_D.SESSION_TAKEN_OVER), int(_D.ADMINISTRATIVE_ACTION)}
"""Reasons after which this process must not connect again by itself: two holders of a session would fight."""


ABOUT_A_MESSAGE = frozenset((int(_D.MALFORMED_PACKET), int(_D.PROTOCOL_ERROR), int(_D.NOT_AUTHORIZED)))
"""Reasons of a DISCONNECT that a session which publishes may have brought upon itself with one message."""


class Refused(Exception):
    """The broker said no in a way that connecting again will not change, or must not try to."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.misconfigured = code in MISCONFIGURED


class Lost(Exception):
    """The connection ended; connect again after a pause."""


class Receiver(Protocol):
    """What takes the messages of a session.

    The order is `prepare`, CONNECT, `opened`, SUBSCRIBE, any number of `receive`, on an orderly stop `leaving`, and
    `closed` in any case.
    """

    async def prepare(self) -> None: ...
    async def opened(self, link: Link, *, session_present: bool) -> None: ...
    def receive(self, packets: list[mqtt5.PublishPacket]) -> None: ...
    async def leaving(self, link: Link) -> None: ...
    def closed(self) -> None: ...


class Link(asyncio.BufferedProtocol):
    """Parses what arrives and never blocks. Every ending goes through `ended`, which holds `Lost` or `Refused`."""

    transport: asyncio.Transport

    def __init__(self, options: Options, receiver: Receiver) -> None:
        loop = asyncio.get_running_loop()
        self._options, self._receiver, self._loop = options, receiver, loop
        self._buffer = bytearray(READ_SIZE)
        self._fill = 0
        self._pongs: list[asyncio.Future[None]] = []
        self._early: list[mqtt5.PublishPacket] | None = []  # arrived before `opened` was through
        self._acks: list[mqtt5.PubAckPacket] = []  # of the read that is parsed
        self._pauses: set[str] = set()
        self.acknowledged: Acknowledged | None = None
        """Called with the PUBACKs of each read. A receiver that publishes at QoS 1 sets it in `Receiver.opened`."""
        self.seen = loop.time()
        """When bytes came last, by the loop's clock; moved on when reading resumes."""
        self.discard = False
        """Set to read and drop: the receiver takes nothing more."""
        self.connack: asyncio.Future[mqtt5.ConnAckPacket] = loop.create_future()
        self.suback: asyncio.Future[mqtt5.SubAckPacket] = loop.create_future()
        self.ended: asyncio.Future[Exception] = loop.create_future()

    # -- transport side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, o = cast("asyncio.Transport", transport), self._options
        connect = mqtt5.ConnectPacket(
            o.client_id,
            username=o.username,
            password=o.password,
            clean_start=not o.session_expiry,
            keep_alive=o.keep_alive,
            session_expiry_interval=o.session_expiry,
            receive_max=o.receive_max,
            max_packet_size=o.max_packet,
        )
        self.transport.write(connect.write())

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  (asyncio's signature)
        if self._fill == len(self._buffer):
            # A packet larger than the buffer; max_packet bounds it. A new object, as the transport may hold a view.
            self._buffer = self._buffer + bytes(len(self._buffer))
        return memoryview(self._buffer)[self._fill :]

    def buffer_updated(self, nbytes: int) -> None:
        self.seen = self._loop.time()
        if self.discard:
            return
        publishes = self._parse(self._fill + nbytes)
        if self._acks:
            acks, self._acks = self._acks, []
            self._settle(acks)
        if publishes:
            if self._early is None:
                self._receiver.receive(publishes)
            else:
                self._early += publishes

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(Lost(f"connection lost: {exc or 'closed by the broker'}"))
        for pong in self._pongs:
            pong.cancel()

    def _parse(self, end: int) -> list[mqtt5.PublishPacket]:
        """Takes whole packets off the buffer's first ``end`` bytes; keeps the rest for the next read."""
        view, at = memoryview(self._buffer)[:end], 0
        publishes: list[mqtt5.PublishPacket] = []
        add, read, kind = publishes.append, mqtt5.read, mqtt5.PublishPacket
        try:
            while at < end:
                packet, size = read(view[at:])
                at += size
                if type(packet) is kind:
                    add(packet)
                else:
                    self._control(packet)
        except IndexError as error:
            if is_whole(view[at:]):
                self._malformed(error)
        except ValueError as error:
            self._malformed(error)
        except BaseException as error:  # re-raised unless it is the codec's panic, which has no importable class
            if type(error).__name__ != "PanicException":
                raise
            self._malformed(error)
        rest = end - at
        if rest and at:
            self._buffer[:rest] = view[at:].tobytes()
        self._fill = rest
        return publishes

    def _control(self, packet: mqtt5.Packet) -> None:
        if isinstance(packet, mqtt5.PubAckPacket):
            self._acks.append(packet)
        elif isinstance(packet, mqtt5.PingRespPacket):
            if self._pongs and not (pong := self._pongs.pop(0)).done():
                pong.set_result(None)
        elif isinstance(packet, mqtt5.ConnAckPacket) and not self.connack.done():
            self.connack.set_result(packet)
            self.pause("opening")
        elif isinstance(packet, mqtt5.SubAckPacket) and not self.suback.done():
            self.suback.set_result(packet)
        elif isinstance(packet, mqtt5.DisconnectPacket):
            text, code = (
                f"broker disconnects: {packet.reason_code!r} {packet.reason_str or ''}",
                int(packet.reason_code),
            )
            passing = code not in FORBIDDEN or (self.acknowledged is not None and code in ABOUT_A_MESSAGE)
            self.end(Lost(text) if passing else Refused(text, code))
        else:  # QoS 2 is never granted: the session subscribes with at most QoS 1
            self.end(Lost(f"unexpected {type(packet).__name__}"), _D.PROTOCOL_ERROR)

    def _settle(self, acks: list[mqtt5.PubAckPacket]) -> None:
        if self.acknowledged is None:
            self.end(Lost("unexpected PubAckPacket"), _D.PROTOCOL_ERROR)
        else:
            self.acknowledged(acks)

    def _malformed(self, error: BaseException) -> None:
        self.discard = True
        self.end(Lost(f"malformed packet: {error}"), _D.MALFORMED_PACKET)

    # -- receiver side

    def end(self, error: Exception, say: mqtt5.DisconnectReasonCode | None = None) -> None:
        """Ends the connection, once; ``say`` is told to the broker first."""
        if not self.ended.done():
            self.ended.set_result(error)
            if say is not None:
                self.transport.write(mqtt5.DisconnectPacket(reason_code=say).write())
            if not self.transport.is_closing():  # closed twice, TLS's cannot be aborted (Python 3.11.2)
                self.transport.close()

    def subscribe(self) -> None:
        """Also on a resumed session, since filters may have changed.

        Retained messages are not asked for: what was published while the session existed has come through it
        already, so a retained copy could only be a second one.

        Nothing is said where there is nothing to subscribe to.
        """
        if not self._options.filters:
            return
        filters = [
            mqtt5.TopicFilter(
                pattern,
                max_qos=mqtt5.QoS.AT_LEAST_ONCE,
                retain_as_published=False,
                retain_handling=mqtt5.RetainHandling.SEND_NEVER,
            )
            for pattern in self._options.filters
        ]
        self.transport.write(mqtt5.SubscribePacket(SUBSCRIBE_ID, filters).write())

    def deliver_early(self) -> None:
        """Hands over what came before `Receiver.opened` was through, and reads on."""
        early, self._early = self._early or [], None
        if early:
            self._receiver.receive(early)
        self.resume("opening")

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    def ping(self) -> asyncio.Future[None]:
        """Resolved by the PINGRESP: the broker has then handled everything written before. Cancelled when lost."""
        pong: asyncio.Future[None] = self._loop.create_future()
        self._pongs.append(pong)
        self.transport.write(PINGREQ)
        return pong

    def pause(self, why: str) -> None:
        """Stops reading until every reason given has been resumed."""
        if not self._pauses:
            self.transport.pause_reading()
        self._pauses.add(why)

    def resume(self, why: str) -> None:
        if why in self._pauses:
            self._pauses.discard(why)
            if not self._pauses and not self.transport.is_closing():
                self.seen = self._loop.time()
                self.transport.resume_reading()

    @property
    def paused(self) -> bool:
        return bool(self._pauses)

    @property
    def subscribed(self) -> bool:
        return not self._options.filters or (self.suback.done() and not self.refused_filters)

    @property
    def refused_filters(self) -> list[str]:
        """Filters not granted at QoS 1, each with the broker's code. Anything less could lose messages."""
        if not self.suback.done():
            return []
        codes = [int(code) for code in self.suback.result().reason_codes]
        return [f"{f}: {code}" for f, code in zip(self._options.filters, codes, strict=False) if code != GRANTED]

    async def leave(self, timeout: float) -> bool:  # noqa: ASYNC109  (bounds one wait, not a call tree)
        """DISCONNECT, then read and drop until the broker closes. True when it did so within ``timeout`` s.

        A close with unread data would be a reset, and a reset takes our last PUBACKs with it.
        """
        self.discard = True
        self.transport.write(mqtt5.DisconnectPacket().write())
        for why in tuple(self._pauses):
            self.resume(why)
        done, _ = await asyncio.wait([self.ended], timeout=timeout)
        orderly = bool(done) and "closed by the broker" in str(self.ended.result())
        self.transport.abort()
        return orderly


def is_whole(view: memoryview | bytes) -> bool:
    """Whether ``view`` holds all bytes that the packet's fixed header announces, or a header that cannot be."""
    size = 0
    for i in range(1, min(5, len(view))):
        size |= (view[i] & 127) << 7 * (i - 1)
        if view[i] < 128:
            return len(view) > i + size
    return len(view) > 4
