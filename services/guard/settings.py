"""What an operator may set; each as ``FLEETLOG_<NAME>``."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from libs.runtime.settings import MqttSettings, ServiceSettings


class GuardSettings(ServiceSettings, frozen=True, kw_only=True):
    mqtt: MqttSettings = MqttSettings()
    guard_broker: Annotated[Literal["mosquitto"], Meta(description="Which broker is guarded.")] = "mosquitto"
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
        Meta(min_length=1, description="mosquitto's `pid_file`: the process that is told when the files have changed."),
    ] = "/run/mosquitto/mosquitto.pid"
    guard_many_blocks: Annotated[
        int,
        Meta(
            ge=1,
            description="Blocks of single users in the access file above which it warns: mosquitto's time for them "
            "grows with their square.",
        ),
    ] = 5000
