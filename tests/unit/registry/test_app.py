"""The wiring, without a broker."""

from __future__ import annotations

import pytest

from libs.runtime import metrics as declared
from libs.runtime.settings import SettingsError, load
from libs.topics import catalog, names
from libs.topics.codec import UnknownKind
from services.registry.app import SERVICE, TABLE, build
from services.registry.settings import RegistrySettings


def test_the_lane_is_the_catalogs() -> None:
    lane = build(RegistrySettings()).lanes[TABLE]
    assert lane.inbox == names.REGISTRY_INBOX
    assert SERVICE in catalog.get(lane.inbox).consumers
    assert catalog.get(lane.dead_letters).producers == (SERVICE,)
    assert catalog.get(lane.table.changelog_name).format == "lane-row"
    assert SERVICE in catalog.get(lane.inbox).producers, "it writes ticks, broadcasts and acknowledgements"
    assert lane.ticks


def test_the_owner_of_a_row_announces_itself_and_shows_devices_and_credentials() -> None:
    app = build(RegistrySettings())
    assert app.serving.needed
    assert SERVICE in catalog.get(names.HUB_OWNERS).producers
    assert set(app.lanes[TABLE].views) == {"device", "credentials"}


def test_the_lane_decodes_every_type_of_its_inbox_and_no_other() -> None:
    decode = build(RegistrySettings()).lanes[TABLE].decode
    assert getattr(decode, "kinds", None) == set(catalog.get(names.REGISTRY_INBOX).kinds)
    with pytest.raises(UnknownKind):
        decode(b'{"type":"invented_tomorrow"}')


def test_settings_of_the_lane_are_read() -> None:
    settings = load(RegistrySettings, {"FLEETLOG_LANE_STORE": "rocksdb://", "FLEETLOG_READS_PORT": "8100"})
    assert (settings.lane.store, settings.reads.port) == ("rocksdb://", 8100)
    with pytest.raises(SettingsError):
        load(RegistrySettings, {"FLEETLOG_MQTT_HOST": "the registry speaks no MQTT"})


def test_its_metrics_are_declared_with_their_meaning() -> None:
    mine = {metric.name: metric for metric in declared.declared() if metric.name.startswith("fleetlog_registry_")}
    assert set(mine) == {"fleetlog_registry_requests_total", "fleetlog_registry_devices", "fleetlog_registry_rows"}
    assert all(metric.meaning.endswith(".") for metric in mine.values())
