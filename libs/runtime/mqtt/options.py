"""How to reach a broker, and what to ask of it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from libs.runtime.settings import MqttSettings


@dataclass(frozen=True, slots=True)
class Options:
    """One MQTT 5 session. Times are seconds, sizes bytes."""

    host: str
    port: int
    client_id: str
    filters: tuple[str, ...]
    """Subscribed with at most QoS 1; retained messages are never sent for them. None: the session only publishes."""
    username: str | None = None
    password: bytes | None = None
    tls: ssl.SSLContext | None = None
    keep_alive: int = 30
    session_expiry: int = 7 * 86_400
    """Not above Kafka's ``offsets.retention.minutes`` where offsets tell what was delivered before; 0: the session ends
    with its connection, and each connection begins a new one."""
    receive_max: int = 10_000
    """How many unacknowledged messages the broker may have under way; it decides the speed of a session."""
    max_packet: int = 512 * 1024
    """The broker drops larger packets for this session without a word: its own limit must not be above this."""
    timeout: float = 10.0
    back_off: tuple[float, float] = (0.1, 30.0)
    """Shortest and longest pause between two connections; doubled each time, jittered."""


def options(settings: MqttSettings, client_id: str, filters: tuple[str, ...], *, receive_max: int) -> Options:
    """Options from the service's settings: an empty user name, password or file means none.

    Raises OSError (ssl.SSLError is one) where a file is missing or not PEM.
    """
    return Options(
        host=settings.host,
        port=settings.port,
        client_id=client_id,
        filters=filters,
        username=settings.username or None,
        password=settings.password.reveal().encode() or None,
        tls=_context(settings) if settings.tls_ca_file else None,
        receive_max=receive_max,
    )


def _context(settings: MqttSettings) -> ssl.SSLContext:
    """Verifies the broker and its host name; shows the hub's certificate where there is one."""
    context = ssl.create_default_context(cafile=settings.tls_ca_file)
    if settings.tls_cert_file:
        # never ask for a passphrase on the terminal of a service
        context.load_cert_chain(settings.tls_cert_file, settings.tls_key_file, password="")
    return context
