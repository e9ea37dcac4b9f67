from __future__ import annotations

import json

import pytest

from fleet import dataset, messages
from fleet.plan import Kind, plan

WEATHER = dataset.parse(
    ["date,precipitation,temp_max,temp_min,wind,weather", "2012/01/01,0.0,12.8,5.0,4.7,sun", "2012/01/02,1,10,2,4,rain"]
)
SCRIPT = plan(1, 8, 10)[5]


@pytest.mark.parametrize(
    ("kind", "topic"),
    [
        ("weather", "upload_data/garden/station-001/weather/r-1"),
        ("status", "update_status/garden/station-001/r-1"),
        ("clock", "get/garden/station-001/$ntp/r-1"),
        ("forecast", "get/garden/station-001/forecast/r-1"),
        ("frame", "upload_data/garden/station-001/frame/r-1"),
    ],
)
def test_topics_are_those_of_the_device_protocol(kind: Kind, topic: str) -> None:
    assert messages.mqtt_topic(SCRIPT, kind, "r-1") == topic


def test_a_device_replays_the_records_from_its_own_offset_and_begins_anew_at_the_end() -> None:
    assert SCRIPT.offset == 28
    dates = [json.loads(messages.payload(SCRIPT, "weather", count, 0.0, WEATHER))["date"] for count in range(3)]
    assert dates == ["2012-01-01", "2012-01-02", "2012-01-01"]


def test_a_frame_is_neither_json_nor_text() -> None:
    frame = messages.payload(SCRIPT, "frame", 2, 0.0, WEATHER)
    assert frame == bytes.fromhex("fe 02000000 8000 2f00")
    with pytest.raises(UnicodeDecodeError):
        frame.decode()


@pytest.mark.parametrize("kind", [kind for kind in messages.ARRIVES_IN if kind != "frame"])
def test_every_other_payload_is_a_json_object(kind: Kind) -> None:
    assert isinstance(json.loads(messages.payload(SCRIPT, kind, 3, 1_700_000_000.5, WEATHER)), dict)


def test_a_clock_pull_carries_the_devices_time_in_milliseconds() -> None:
    assert messages.payload(SCRIPT, "clock", 0, 1_700_000_000.5, WEATHER) == b'{"device_time":1700000000500}'


def test_only_telemetry_is_stored() -> None:
    assert sorted(messages.STORED) == ["frame", "weather"]
