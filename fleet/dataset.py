"""The weather that the fleet reports: daily NOAA records of Seattle, 2012 to 2015, public domain.

The package ``vega-datasets`` carries them as a CSV file. Only that file is read: importing the package would need
pandas, so it is located through the installation's metadata.
"""

from __future__ import annotations

import csv
from importlib import metadata
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

PACKAGE = "vega-datasets"
FILE = "seattle-weather.csv"


class DatasetMissing(RuntimeError):
    """The package that carries the records is not installed."""


class WeatherRecord(msgspec.Struct, frozen=True):
    """One day at one station. Its JSON form is what a simulated device publishes."""

    date: str
    """ISO 8601."""
    precipitation: float
    """Millimetres."""
    temp_max: float
    """Degrees Celsius."""
    temp_min: float
    wind: float
    """Metres per second, the day's mean."""
    weather: str
    """drizzle, fog, rain, snow or sun."""


def parse(lines: Iterable[str]) -> tuple[WeatherRecord, ...]:
    """Read a CSV file with a header line. Raises `msgspec.ValidationError` on a line that does not fit."""
    return tuple(
        msgspec.convert({**row, "date": str(row["date"]).replace("/", "-")}, WeatherRecord, strict=False)
        for row in csv.DictReader(lines)
    )


def load() -> tuple[WeatherRecord, ...]:
    """All 1,461 records. Raises `DatasetMissing`."""
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == FILE:
            return parse(file.read_text(encoding="utf-8").splitlines())
    raise DatasetMissing(f"{FILE} is missing: install {PACKAGE} (requirements/dataset.txt)")
