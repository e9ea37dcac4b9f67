"""The FLEETLOG_ variables of each service of the stack."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from devstack.ports import HOST

PREFIX = "FLEETLOG_"
MQTT_CLIENTS = frozenset({"ingest", "downlink", "guard", "api"})
REPLICAS = frozenset({"ingest", "downlink", "timeseries"})
"""Have a name that survives a restart."""
CLICKHOUSE_CLIENTS = frozenset({"timeseries", "api"})
LANES = frozenset({"registry", "presence", "shadow", "commands"})
JOBS = frozenset({"topics"})
"""Run once and end: no ops server."""


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """Where the brokers are, and what services keep on disk."""

    kafka: str
    mqtt_port: int
    mqtt_internal_port: int
    clickhouse_url: str
    partitions: int
    data: Path
    """Each service that has any gets a directory in it."""
    guard_directory: Path
    mosquitto_pid_file: Path
    api_port: int
    secrets_key: str


def variables(service: str, addresses: Addresses, ops_port: int) -> dict[str, str]:
    """What ``service`` is told. Only variables that its settings have: an unknown one refuses the start."""
    told = {
        "FLEETLOG_KAFKA_BOOTSTRAP": addresses.kafka,
        "FLEETLOG_KAFKA_PARTITIONS": str(addresses.partitions),
        "FLEETLOG_LOG_FORMAT": "console",
    }
    if service not in JOBS:
        told["FLEETLOG_OPS_PORT"] = str(ops_port)
    if service in MQTT_CLIENTS:
        told["FLEETLOG_MQTT_HOST"] = HOST
        told["FLEETLOG_MQTT_PORT"] = str(addresses.mqtt_internal_port)
    if service in REPLICAS:
        told["FLEETLOG_INSTANCE_ID"] = f"{service}-0"
    if service in LANES:
        told["FLEETLOG_LANE_INSTANCE_ID"] = f"{service}-0"
        told["FLEETLOG_LANE_DATA_DIR"] = str(addresses.data / service)
    if service in CLICKHOUSE_CLIENTS:
        told["FLEETLOG_CLICKHOUSE_URL"] = addresses.clickhouse_url
    if service == "guard":
        told["FLEETLOG_GUARD_DIRECTORY"] = str(addresses.guard_directory)
        told["FLEETLOG_GUARD_PID_FILE"] = str(addresses.mosquitto_pid_file)
    if service == "api":
        told["FLEETLOG_HTTP_PORT"] = str(addresses.api_port)
        told["FLEETLOG_DEVICES_HOST"] = HOST
        told["FLEETLOG_DEVICES_PORT"] = str(addresses.mqtt_port)
        told["FLEETLOG_SECRETS_KEY"] = addresses.secrets_key
        told["FLEETLOG_JOIN_MQTT"] = "true"
    return told


def process_environment(told: dict[str, str]) -> dict[str, str]:
    """All of a service's environment: ours, what it is told, and no FLEETLOG_ variable that somebody exported."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return {**inherited, "PYTHONUNBUFFERED": "1", **told}
