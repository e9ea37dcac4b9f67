from __future__ import annotations

import json

import msgspec
import pytest

from fleet import dataset
from fleet.dataset import DatasetMissing, WeatherRecord


def test_the_installed_records_are_those_of_seattle() -> None:
    records = dataset.load()
    assert len(records) == 1461
    assert records[0] == WeatherRecord("2012-01-01", 0.0, 12.8, 5.0, 4.7, "drizzle")
    assert records[-1].date == "2015-12-31"
    assert {record.weather for record in records} == {"drizzle", "fog", "rain", "snow", "sun"}


def test_a_record_is_published_as_a_json_object() -> None:
    assert json.loads(msgspec.json.encode(dataset.load()[1])) == {
        "date": "2012-01-02",
        "precipitation": 10.9,
        "temp_max": 10.6,
        "temp_min": 2.8,
        "wind": 4.5,
        "weather": "rain",
    }


def test_a_line_that_does_not_fit_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="temp_max"):
        dataset.parse(["date,precipitation,temp_max,temp_min,wind,weather", "2012/01/01,0.0,hot,5.0,4.7,sun"])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "PACKAGE", "no-such-package-of-weather")
    with pytest.raises(DatasetMissing, match="install no-such-package-of-weather"):
        dataset.load()
