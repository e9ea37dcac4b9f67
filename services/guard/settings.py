"""What an operator may set; each as ``FLEETLOG_<NAME>``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from libs.runtime.settings import BrokerApiSettings, MqttSettings, ServiceSettings

if TYPE_CHECKING:
    from collections.abc import Iterator


class GuardSettings(ServiceSettings, frozen=True, kw_only=True):
    mqtt: MqttSettings = MqttSettings()
    guard_broker: Annotated[
        Literal["mosquitto", "emqx"],
        Meta(description="Which broker is guarded: mosquitto by its files, EMQX by ending sessions at its interface."),
    ] = "mosquitto"
    broker_api: BrokerApiSettings = BrokerApiSettings()
    guard_directory: Annotated[
        str,
        Meta(
            min_length=1,
            description="Where `passwords` and `access` are kept, the files that mosquitto's `password_file` and "
            "`acl_file` name.",
        ),
    ] = "/etc/mosquitto/fleetlog"
    guard_group: Annotated[
        str,
        Meta(description="Group that may read the files besides their owner, such as `mosquitto`; empty: nobody may."),
    ] = ""
    guard_pid_file: Annotated[
        str,
        Meta(
            min_length=1,
            description="The `pid_file` of mosquitto: the process that is told when the files have changed.",
        ),
    ] = "/run/mosquitto/mosquitto.pid"
    guard_many_blocks: Annotated[
        int,
        Meta(
            ge=1,
            description="Blocks of single users in the access file above which it warns: mosquitto's time for them "
            "grows with their square.",
        ),
    ] = 5000

    def faults(self) -> Iterator[tuple[str, str]]:
        if bool(self.broker_api.url) is not (self.guard_broker == "emqx"):
            yield (
                "broker_api_url",
                f"{'has no use with' if self.broker_api.url else 'is needed by'} {self.guard_broker}",
            )
