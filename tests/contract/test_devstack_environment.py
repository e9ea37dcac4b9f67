"""The dev stack tells each service exactly what its settings take."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from devstack.environment import Addresses, process_environment, variables
from devstack.stack import SERVICES
from libs.runtime.settings import ServiceSettings, load

ADDRESSES = Addresses(
    kafka="127.0.0.1:21000",
    mqtt_port=21001,
    mqtt_internal_port=21002,
    clickhouse_url="http://127.0.0.1:21003",
    partitions=4,
    data=Path("/var/lib/fleetlog"),
    guard_directory=Path("/etc/mosquitto/fleetlog"),
    mosquitto_pid_file=Path("/run/mosquitto.pid"),
    api_port=21_005,
    secrets_key=32 * "k",
)


def settings_of(service: str) -> type[ServiceSettings]:
    module = importlib.import_module(f"services.{service}.settings")
    own = [kind for kind in vars(module).values() if isinstance(kind, type) and kind.__module__ == module.__name__]
    return next(kind for kind in own if issubclass(kind, ServiceSettings))


@pytest.mark.parametrize("service", [*SERVICES, "topics"])
def test_a_service_starts_with_what_it_is_told(service: str) -> None:
    kind = settings_of(service)
    assert isinstance(load(kind, variables(service, ADDRESSES, 21_004)), kind)


def test_each_lane_keeps_its_rows_in_a_directory_of_its_own() -> None:
    told = variables("presence", ADDRESSES, 21_004)
    assert told["FLEETLOG_LANE_DATA_DIR"] == "/var/lib/fleetlog/presence"


def test_variables_that_somebody_exported_do_not_reach_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETLOG_PYTHON", "python3.11")
    monkeypatch.setenv("FLEETLOG_KAFKA_BOOTSTRAP", "example.org:9092")
    told = {"FLEETLOG_KAFKA_BOOTSTRAP": "127.0.0.1:21000"}
    environment = process_environment(told)
    assert {name: value for name, value in environment.items() if name.startswith("FLEETLOG_")} == told
    assert "PATH" in environment
