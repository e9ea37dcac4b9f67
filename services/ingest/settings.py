"""What an operator may set; each as ``FLEETLOG_<NAME>``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from libs.runtime import shards
from libs.runtime.settings import BrokerApiSettings, MqttSettings, ServiceSettings

from .sources import emqx, rmqtt

if TYPE_CHECKING:
    from collections.abc import Iterator

_NODES = {"emqx": emqx.NODE, "rmqtt": rmqtt.NODE}


class IngestSettings(ServiceSettings, frozen=True, kw_only=True):
    mqtt: MqttSettings = MqttSettings()
    client_id: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_-]{1,64}$",
            description="Name of this ingest: shard i is the MQTT client `{name}-{i}`, and its replicas are the Kafka "
            "consumer group `{name}`. It names the broker's queues and Kafka's notes: keep it.",
        ),
    ] = "fleetlog-ingest"
    shards: shards.Shards = ""
    instance_id: Annotated[
        str,
        Meta(
            description="Name of this replica that survives its restarts: it then takes its shards up again at once, "
            "and nobody else does before FLEETLOG_TAKEOVER. Unique among the replicas; empty: its shards go to others "
            "as soon as it ends in order, and after FLEETLOG_TAKEOVER if it does not."
        ),
    ] = ""
    takeover: Annotated[
        float,
        Meta(
            ge=6,
            le=1800,
            description="Seconds of silence after which a replica loses its shards to others. For four fifths of it a "
            "session outlasts a Kafka that is away; after that it is closed, and resumed when Kafka is back. Kafka "
            "allows what its group.min.session.timeout.ms and group.max.session.timeout.ms say.",
        ),
    ] = 90.0
    broker: Annotated[
        Literal["mosquitto", "emqx", "rmqtt"],
        Meta(description="Which broker this is: how it tells of connections."),
    ] = "mosquitto"
    source: Annotated[
        str, Meta(min_length=1, max_length=64, description="Name of a mosquitto in connection events. Permanent.")
    ] = "mosquitto:main"
    nodes: Annotated[
        tuple[str, ...],
        Meta(description="Nodes of an EMQX (names) or RMQTT (numbers) cluster, each a source of connection events."),
    ] = ()
    relays: Annotated[
        bool, Meta(description="Whether connection events are also taken from `fleetlog/connections/{form}/{name}`.")
    ] = False
    broker_api: BrokerApiSettings = BrokerApiSettings()
    lease_s: Annotated[
        float,
        Meta(ge=1, le=3600, description="Seconds that a source's lease is valid; it is renewed after a third of them."),
    ] = 30.0
    listing_s: Annotated[
        float,
        Meta(
            ge=0,
            description="Seconds between two readings of EMQX's list of clients; 0: only where events may be missed.",
        ),
    ] = 0.0
    window: Annotated[
        int,
        Meta(ge=20, le=65_535, description="Messages under way to Kafka at most; decides speed and bounds memory."),
    ] = 10_000
    max_payload: Annotated[
        int, Meta(ge=1, le=393_216, description="Bytes; larger payloads go to the dead letters.")
    ] = 262_144
    linger: Annotated[
        float, Meta(ge=0, le=1000, description="Milliseconds that a record waits for company on its way to Kafka.")
    ] = 2.0
    tail_limit: Annotated[
        int, Meta(ge=1000, description="Records read after a crash to recognise redelivered messages (0.1 kB each).")
    ] = 3_000_000
    activity: Annotated[int, Meta(ge=1, description="Seconds between two activity marks of one device, at least.")] = 30
    stop: Annotated[float, Meta(gt=0, description="Seconds that an orderly end may take.")] = 10.0
    patience: Annotated[
        float, Meta(gt=0, description="Seconds without progress, with messages under way, until it is not live.")
    ] = 120.0

    def faults(self) -> Iterator[tuple[str, str]]:
        yield from (("shards", reason) for reason in shards.faults(self.shards))
        if self.broker_api.url and self.broker != "emqx":
            yield "broker_api", f"has no use with {self.broker}"
        form = _NODES.get(self.broker)
        if form is None:
            if self.nodes:
                yield "nodes", f"has no use with {self.broker}"
        elif not self.nodes:
            yield "nodes", f"is needed by {self.broker}: a lost session must tell the start of each"
        elif not all(form.fullmatch(node) for node in self.nodes):
            yield "nodes", f"must be names of nodes as {self.broker} has them: {form.pattern}"
