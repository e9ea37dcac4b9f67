"""What a user reads on a machine where something is missing. Programs are stand-ins on a PATH of the test's own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from devstack import cli
from devstack.errors import StackError
from devstack.kafka import jars
from devstack.mosquitto import server as mosquitto

if TYPE_CHECKING:
    from pathlib import Path

JAVA_17 = """echo 'openjdk version "17.0.15" 2025-04-15' >&2"""
MAVEN = """for last; do :; done
jars="${last#-DoutputDirectory=}"
mkdir -p "$jars"
touch "$jars/kafka.jar"
"""
"""Copies one dependency to where the last argument says."""


def counted(runs: Path) -> str:
    return f"{MAVEN}echo ran >> {runs}"


class Machine:
    """A PATH with the shell's own tools and what a test puts there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True)
        for tool in ("mkdir", "touch", "sh"):
            (directory / tool).symlink_to(f"/bin/{tool}")

    def has(self, name: str, script: str) -> None:
        program = self.directory / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with nothing installed."""
    bare = Machine(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(bare.directory))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(mosquitto, "BESIDE_PATH", ())
    return bare


def test_a_machine_without_maven_is_told_to_install_it(machine: Machine, tmp_path: Path) -> None:
    machine.has("java", JAVA_17)
    with pytest.raises(StackError, match=r"fetched by mvn, which is not on PATH: e\.g\. `apt-get install maven`"):
        jars.ensure(tmp_path / "kafka")


def test_a_machine_without_java_is_told_to_install_it(machine: Machine) -> None:
    with pytest.raises(
        StackError, match=r"needs java, which is not on PATH: install Java 17 or later, e\.g\. `apt-get"
    ):
        jars.java()


def test_an_old_java_is_named(machine: Machine) -> None:
    machine.has("java", """echo 'java version "1.8.0_402"' >&2""")
    with pytest.raises(StackError, match=r"needs Java 17, but .*/java is 8: install"):
        jars.java()


def test_java_home_comes_first(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.has("java", "exit 1")
    home = Machine(tmp_path / "jdk" / "bin")
    home.has("java", JAVA_17)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    assert jars.java() == str(home.directory / "java")


def test_jars_are_fetched_once(machine: Machine, tmp_path: Path) -> None:
    machine.has("java", JAVA_17)
    machine.has("mvn", counted(tmp_path / "runs"))
    cache = tmp_path / "cache" / "kafka"
    assert jars.ensure(cache) == cache
    assert jars.ensure(cache) == cache
    assert (cache / "kafka.jar").exists()
    assert (tmp_path / "runs").read_text() == "ran\n"
    assert list(cache.parent.iterdir()) == [cache]


def test_jars_are_fetched_again_when_the_pom_has_changed(machine: Machine, tmp_path: Path) -> None:
    machine.has("java", JAVA_17)
    machine.has("mvn", counted(tmp_path / "runs"))
    cache = tmp_path / "kafka"
    jars.ensure(cache)
    (cache / "old.jar").touch()
    (cache / "pom.sha256").write_text("of another pom")
    jars.ensure(cache)
    assert not (cache / "old.jar").exists()
    assert (tmp_path / "runs").read_text() == "ran\nran\n"


def test_a_failing_maven_is_quoted_and_leaves_nothing(machine: Machine, tmp_path: Path) -> None:
    machine.has("java", JAVA_17)
    machine.has("mvn", "echo '[ERROR] Could not resolve dependencies'; exit 1")
    cache = tmp_path / "cache" / "kafka"
    with pytest.raises(StackError, match=r"could not fetch Kafka's jars:\n\[ERROR\] Could not resolve dependencies"):
        jars.ensure(cache)
    assert list(cache.parent.iterdir()) == []


def test_a_machine_without_mosquitto_and_apt_is_told_to_install_it(machine: Machine) -> None:
    with pytest.raises(StackError, match=r"mosquitto is not installed: e\.g\. `apt-get install"):
        mosquitto.ensure()


def test_nobody_but_root_installs_packages(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.has("apt-get", f"touch {tmp_path / 'installed'}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(StackError, match="mosquitto is not installed"):
        mosquitto.ensure()
    assert not (tmp_path / "installed").exists()


def test_root_installs_mosquitto_with_apt_get(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.has("apt-get", f'echo "$@" >> {tmp_path / "calls"}')
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    mosquitto.ensure()
    expected = "--quiet update\n--quiet install --yes --no-install-recommends mosquitto\n"
    assert (tmp_path / "calls").read_text() == expected


def test_everything_that_is_missing_is_told_at_once(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(jars, "CACHE", tmp_path / "kafka")
    assert cli.main(["programs"]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3
    assert errors[0].startswith("fleetlog: Kafka needs java, which is not on PATH")
    assert errors[1].startswith("fleetlog: Kafka's jars are fetched by mvn, which is not on PATH")
    assert errors[2].startswith("fleetlog: mosquitto is not installed")
