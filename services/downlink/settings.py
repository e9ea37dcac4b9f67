"""What an operator may set; each as ``FLEETLOG_<NAME>``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from libs.runtime.settings import MqttSettings, ServiceSettings


class DownlinkSettings(ServiceSettings, frozen=True, kw_only=True):
    mqtt: MqttSettings = MqttSettings()
    group: Annotated[
        str,
        Meta(
            min_length=1,
            description="Kafka consumer group. Its offsets say what the broker has acknowledged; those of `app.p2p` "
            "are in the group of this name with `-p2p` at its end.",
        ),
    ] = "downlink"
    instance_id: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_-]{0,64}\Z",
            description="Name of this replica that survives its restarts: it then gets its partitions back at once "
            "after a crash, and is the MQTT client `fleetlog-downlink-{name}`. Unique in the group; empty: none, and a "
            "crash is noticed after 10 s.",
        ),
    ] = ""
    window: Annotated[
        int,
        Meta(
            ge=1,
            le=65_534,
            description="Messages that are read and not done at most, and those under way to the broker, unless it "
            "allows fewer; decides speed and bounds memory.",
        ),
    ] = 10_000
    window_bytes: Annotated[
        int, Meta(ge=1, description="Bytes of Kafka records that are read and not done; above it reading stops.")
    ] = 64 << 20
    linger: Annotated[
        float,
        Meta(
            ge=0,
            le=1000,
            description="Milliseconds for which notices of what became of commands are gathered into one request to "
            "Kafka.",
        ),
    ] = 20.0
    stop: Annotated[
        float, Meta(gt=0, le=60, description="Seconds that the broker has to acknowledge what is under way at the end.")
    ] = 5.0
    patience: Annotated[
        float,
        Meta(gt=0, description="Seconds without an acknowledgement, with messages under way, until it is not live."),
    ] = 120.0
