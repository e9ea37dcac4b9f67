"""A guarded mosquitto in tests: who may come in, and what they see."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import mqtt5
import msgspec

from devstack.ports import HOST
from devstack.stack import Stack
from tests.support import devices
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Sequence


def lets_in(port: int, user: str, secret: str | None) -> bool:
    try:
        with devices.connected(port, user, secret):
            return True
    except ConnectionRefusedError:
        return False


def await_entry(stack: Stack, user: str, secret: str) -> None:
    eventually(lambda: lets_in(stack.mqtt_port, user, secret), describe=f"{user} is let in")


def await_refusal(stack: Stack, user: str, secret: str) -> None:
    eventually(lambda: not lets_in(stack.mqtt_port, user, secret), describe=f"{user} is refused")


class Guest(msgspec.Struct, frozen=True):
    """Somebody with credentials at the device listener of a guarded stack."""

    stack: Stack
    user: str
    secret: str

    def passed_on(self, *topics: str) -> list[str]:
        """Which of these topics the broker takes from it; it must take the last one."""
        with devices.subscribed(self.stack.mqtt_internal_port, ["#"]) as received:
            for topic in topics:
                self._publish(topic)
            return [message.topic for message in received.until(topics[-1])]

    def _publish(self, topic: str) -> None:
        """On a connection of its own: mosquitto 2.0.11 ends one on which something forbidden was published."""
        connect = mqtt5.ConnectPacket("", username=self.user, password=self.secret.encode(), clean_start=True)
        publish = mqtt5.PublishPacket(topic, b"{}", qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=1)
        with socket.create_connection((HOST, self.stack.mqtt_port), timeout=devices.TIMEOUT) as raw:
            raw.sendall(connect.write())
            assert raw.recv(4096), "no CONNACK"
            raw.sendall(publish.write())
            assert raw.recv(4096), "no PUBACK"

    def receives(self, filters: Sequence[str], *topics: str) -> list[str]:
        """Which of these topics reach it, when it subscribes to ``filters``; the last one must."""
        with devices.subscribed(self.stack.mqtt_port, filters, self.user, self.secret) as received:
            devices.publish(self.stack.mqtt_internal_port, None, [(topic, b"{}") for topic in topics])
            return [message.topic for message in received.until(topics[-1])]
