"""One MQTT connection: aiomqtt, with acknowledgements that wait for us and reasons that are not lost."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from .errors import ConnectionLost, CredentialsRefused, PublishRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    import paho.mqtt.client as paho
    from paho.mqtt.reasoncodes import ReasonCode

REFUSALS: Final = frozenset({0x85, 0x86, 0x87, 0x8A, 0x8C})
"""CONNACK: client id, user name or password not valid, not authorized, banned, bad authentication method."""
HOPELESS: Final = frozenset({0x87, 0x90, 0x95, 0x99})
"""PUBACK: not authorized, topic name invalid, packet too large, payload format invalid. Others may pass later."""
RECEIVE_MAXIMUM: Final = 64
"""Messages that the broker may have on their way to us: it waits with the rest while we are busy."""
ANSWER: Final = 60.0
"""Seconds within which a broker that is there acknowledges anything."""
FRAME: Final = 16
"""Bytes around topic and payload of a PUBLISH, at most, without properties."""


class TidySocket(ssl.SSLSocket):
    """Closed when the handshake fails, which paho leaves to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


@dataclass(frozen=True, slots=True)
class Address:
    """Where the hub is, and how to speak to it."""

    host: str
    port: int | None = None
    """None: 1883, 8883 with TLS, and 80 and 443 over WebSocket."""
    tls: bool | str | Path | ssl.SSLContext = False
    """True: the system's authorities. A path: the hub's own (PEM). A context: whatever else."""
    websocket: str | None = None
    """The path, such as ``/mqtt``; None: plain TCP."""
    keepalive: int = 60
    """Seconds."""
    session_expiry: int = 3600
    """Seconds that the broker keeps commands for an absent device; the hub's own queue keeps them longer."""

    @property
    def port_number(self) -> int:
        if self.port is not None:
            return self.port
        if self.websocket is not None:
            return 443 if self.tls else 80
        return 8883 if self.tls else 1883

    def context(self) -> ssl.SSLContext | None:
        """Raises `ssl.SSLError` and `OSError` where the authorities cannot be read."""
        if isinstance(self.tls, ssl.SSLContext):
            return self.tls
        if self.tls is False:
            return None
        context = ssl.create_default_context(cafile=None if self.tls is True else str(self.tls))
        context.sslsocket_class = TidySocket
        return context


class Client(aiomqtt.Client):
    """aiomqtt acknowledges what it has not handed over yet, and drops the reasons of CONNACK and PUBACK."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._client.manual_ack_set(on=True)
        self._disconnected.add_done_callback(self._over)
        self.acknowledged: dict[int, asyncio.Future[ReasonCode]] = {}
        self.session_present = False
        self.largest: int | None = None
        """Bytes of a packet that the broker takes; None: no limit."""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._disconnected.add_done_callback(self._over)  # another one, where the first connection ended meanwhile
        return self

    def _on_connect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        self.session_present = flags.session_present
        self.largest = getattr(properties, "MaximumPacketSize", None)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_publish(
        self, client: paho.Client, userdata: Any, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        waiting = self.acknowledged.pop(mid, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(reason_code)
        super()._on_publish(client, userdata, mid, reason_code, properties)

    def send(self, topic: str, payload: bytes) -> asyncio.Future[ReasonCode]:
        """Publish at QoS 1; the PUBACK's reason. Raises `ConnectionLost`."""
        info = self._client.publish(topic, payload, qos=1)
        if info.rc != 0:
            raise ConnectionLost("the connection is gone")
        self.acknowledged[info.mid] = waiting = asyncio.get_running_loop().create_future()
        return waiting

    def acknowledge(self, message: aiomqtt.Message) -> None:
        self._client.ack(message.mid, message.qos)

    def _over(self, disconnected: asyncio.Future[None]) -> None:
        """Let nobody wait for answers that will not come: aiomqtt lets them, for ten seconds.

        The exception is looked at, since often something else tells first that the connection is gone, and asyncio
        complains of what nobody looked at.
        """
        if not disconnected.cancelled():
            disconnected.exception()
        for subscription in self._pending_subscribes.values():
            if not subscription.done():
                subscription.set_exception(aiomqtt.MqttError("the connection ended before the broker answered"))
        for unsubscription in self._pending_unsubscribes.values():
            unsubscription.set()  # what the session then still has is dropped, and given up again, when it comes

    def hang_up(self) -> None:
        """For a connection that never came to be, which aiomqtt leaves open."""
        self._client.disconnect()


