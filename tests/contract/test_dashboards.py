"""Dashboards as Grafana reads them; what their SQL answers, `tests/integration/timeseries/test_dashboards.py` says."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from libs.topics import catalog

ROOT = Path(__file__).parents[2]
PATHS = sorted((ROOT / "dashboards").glob("*.json"))
DATA_SOURCE = {"type": "grafana-clickhouse-datasource", "uid": "${datasource}"}
MACROS = {"__timeFilter", "__timeInterval", "__interval_s", "__from"}
"""Of the plugin and of Grafana itself, as far as the tests know how to replace them."""
FORMATS = {"timeseries": (0, "timeseries"), "table": (1, "table")}
"""What a kind of panel asks the plugin for."""

boards = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def board(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_there_is_one_for_each_history_of_changes() -> None:
    assert [path.stem for path in PATHS] == ["commands", "shadow"]


@boards
def test_a_dashboard_has_the_name_of_a_service_and_is_listed(path: Path) -> None:
    assert any(path.stem in topic.producers for topic in catalog.TOPICS)
    assert board(path)["uid"] == f"fleetlog-{path.stem}"
    assert f"({path.name})" in (ROOT / "dashboards/README.md").read_text(encoding="utf-8")


@boards
def test_panels_ask_the_chosen_data_source_in_the_form_that_they_show(path: Path) -> None:
    found = board(path)
    variables = {variable["name"] for variable in found["templating"]["list"]}
    for panel in found["panels"]:
        [target] = panel["targets"]
        assert panel["datasource"] == target["datasource"] == DATA_SOURCE
        assert (target["format"], target["queryType"]) == FORMATS[panel["type"]]
        assert panel["description"]
        used = set(re.findall(r"\$\{?(\w+)", target["rawSql"]))
        assert used - MACROS <= variables
        assert "product" in used


@boards
def test_panels_lie_beside_each_other(path: Path) -> None:
    panels = board(path)["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        assert (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
