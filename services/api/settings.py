"""Settings of the HTTP API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from libs.runtime.requests.client import RequestsSettings
from libs.runtime.settings import ClickHouseSettings, MqttSettings, Secret, ServiceSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

HOOK_LENGTH = 16
"""Characters of the hooks' secret at least."""
KEY_LENGTH = 32
"""Characters of the hub key at least."""


class HttpSettings(Settings, frozen=True, kw_only=True):
    host: Annotated[str, Meta(min_length=1, description="Address at which the API is served.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port of the API; 0: any free one.")] = 8080
    deadline_s: Annotated[
        float, Meta(gt=0, le=300, description="Seconds after which any request but a stream is answered with 503.")
    ] = 15.0
    drain_s: Annotated[
        float, Meta(gt=0, le=300, description="Seconds that requests under way get to end when the service is stopped.")
    ] = 20.0
    rate: Annotated[float, Meta(gt=0, description="Requests per second that one API key may make in the long run.")] = (
        2000.0
    )
    burst: Annotated[int, Meta(ge=1, description="Requests that one API key may make at once.")] = 4000
    failures_rate: Annotated[
        float,
        Meta(gt=0, description="Requests per second without valid credentials from one address, in the long run."),
    ] = 10.0
    failures_burst: Annotated[
        int, Meta(ge=1, description="Requests without valid credentials from one address at once; then it is 429.")
    ] = 200


class StreamSettings(Settings, frozen=True, kw_only=True):
    subscribers: Annotated[int, Meta(ge=1, description="Live streams that one process serves at a time.")] = 500
    per_key: Annotated[
        int, Meta(ge=1, description="Live streams that one API key may have at a time, per process.")
    ] = 50
    buffer_bytes: Annotated[
        int, Meta(ge=1024, description="Bytes that may wait for one subscriber; one who reads slower is ended.")
    ] = 1 << 20
    heartbeat_s: Annotated[
        float, Meta(gt=0, le=300, description="Seconds after which a silent stream tells its position.")
    ] = 15.0
    catching_up: Annotated[
        int, Meta(ge=1, le=64, description="Subscribers that read what they have missed at a time; others wait.")
    ] = 8


class HistorySettings(Settings, frozen=True, kw_only=True):
    """Questions to ClickHouse."""

    threads: Annotated[int, Meta(ge=1, le=64, description="Questions to ClickHouse that are asked at a time.")] = 8
    waiting: Annotated[int, Meta(ge=0, description="Further ones that may wait; more are refused with 503.")] = 32
    answer_s: Annotated[float, Meta(gt=0, le=60, description="Seconds that ClickHouse gets to answer one.")] = 5.0


class MqttAddressSettings(Settings, frozen=True, kw_only=True):
    """``FLEETLOG_DEVICES_...``: what a newly registered device is told."""

    host: Annotated[str, Meta(min_length=1, description="Host of the broker as devices reach it.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535, description="Port of the broker as devices reach it.")] = 1883


class BrokerHookSettings(Settings, frozen=True, kw_only=True):
    """``FLEETLOG_BROKER_HOOK_...``: what EMQX asks."""

    secret: Annotated[
        Secret,
        Meta(description="What EMQX shows as `Authorization: Bearer ...` when it asks; empty: it is answered nothing."),
    ] = Secret()
    answer_s: Annotated[
        float,
        Meta(gt=0, le=60, description="Seconds that the owner of a device gets to answer; then the device is refused."),
    ] = 2.0


class JoinSettings(Settings, frozen=True, kw_only=True):
    """``FLEETLOG_JOIN_...``: devices that register themselves."""

    mqtt: Annotated[
        bool, Meta(description="Whether that is also answered over MQTT, at the internal listener of the broker.")
    ] = False
    product_rate: Annotated[
        float, Meta(gt=0, description="Devices of one product per second that may register themselves in the long run.")
    ] = 10.0
    product_burst: Annotated[int, Meta(ge=1, description="Devices of one product that may do so at once.")] = 100
    address_rate: Annotated[
        float, Meta(gt=0, description="Attempts per second from one address in the long run, over HTTP.")
    ] = 1.0
    address_burst: Annotated[int, Meta(ge=1, description="Attempts from one address at once, over HTTP.")] = 20


class ApiSettings(ServiceSettings, frozen=True, kw_only=True):
    http: HttpSettings = HttpSettings()
    requests: RequestsSettings = RequestsSettings()
    devices: MqttAddressSettings = MqttAddressSettings()
    clickhouse: ClickHouseSettings = ClickHouseSettings()
    stream: StreamSettings = StreamSettings()
    history: HistorySettings = HistorySettings()
    secrets_key: Annotated[
        Secret,
        Meta(
            description="The hub key, from which the secrets of devices and products are derived: at least 32 random "
            "characters, the same for every replica, kept for as long as secrets shall be shown again."
        ),
    ]
    answer_s: Annotated[
        float, Meta(gt=0, le=300, description="Seconds that an owner gets to answer; then it is 503 no_answer.")
    ] = 10.0
    broker: Annotated[
        Literal["mosquitto", "emqx", "rmqtt"],
        Meta(description="Which broker the devices use: only EMQX asks the hub, and so can take tokens."),
    ] = "mosquitto"
    broker_hook: BrokerHookSettings = BrokerHookSettings()
    mqtt: MqttSettings = MqttSettings()
    join: JoinSettings = JoinSettings()
    max_payload: Annotated[
        int, Meta(ge=1, le=393_216, description="Bytes that a device may upload at once over HTTP.")
    ] = 262_144
    activity: Annotated[int, Meta(ge=1, description="Seconds between two activity marks of one device, at least.")] = 30

    def faults(self) -> Iterator[tuple[str, str]]:
        if len(self.secrets_key.reveal()) < KEY_LENGTH:
            yield "secrets_key", f"must have at least {KEY_LENGTH} characters"
        if 0 < len(self.broker_hook.secret.reveal()) < HOOK_LENGTH:
            yield "broker_hook_secret", f"must have at least {HOOK_LENGTH} characters"
        if self.answer_s >= self.http.deadline_s:
            yield "answer_s", "must be less than the deadline of a request"
