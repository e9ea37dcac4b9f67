"""What really happened, as the devices saw it: who was connected when, what was sent, what was acknowledged.

Nothing here reads a clock; every moment is Unix seconds, given by the caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import msgspec

from .plan import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

Device: TypeAlias = tuple[str, str]
"""(product id, device id)."""

Ending: TypeAlias = Literal["goodbye", "cut", "taken_over", "lost"]
"""How a connection ended: DISCONNECT; socket closed without; a newer one of the same device; not by the device."""

Cause: TypeAlias = Literal["connected", "taken_over", "disconnected", "connection_lost"]
"""What the hub has to notice, in the words of its transition log."""

CAUSES: dict[Ending, Cause] = {"goodbye": "disconnected", "cut": "connection_lost", "lost": "connection_lost"}
"""The cause that an ending has to become. A take-over shows in the next connection instead."""


class Connection(msgspec.Struct):
    """One connection as its device saw it. The broker took it between ``asked_at`` and ``opened_at``."""

    asked_at: float
    opened_at: float
    closed_at: float | None = None
    """The earliest moment at which the broker can have noticed the end; None while it is up."""
    ending: Ending | None = None


class Sent(msgspec.Struct):
    """One QoS 1 publish."""

    device: Device
    kind: Kind
    message_id: str
    payload: bytes
    order: int
    """Place among everything that the fleet sent."""
    sent_at: float
    acknowledged_at: float | None = None
    """When PUBACK came; None when it did not: such a message may or may not have reached the broker."""


class Truth:
    """The fleet's own books. ``run`` begins every message id, so that runs on one hub are told apart."""

    def __init__(self, run: str, started_at: float) -> None:
        self.run = run
        self.started_at = started_at
        self.connections: dict[Device, list[Connection]] = {}
        self.sent: dict[str, Sent] = {}

    def enlist(self, device: Device) -> None:
        """Name a device that may never connect."""
        self.connections.setdefault(device, [])

    def opened(self, device: Device, asked_at: float, at: float) -> Connection:
        """Enter a connection that was accepted."""
        connection = Connection(asked_at, at)
        self.connections[device].append(connection)
        return connection

    def closed(self, connection: Connection, at: float, ending: Ending) -> None:
        """Enter that a connection ended, or is about to. The first account of its end stands."""
        if connection.ending is None:
            connection.closed_at = at
            connection.ending = ending

    def publish(self, device: Device, kind: Kind, payload: bytes, at: float) -> Sent:
        """Enter a message that is about to be sent, under a new id."""
        message = Sent(device, kind, f"{self.run}-{len(self.sent)}", payload, len(self.sent), at)
        self.sent[message.message_id] = message
        return message

    def acknowledged(self, message: Sent, at: float) -> None:
        message.acknowledged_at = at

    def up(self, device: Device) -> Connection | None:
        """Return the connection that carries the device now."""
        for connection in reversed(self.connections[device]):
            if connection.ending is None:
                return connection
        return None

    def online(self) -> int:
        return sum(self.up(device) is not None for device in self.connections)

    def acknowledgements(self) -> int:
        return sum(message.acknowledged_at is not None for message in self.sent.values())

    def causes(self, device: Device) -> Iterator[Cause]:
        """Yield what the hub's transition log has to hold for the device, in order."""
        for number, connection in enumerate(self.connections[device]):
            taken = number > 0 and self.connections[device][number - 1].ending == "taken_over"
            yield "taken_over" if taken else "connected"
            if connection.ending in CAUSES:
                yield CAUSES[connection.ending]

    def count_causes(self) -> dict[Cause, int]:
        """Count what the hub has to notice, in the order of `Cause`; none is left out."""
        counts: dict[Cause, int] = dict.fromkeys(get_args(Cause), 0)
        for device in self.connections:
            for cause in self.causes(device):
                counts[cause] += 1
        return counts

    def endings(self, ending: Ending) -> int:
        return sum(c.ending == ending for connections in self.connections.values() for c in connections)

    @property
    def products(self) -> frozenset[str]:
        return frozenset(product for product, _ in self.connections)
