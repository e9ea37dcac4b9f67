"""The wiring, without a broker."""

from __future__ import annotations

import pytest

from libs.runtime import metrics as declared
from libs.runtime.settings import SettingsError, load
from libs.topics import catalog, names
from libs.topics.codec import UnknownKind
from services.presence.app import SERVICE, TABLE, build
from services.presence.settings import PresenceSettings


def test_the_lane_is_the_catalogs() -> None:
    app = build(PresenceSettings())
    lane = app.lanes[TABLE]
    assert lane.inbox == names.PRESENCE_INBOX
    assert SERVICE in catalog.get(lane.inbox).consumers
    assert catalog.get(lane.dead_letters).producers == (SERVICE,)
    assert catalog.get(lane.table.changelog_name).format == "lane-row"
    assert SERVICE in catalog.get(lane.inbox).producers, "it writes the ticks"
    assert lane.ticks


def test_the_owner_of_a_row_announces_itself_and_shows_states() -> None:
    app = build(PresenceSettings())
    assert app.serving.needed
    assert SERVICE in catalog.get(names.HUB_OWNERS).producers
    assert set(app.lanes[TABLE].views) == {"state"}


def test_the_lane_decodes_every_type_of_its_inbox_and_no_other() -> None:
    decode = build(PresenceSettings()).lanes[TABLE].decode
    assert getattr(decode, "kinds", None) == set(catalog.get(names.PRESENCE_INBOX).kinds)
    with pytest.raises(UnknownKind):
        decode(b'{"type":"invented_tomorrow"}')


def test_settings_of_the_lane_are_read() -> None:
    settings = load(PresenceSettings, {"FLEETLOG_LANE_STORE": "rocksdb://", "FLEETLOG_READS_PORT": "8100"})
    assert (settings.lane.store, settings.reads.port) == ("rocksdb://", 8100)
    with pytest.raises(SettingsError):
        load(PresenceSettings, {"FLEETLOG_MQTT_HOST": "presence speaks no MQTT"})


def test_its_metrics_are_declared_with_their_meaning() -> None:
    mine = {metric.name: metric for metric in declared.declared() if metric.name.startswith("fleetlog_presence_")}
    assert set(mine) == {
        "fleetlog_presence_transitions_total",
        "fleetlog_presence_devices",
        "fleetlog_presence_devices_online",
        "fleetlog_presence_devices_doubted",
        "fleetlog_presence_lease_seconds",
        "fleetlog_presence_rows",
    }
    assert all(metric.meaning.endswith(".") for metric in mine.values())
