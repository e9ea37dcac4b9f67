"""The wiring, and what a replica is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from libs.runtime.settings import SettingsError, load
from services.downlink import app
from services.downlink.settings import DownlinkSettings

if TYPE_CHECKING:
    from pathlib import Path


def settings(**told: str) -> DownlinkSettings:
    return load(DownlinkSettings, {f"FLEETLOG_{name.upper()}": value for name, value in told.items()})


def test_a_replica_has_a_name_of_its_own_or_the_one_that_it_is_given() -> None:
    assert app.name(settings(instance_id="two")) == "fleetlog-downlink-two"
    assert app.name(settings()) != app.name(settings())
    assert "group.instance.id" not in app.consumer(settings(), "g")
    assert app.consumer(settings(instance_id="two"), "g")["group.instance.id"] == "two"


def test_its_session_ends_with_its_connection_and_hears_nothing() -> None:
    session = app.session(settings(), "me")
    assert (session.client_id, session.session_expiry, session.filters) == ("me", 0, ())


@pytest.mark.parametrize("name", ["a/b", "a b", "x" * 65])
def test_a_name_must_fit_into_a_client_id(name: str) -> None:
    with pytest.raises(SettingsError):
        settings(instance_id=name)


def test_a_window_fits_the_packet_ids_that_there_are() -> None:
    with pytest.raises(SettingsError):
        settings(window="65535")


def test_a_missing_file_for_tls_refuses_the_start(tmp_path: Path) -> None:
    assert app.start(settings(mqtt_tls_ca_file=str(tmp_path / "missing.pem"))) == 78


def test_it_is_neither_ready_nor_dead_before_it_begins() -> None:
    bridge = app.build(settings())
    assert bridge.live()
    assert not bridge.ready()
    assert "broker" in bridge.ready().reason
