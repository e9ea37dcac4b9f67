"""Every setting and metric says what it means, and the pages made from them are current."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from libs.runtime.reference import main, settings_classes
from libs.runtime.settings import ServiceSettings, Settings, describe, load

ROOT = Path(__file__).parents[2]
CLASSES = settings_classes()
services = pytest.mark.parametrize(("name", "cls"), CLASSES.items(), ids=CLASSES)


def required(cls: type[Settings]) -> dict[str, str]:
    """What must be given: secrets alone, which have no default that would be safe."""
    rows = [row for row in describe(cls) if row.required]
    assert {row.values for row in rows} <= {"a secret text"}
    return {row.variable: "0123456789abcdef" * 2 for row in rows}


def sentence(text: str) -> bool:
    return len(text) >= 8 and text.endswith(".") and text[0] == text[0].upper()


def test_every_service_has_settings() -> None:
    started = {path.parent.name for path in ROOT.glob("services/*/__main__.py")}
    assert started == CLASSES.keys()


@services
def test_every_setting_has_a_meaning_and_a_name_of_its_own(name: str, cls: type[Settings]) -> None:
    rows = describe(cls)
    assert [row.variable for row in rows if not sentence(row.meaning)] == []
    assert len({row.variable for row in rows}) == len(rows), f"two settings of {name} share a variable"


@services
def test_every_service_has_the_common_settings_and_starts_with_what_is_required(
    name: str, cls: type[ServiceSettings]
) -> None:
    loaded = load(cls, required(cls))
    assert (loaded.kafka, loaded.log) == (ServiceSettings().kafka, ServiceSettings().log)


@services
def test_every_documented_default_is_what_one_would_set(name: str, cls: type[Settings]) -> None:
    defaults = {row.variable: row.default_text for row in describe(cls) if not row.required}
    assert load(cls, defaults | required(cls)) == load(cls, required(cls))


@services
def test_what_looks_like_a_secret_is_one(name: str, cls: type[Settings]) -> None:
    hidden = {row.variable for row in describe(cls) if row.values == "a secret text"}
    assert {row.variable for row in describe(cls) if "PASSWORD" in row.variable or "TOKEN" in row.variable} <= hidden


def test_every_metric_has_a_meaning_and_belongs_to_the_part_that_it_is_named_after() -> None:
    code = (
        "from libs.runtime.reference import declared_metrics\n"
        "for part, found in declared_metrics().items():\n"
        "    for metric in found: print(part, metric.name, metric.meaning, sep='\\t')\n"
    )
    listed = subprocess.run((sys.executable, "-c", code), cwd=ROOT, check=True, capture_output=True, text=True)
    rows = [line.split("\t") for line in listed.stdout.splitlines()]
    assert rows
    for part, name, meaning in rows:
        assert sentence(meaning), name
        assert name.startswith(f"fleetlog_{part.strip('`').rpartition(' ')[2]}_"), f"{part} declares {name}"


def test_the_pages_are_current() -> None:
    """In a process of its own: tests declare metrics too."""
    command = (sys.executable, "-m", "libs.runtime.reference", "--check")
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stale_page_is_told_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"], tmp_path) == 1
    assert capsys.readouterr().err.splitlines() == [
        "docs/settings.md is stale: run `python -m libs.runtime.reference`",
        "docs/metrics.md is stale: run `python -m libs.runtime.reference`",
        "docs/openapi.json is stale: run `python -m libs.runtime.reference`",
    ]
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
