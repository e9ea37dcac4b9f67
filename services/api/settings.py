"""Settings of the HTTP API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from libs.runtime.requests.client import RequestsSettings
from libs.runtime.settings import Secret, ServiceSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

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


class MqttAddressSettings(Settings, frozen=True, kw_only=True):
    """``FLEETLOG_DEVICES_...``: what a newly registered device is told."""

    host: Annotated[str, Meta(min_length=1, description="Host of the broker as devices reach it.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535, description="Port of the broker as devices reach it.")] = 1883


class ApiSettings(ServiceSettings, frozen=True, kw_only=True):
    http: HttpSettings = HttpSettings()
    requests: RequestsSettings = RequestsSettings()
    devices: MqttAddressSettings = MqttAddressSettings()
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

    def faults(self) -> Iterator[tuple[str, str]]:
        if len(self.secrets_key.reveal()) < KEY_LENGTH:
            yield "secrets_key", f"must have at least {KEY_LENGTH} characters"
        if self.answer_s >= self.http.deadline_s:
            yield "answer_s", "must be less than the deadline of a request"
