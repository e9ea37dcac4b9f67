"""What the device SDK promises to whoever installs it apart from this repository."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

import fleetlog_device
from fleetlog_device import Device, Receipt, Shadow, Upgrade

ROOT = Path(__file__).parents[2]
SDK = ROOT / "sdk" / "python"
PACKAGE = SDK / "fleetlog_device"
PROJECT = tomllib.loads((SDK / "pyproject.toml").read_text())["project"]
README = (SDK / "README.md").read_text()
OURS = {"fleetlog_device", "aiomqtt", "paho"}


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports, those for the type checker included."""
    found = set[str]()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("path", [*PACKAGE.rglob("*.py"), *(SDK / "examples").glob("*.py")], ids=lambda path: path.name)
def test_it_imports_nothing_but_itself_and_what_it_declares(path: Path) -> None:
    assert imported(path) - set(sys.stdlib_module_names) <= OURS


def test_its_metadata_is_complete() -> None:
    declared = {re.split(r"[<>=]", requirement)[0] for requirement in PROJECT["dependencies"]}
    assert declared == {"aiomqtt", "paho-mqtt"}
    assert (PROJECT["name"], PROJECT["requires-python"]) == ("fleetlog-device", ">=3.11")
    assert all((SDK / name).exists() for name in (PROJECT["readme"], *PROJECT["license-files"]))
    assert (PACKAGE / "py.typed").exists()
    assert (SDK / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert f"## {PROJECT['version']}\n" in (SDK / "CHANGELOG.md").read_text()


def test_the_installed_libraries_are_those_it_allows() -> None:
    """`link.py` overrides what aiomqtt does within one minor version."""
    locked = (ROOT / "requirements" / "dev.txt").read_text()
    assert re.search(r"^aiomqtt==2\.5\.", locked, re.MULTILINE)
    assert "aiomqtt>=2.5,<2.6" in PROJECT["dependencies"]


@pytest.mark.parametrize("kind", [Device, Receipt, Shadow, Upgrade])
def test_every_call_is_in_the_readme(kind: type) -> None:
    names = [name for name in vars(kind) if not name.startswith("_")]
    internal = {
        "end",
        "receive",
        "follow",
        "restore",
        "wanted",
        "speaks",
        "tell",
        "kind",
        "artifact",
        "done",
        "message_id",
    }
    internal |= {"product", "device", "identity", "version"}
    assert [name for name in names if name not in internal and not re.search(rf"\b{name}\b", README)] == []


def test_every_public_name_exists_and_every_error_is_a_device_error() -> None:
    for name in fleetlog_device.__all__:
        found = getattr(fleetlog_device, name)
        if isinstance(found, type) and issubclass(found, Exception):
            assert issubclass(found, fleetlog_device.DeviceError)
    assert sorted(fleetlog_device.__all__) == fleetlog_device.__all__
