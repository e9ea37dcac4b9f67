"""MQTT in tests: devices made with paho, a client that nobody here wrote."""

from __future__ import annotations

import queue
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from devstack.ports import HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

Transport: TypeAlias = Literal["tcp", "websockets"]

TIMEOUT = 20.0


@contextmanager
def connected(
    port: int,
    username: str | None,
    password: str | None = None,
    *,
    client_id: str = "",
    version: int = MQTTv311,
    transport: Transport = "tcp",
    authority: str | None = None,
    lasting: bool = False,
    on_message: Callable[[MQTTMessage], None] | None = None,
) -> Iterator[Client]:
    """A connected client with its network thread running; says goodbye at the end.

    On the device listener ``username`` is ``product/device``. ``authority``: PEM file, for TLS. ``lasting``: the broker
    keeps the session (before MQTT 5). `ConnectionRefusedError` with the broker's reason.
    """
    name = client_id or (username or "")
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=name,
        clean_session=None if version == MQTTv5 else not lasting,
        protocol=version,
        transport=transport,
    )
    if username is not None:
        client.username_pw_set(username, password)
    if authority is not None:
        client.tls_set(authority)
    if on_message is not None:
        client.on_message = lambda _client, _data, message: on_message(message)
    answered = threading.Event()
    reasons: list[ReasonCode] = []

    def on_connect(_c: Client, _u: Any, _f: ConnectFlags, reason: ReasonCode, _p: Properties | None) -> None:
        reasons.append(reason)
        answered.set()

    def on_disconnect(_c: Client, _u: Any, _f: DisconnectFlags, reason: ReasonCode, _p: Properties | None) -> None:
        reasons.append(reason)
        answered.set()

    client.on_connect, client.on_disconnect = on_connect, on_disconnect
    client.connect(HOST, port, keepalive=30)
    client.loop_start()
    try:
        if not answered.wait(TIMEOUT) or reasons[0].is_failure:
            raise ConnectionRefusedError(f"{username}: {reasons[0] if reasons else 'no answer'}")
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


class Inbox:
    """What a subscription brought, in order."""

    def __init__(self) -> None:
        self._messages: queue.SimpleQueue[MQTTMessage] = queue.SimpleQueue()

    def put(self, message: MQTTMessage) -> None:
        self._messages.put(message)

    def next(self, timeout: float = TIMEOUT) -> MQTTMessage:
        """The next message; `AssertionError` when none comes within ``timeout`` seconds."""
        try:
            return self._messages.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"no message within {timeout:g} s") from None

    def until(self, topic: str, timeout: float = TIMEOUT) -> list[MQTTMessage]:
        """Everything up to and including the first message on ``topic``."""
        found = [self.next(timeout)]
        while found[-1].topic != topic:
            found.append(self.next(timeout))
        return found


@contextmanager
def subscribed(
    port: int, filters: Iterable[str], username: str | None = None, password: str | None = None, *, qos: int = 1
) -> Iterator[Inbox]:
    """An `Inbox` of these topic filters, granted by the broker before it is handed out."""
    with talking(port, filters, username, password, qos=qos) as (_, inbox):
        yield inbox


@contextmanager
def talking(
    port: int, filters: Iterable[str], username: str | None = None, password: str | None = None, *, qos: int = 1
) -> Iterator[tuple[Client, Inbox]]:
    """A client and what it is subscribed to, for those that publish on the same connection."""
    inbox = Inbox()
    granted = threading.Event()
    with connected(port, username, password) as client:
        client.on_message = lambda _client, _data, message: inbox.put(message)
        client.on_subscribe = lambda *_: granted.set()
        client.subscribe([(topic, qos) for topic in filters])
        assert granted.wait(TIMEOUT), f"no SUBACK within {TIMEOUT:g} s"
        yield client, inbox


def publish(
    port: int,
    username: str | None,
    messages: Iterable[tuple[str, bytes | str]],
    password: str | None = None,
    *,
    qos: int = 1,
) -> None:
    """Connect, publish (topic, payload) pairs in order, return when the broker has acknowledged all of them."""
    with connected(port, username, password) as client:
        sent = [client.publish(topic, payload, qos=qos) for topic, payload in messages]
        for number, message in enumerate(sent):
            message.wait_for_publish(TIMEOUT)
            assert message.is_published(), f"message {number} was not acknowledged within {TIMEOUT:g} s"


__all__ = ["MQTTv5", "MQTTv311", "connected", "publish"]
