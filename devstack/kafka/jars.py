"""Kafka's jars, fetched by Maven into the checkout's cache when the pom changes."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from devstack.errors import StackError

POM = Path(__file__).with_name("pom.xml")
CACHE = Path(__file__).parents[2] / ".cache" / "kafka"
OLDEST_JAVA = 17
VERSION = re.compile(r'version "(?:1\.)?(\d+)')


def java() -> str:
    """The Java program: that of JAVA_HOME, else the one on PATH. Raises `StackError` where there is none from 17 on."""
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    advice = f"install Java {OLDEST_JAVA} or later, e.g. `apt-get install openjdk-17-jre-headless`"
    if program is None or shutil.which(program) is None:
        raise StackError(f"Kafka needs java, which is not on PATH: {advice}")
    shown = subprocess.run((program, "-version"), check=False, capture_output=True, text=True, timeout=30)
    found = VERSION.search(shown.stderr + shown.stdout)
    if shown.returncode != 0 or found is None or int(found[1]) < OLDEST_JAVA:
        raise StackError(
            f"Kafka needs Java {OLDEST_JAVA}, but {program} is {found[1] if found else 'broken'}: {advice}"
        )
    return program


def ensure(cache: Path | None = None) -> Path:
    """The directory of the jars that ``pom.xml`` names; fetches them once. Raises `StackError`."""
    cache = CACHE if cache is None else cache
    wanted = hashlib.sha256(POM.read_bytes()).hexdigest()
    stamp = cache / "pom.sha256"
    if stamp.exists() and stamp.read_text() == wanted:
        return cache
    maven = shutil.which("mvn")
    if maven is None:
        raise StackError("Kafka's jars are fetched by mvn, which is not on PATH: e.g. `apt-get install maven`")
    java()
    print("fleetlog: fetching Kafka's jars with Maven (44 MB, once)", flush=True)
    cache.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.parent, prefix="kafka-") as fresh:
        jars = Path(fresh) / "jars"
        _copy_dependencies(maven, jars)
        (jars / stamp.name).write_text(wanted)
        shutil.rmtree(cache, ignore_errors=True)
        jars.rename(cache)  # only a complete set ever stands there
    return cache


def _copy_dependencies(maven: str, jars: Path) -> None:
    goal = ("dependency:copy-dependencies", f"-DoutputDirectory={jars}")
    command = (maven, "--quiet", "--batch-mode", "--file", str(POM), *goal)
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise StackError("Maven could not fetch Kafka's jars:\n" + "\n".join(lines[:8]))