class Link:
    """A connection that was accepted."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def session_present(self) -> bool:
        return self._client.session_present

    async def messages(self) -> AsyncIterator[aiomqtt.Message]:
        """What comes, each to be acknowledged by `acknowledge`, in order. Raises `ConnectionLost` at the end."""
        try:
            async for message in self._client.messages:
                yield message
        except aiomqtt.MqttError as error:
            raise ConnectionLost(_because(error)) from error

    def acknowledge(self, message: aiomqtt.Message) -> None:
        """Without it the broker delivers the message again, at the next connection."""
        self._client.acknowledge(message)

    async def publish(self, topic: str, payload: bytes) -> None:
        """Return when the broker has it. Raises `PublishRefused` and `ConnectionLost`."""
        largest = self._client.largest
        if largest is not None and len(topic.encode()) + len(payload) + FRAME > largest:
            raise PublishRefused(f"{topic}: the broker takes no packet larger than {largest} bytes")
        try:
            async with asyncio.timeout(ANSWER):
                reason = await self._client.send(topic, payload)
        except TimeoutError as error:
            raise ConnectionLost(f"no PUBACK within {ANSWER:g} s") from error
        if reason.value in HOPELESS:
            raise PublishRefused(f"{topic}: {reason}")
        if reason.is_failure:
            raise ConnectionLost(f"the broker cannot take a message now: {reason}")

    async def subscribe(self, filters: Iterable[str]) -> tuple[str, ...]:
        """At QoS 1; those that were refused. Raises `ConnectionLost`."""
        wanted = tuple(filters)
        try:
            granted = await self._client.subscribe([(each, SubscribeOptions(qos=1)) for each in wanted])
        except aiomqtt.MqttError as error:
            raise ConnectionLost(_because(error)) from error
        heed_cancellation()
        codes = [code if isinstance(code, int) else code.value for code in granted]
        return tuple(each for each, code in zip(wanted, codes, strict=True) if code >= 0x80)

    async def unsubscribe(self, filters: Iterable[str]) -> None:
        """Raises `ConnectionLost`."""
        try:
            await self._client.unsubscribe(list(filters))
        except aiomqtt.MqttError as error:
            raise ConnectionLost(_because(error)) from error
        heed_cancellation()

    def close(self) -> None:
        """Tell everybody who waits for a PUBACK that none will come."""
        for waiting in self._client.acknowledged.values():
            if not waiting.done():
                waiting.set_exception(ConnectionLost("the connection ended before the broker acknowledged"))
                waiting.exception()  # who waited may be gone as well
        self._client.acknowledged.clear()


@asynccontextmanager
async def connected(
    address: Address, context: ssl.SSLContext | None, client_id: str, user: str, secret: str
) -> AsyncIterator[Link]:
    """A link, closed at the end. Raises `CredentialsRefused` and `ConnectionLost`."""
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = address.session_expiry
    properties.ReceiveMaximum = RECEIVE_MAXIMUM
    client = Client(
        address.host,
        address.port_number,
        username=user,
        password=secret,
        identifier=client_id,
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=address.session_expiry == 0,
        properties=properties,
        keepalive=address.keepalive,
        tls_context=context,
        transport="tcp" if address.websocket is None else "websockets",
        websocket_path=address.websocket,
    )
    client.pending_calls_threshold = RECEIVE_MAXIMUM
    await _enter(client)
    link = Link(client)
    try:
        yield link
    finally:
        link.close()
        try:
            await client.__aexit__(None, None, None)
        except aiomqtt.MqttError as error:
            raise ConnectionLost(_because(error)) from error


async def _enter(client: Client) -> None:
    """Connect. A cancellation waits for the attempt, which runs in a thread and would leave its socket open."""
    entering = asyncio.ensure_future(client.__aenter__())
    try:
        await asyncio.shield(entering)
    except asyncio.CancelledError:
        await asyncio.wait({entering})
        entering.exception()  # looked at, so that nobody is told of what concerns nobody any more
        client.hang_up()
        raise
    except aiomqtt.MqttCodeError as error:
        client.hang_up()
        code = getattr(error.rc, "value", error.rc)
        if code in REFUSALS:
            raise CredentialsRefused(str(error.rc)) from error
        raise ConnectionLost(_because(error)) from error
    except aiomqtt.MqttError as error:
        client.hang_up()
        raise ConnectionLost(_because(error)) from error


def heed_cancellation() -> None:
    """Raise the `asyncio.CancelledError` that `asyncio.wait_for` swallowed.

    Up to Python 3.11 it does, where what it waits for and the cancellation come at once (CPython issue 86296); aiomqtt
    waits for answers with it. Whoever ends the task would wait for it for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _because(error: aiomqtt.MqttError) -> str:
    return str(error.__cause__ or error)
