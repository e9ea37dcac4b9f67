"""A world of devices and brokers that knows the truth: who is really connected, and what each broker reports.

Brokers differ as real ones do: some name the channel on a close and some do not, some have a clock of whole seconds,
and on a takeover some report the old connection's end before the new connection, others after it. Connections get
lost without a word; a broker that lists its clients shows that. Somebody watches a broker as long as he renews a lease.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from libs.topics.identity import device_key
from libs.topics.messages.command_events import ProbeConcluded
from libs.topics.messages.hub import LeaseRenewed, TimePassed
from libs.topics.messages.presence import (
    ConnectionObserved,
    LastProbe,
    OpenChannel,
    PresenceDocument,
    Session,
    SourceListed,
    SourceListingEnded,
    SourceStarted,
    TrafficSeen,
)
from libs.topics.messages.registry_events import DeviceDeleted, DeviceRegistered
from tests.support.presence.hearing import lapsed_at

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
class Listing:
    """A list of clients under way."""

    id: str
    time: int
    present: list[Connection]
    missing: list[Connection]


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
    lost: list[Connection] = field(default_factory=list)
    """Gone without a word, and not yet missed."""
    leases: list[LeaseRenewed] = field(default_factory=list)
    listing: Listing | None = None
    sequence: int = 0

    def clock(self, now: int) -> int:
        return now - now % self.tick

    def report(
        self,
        connection: Connection,
        event: str,
        now: int,
        *,
        goodbye: bool = False,
        takeover: bool = False,
        listing: str | None = None,
    ) -> None:
        """What is read from a list of clients has the time of the connect, and no packet id."""
        self.sequence += 1
        self.events.append(
            ConnectionObserved(
                product_id=self.product,
                device_id=connection.client[0],
                client_id=connection.client[1],
                channel_id=connection.channel_id if event == "connect" or self.names_channels else None,
                event=event,  # type: ignore[arg-type] # one of three literals
                time=self.clock(now) if listing is None else connection.opened_at,
                source=self.name,
                sequence=self.sequence % 1000 if listing is None else 0,
                client_ip="192.0.2.7" if event == "connect" else None,
                goodbye=goodbye,
                takeover=takeover,
                listing=listing,
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

    ``prefix``: of the brokers' names, for worlds that share a hub. ``now``: where time begins.
    """

    def __init__(self, product: str = "p1", prefix: str = "", now: int = T0) -> None:
        self.product = product
        self.now = now
        self.brokers = brokers(product, prefix)
        self.newest: dict[Client, Connection] = {}
        self.traffic: dict[str, int] = {}
        self.traffic_events: list[Event] = []
        self.probes: list[ProbeConcluded] = []
        self.registry: list[Event] = []
        self.born: dict[str, int] = {}
        """When a device was last registered, if it had been deleted before."""
        self.gone: set[str] = set()
        self.ticks: list[TimePassed] = []
        self._channels = 0

    def wait(self, milliseconds: int) -> None:
        self.now += milliseconds

    def home(self, client: Client, broker: Broker) -> Broker:
        """The broker where the client is connected: this one, else that of its newest connection."""
        newest = self.newest.get(client)
        if client in broker.open or newest is None:
            return broker
        return next(other for other in self.brokers if other.name == newest.source)

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
        for connection in [*broker.open.values(), *broker.lost]:
            if connection.ended_at is None:
                connection.ended_at = at
        broker.open.clear()
        broker.lost.clear()
        broker.events.append(SourceStarted(broker.name, at, broker.sequence % 1000, 0, ingested_at=self.now))

    def lose(self, client: Client, broker: Broker) -> None:
        """The connection is gone, and the broker says nothing."""
        connection = broker.open.pop(client, None)
        if connection is not None:
            broker.lost.append(connection)

    def begin_listing(self, broker: Broker) -> None:
        """A list that was under way is given up."""
        broker.sequence += 1
        missing = [connection for connection in broker.lost if connection.ended_at is None]
        at = broker.clock(self.now)
        broker.listing = Listing(f"list-{broker.sequence:06}", at, list(broker.open.values()), missing)
        broker.events.append(SourceListed(broker.name, broker.listing.id, at, 0, self.now))

    def end_listing(self, broker: Broker) -> None:
        """The list is told: whoever was there as it began, though he may be gone by now."""
        told = broker.listing
        if told is None:
            return
        for connection in told.present:
            broker.report(connection, "connect", self.now, listing=told.id)
        for connection in told.missing:
            if connection.ended_at is None:
                connection.ended_at = told.time
        broker.events.append(SourceListingEnded(broker.name, told.id, told.time, 0, self.now))
        broker.listing = None

    def renew(self, broker: Broker, milliseconds: int) -> None:
        lease = LeaseRenewed(broker.name, "ingest-0", self.now + milliseconds, 0, self.now)
        broker.leases.append(lease)
        broker.events.append(lease)

    def tick(self) -> None:
        if not self.ticks or self.ticks[-1].at < self.now:
            self.ticks.append(TimePassed(0, self.now))

    def probe(self, device_id: str, *, reachable: bool) -> None:
        number = len(self.probes)
        self.probes.append(
            ProbeConcluded(
                id=f"commands.inbox-0-{number:06}-0",
                product_id=self.product,
                device_id=device_id,
                probe_id=str(number),
                mode="normal",
                verdict="reachable" if reachable else "unreachable",
                attempts=1,
                round_trip_ms=38 if reachable else None,
                altered=False,
                at=self.now,
            )
        )

    def delete(self, device_id: str) -> None:
        """In a new second, as `connect` on another broker. Who is connected stays so until somebody cuts him."""
        if device_id not in self.gone:
            self.now += 1000 - self.now % 1000
            self.gone.add(device_id)
            number = len(self.registry)
            self.registry.append(
                DeviceDeleted(f"registry.inbox-0-{number}-0", self.product, device_id, number + 1, "ops", self.now)
            )

    def register(self, device_id: str) -> None:
        """Register a device; one that is registered already is refused."""
        if device_id in self.gone:
            self.now += 1000 - self.now % 1000
            self.gone.remove(device_id)
            self.born[device_id] = self.now
            number = len(self.registry)
            self.registry.append(
                DeviceRegistered(
                    id=f"registry.inbox-0-{number}-0",
                    product_id=self.product,
                    device_id=device_id,
                    version=number + 1,
                    origin="application",
                    credential_id=str(number),
                    tags=(),
                    tags_version=0,
                    attributes={},
                    by="ops",
                    at=self.now,
                )
            )

    def send(self, device_id: str) -> None:
        self.traffic[device_id] = self.now
        self.traffic_events.append(TrafficSeen(self.product, device_id, self.now))

    def logs(self) -> list[list[Event]]:
        """What reaches the hub, by source: the order within each is kept. The last is the hub's own clock."""
        return [
            *(broker.events for broker in self.brokers),
            self.traffic_events,
            [*self.probes],
            [*self.registry],
            [*self.ticks],
        ]

    def truth(self) -> dict[bytes, PresenceDocument]:
        """What the documents must be: for each client only its newest connection counts.

        Of a device that was deleted nothing is left, and of one registered again only what came after that.
        """
        devices = {device for device, _ in self.newest} | set(self.traffic) | {one.device_id for one in self.probes}
        lapses = {broker.name: lapsed_at(broker.leases, self.ticks) for broker in self.brokers}
        lapsed = {name: moment for name, moment in lapses.items() if moment is not None}
        shown = {device: self._document(device, lapsed) for device in devices - self.gone}
        return {
            device_key(self.product, device): document
            for device, document in shown.items()
            if device not in self.born or document != self._silence(device)
        }

    def _silence(self, device: str) -> PresenceDocument:
        return PresenceDocument(self.product, device, Session("offline", None), None, 0)

    def _document(self, device: str, lapsed: dict[str, int]) -> PresenceDocument:
        born = self.born.get(device, -1)
        mine = [one for client, one in self.newest.items() if client[0] == device and one.opened_at >= born]
        opened = sorted(
            (connection for connection in mine if connection.ended_at is None),
            key=lambda connection: (connection.opened_at, connection.source, connection.client),
        )
        channels = tuple(
            OpenChannel(one.client[1], one.channel_id, one.opened_at, one.source, "192.0.2.7") for one in opened
        )
        ended = [connection.ended_at for connection in mine if connection.ended_at is not None]
        watched = [one for one in opened if one.source not in lapsed]
        if watched:
            shown = Session("online", watched[0].opened_at, channels)
        elif opened:
            heard = [*ended, *(one.opened_at for one in opened), *(lapsed[one.source] for one in opened)]
            shown = Session("unknown", max(heard), channels)
        else:
            shown = Session("offline", max(ended, default=None), channels)
        traffic = self.traffic.get(device, -1)
        last_traffic = traffic if traffic > born else None
        return PresenceDocument(self.product, device, shown, last_traffic, 0, self._last_probe(device, born))

    def _last_probe(self, device: str, born: int) -> LastProbe | None:
        mine = [one for one in self.probes if one.device_id == device and one.at > born]
        if not mine:
            return None
        last = mine[-1]
        return LastProbe(last.probe_id, last.verdict, last.mode, last.round_trip_ms, last.at)
