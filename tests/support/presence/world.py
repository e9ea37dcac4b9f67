"""A world of devices and brokers that knows the truth: who is really connected, and what each broker reports.

Brokers differ as real ones do: some name the channel on a close and some do not, some have a clock of whole seconds,
and on a takeover some report the old connection's end before the new connection, others after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from libs.topics.identity import device_key
from libs.topics.messages.presence import (
    ConnectionObserved,
    OpenChannel,
    PresenceDocument,
    Session,
    SourceStarted,
    TrafficSeen,
)

if TYPE_CHECKING:
    from services.presence.step import Event

T0 = 1_790_000_000_000

Client: TypeAlias = tuple[str, str]
"""(device id, client id)."""


@dataclass
class Connection:
    client: Client
    channel_id: str
    opened_at: int
    source: str
    ended_at: int | None = None


@dataclass
class Broker:
    product: str
    name: str
    names_channels: bool
    tick: int = 1
    """Milliseconds between two readings of its clock that differ."""
    connect_first: bool = False
    """On a takeover the new connection is reported before the end of the old one."""
    events: list[Event] = field(default_factory=list)
    open: dict[Client, Connection] = field(default_factory=dict)
    sequence: int = 0

    def clock(self, now: int) -> int:
        return now - now % self.tick

    def report(
        self, connection: Connection, event: str, now: int, *, goodbye: bool = False, takeover: bool = False
    ) -> None:
        self.sequence += 1
        self.events.append(
            ConnectionObserved(
                product_id=self.product,
                device_id=connection.client[0],
                client_id=connection.client[1],
                channel_id=connection.channel_id if event == "connect" or self.names_channels else None,
                event=event,  # type: ignore[arg-type] # one of three literals
                time=self.clock(now),
                source=self.name,
                sequence=self.sequence % 1000,
                client_ip="192.0.2.7" if event == "connect" else None,
                goodbye=goodbye,
                takeover=takeover,
                ingested_at=now,
            )
        )


def brokers(product: str, prefix: str) -> tuple[Broker, ...]:
    return (
        Broker(product, f"{prefix}mosquitto:main", names_channels=False, tick=1000),
        Broker(product, f"{prefix}emqx4:a", names_channels=False, connect_first=True),
        Broker(product, f"{prefix}rmqtt:b", names_channels=False),
        Broker(product, f"{prefix}emqx5:c", names_channels=True, connect_first=True),
        Broker(product, f"{prefix}aliyun:d", names_channels=True),
    )


class World:
    """Time moves by `wait` alone. A client that changes brokers does so in a new second, as all their clocks see it.

    ``prefix``: of the brokers' names, for worlds that share a hub.
    """

    def __init__(self, product: str = "p1", prefix: str = "") -> None:
        self.product = product
        self.now = T0
        self.brokers = brokers(product, prefix)
        self.newest: dict[Client, Connection] = {}
        self.traffic: dict[str, int] = {}
        self.traffic_events: list[Event] = []
        self._channels = 0

    def wait(self, milliseconds: int) -> None:
        self.now += milliseconds

    def connect(self, client: Client, broker: Broker) -> None:
        last = self.newest.get(client)
        if last is not None and last.source != broker.name:
            self.now += 1000 - self.now % 1000
        self._channels += 1
        new = Connection(client, f"{broker.name}-{self._channels}", broker.clock(self.now), broker.name)
        old = broker.open.get(client)
        if broker.connect_first:
            broker.report(new, "connect", self.now)
        if old is not None:
            old.ended_at = broker.clock(self.now)
            broker.report(old, "tcpclean", self.now, takeover=True)
        if not broker.connect_first:
            broker.report(new, "connect", self.now)
        broker.open[client] = self.newest[client] = new

    def close(self, client: Client, broker: Broker, *, goodbye: bool, twice: bool) -> None:
        """``twice``: goodbye and end of the connection are reported one by one."""
        connection = broker.open.pop(client, None)
        if connection is None:
            return
        connection.ended_at = broker.clock(self.now)
        if goodbye and twice:
            broker.report(connection, "disconnect", self.now)
        broker.report(connection, "tcpclean", self.now, goodbye=goodbye and not twice)

    def restart(self, broker: Broker) -> None:
        """The broker dies without a word and says later that it started."""
        broker.sequence += 1
        at = broker.clock(self.now)
        for connection in broker.open.values():
            connection.ended_at = at
        broker.open.clear()
        broker.events.append(SourceStarted(broker.name, at, broker.sequence % 1000, 0, ingested_at=self.now))

    def send(self, device_id: str) -> None:
        self.traffic[device_id] = self.now
        self.traffic_events.append(TrafficSeen(self.product, device_id, self.now))

    def logs(self) -> list[list[Event]]:
        """What reaches the hub, by source: the order within each is kept."""
        return [*(broker.events for broker in self.brokers), self.traffic_events]

    def truth(self) -> dict[bytes, PresenceDocument]:
        """What the documents must be: for each client only its newest connection counts."""
        devices = {device for device, _ in self.newest} | set(self.traffic)
        return {device_key(self.product, device): self._document(device) for device in devices}

    def _document(self, device: str) -> PresenceDocument:
        mine = [connection for client, connection in self.newest.items() if client[0] == device]
        opened = sorted(
            (connection for connection in mine if connection.ended_at is None),
            key=lambda connection: (connection.opened_at, connection.source, connection.client),
        )
        channels = tuple(
            OpenChannel(one.client[1], one.channel_id, one.opened_at, one.source, "192.0.2.7") for one in opened
        )
        ended = [connection.ended_at for connection in mine if connection.ended_at is not None]
        since = opened[0].opened_at if opened else max(ended, default=None)
        shown = Session("online" if opened else "offline", since, channels)
        return PresenceDocument(self.product, device, shown, self.traffic.get(device), 0)
