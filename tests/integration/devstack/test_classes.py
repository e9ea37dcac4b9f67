from __future__ import annotations

from typing import TYPE_CHECKING

from devstack.kafka import classes, jars, server

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_classes_that_do_not_fit_are_kept_anew_and_then_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "kafka"
    cache.mkdir()
    for file in (*jars.ensure().glob("*.jar"), jars.ensure() / "pom.sha256"):
        (cache / file.name).symlink_to(file)
    monkeypatch.setattr(jars, "CACHE", cache)
    kept = server.classes(cache)
    kept.write_bytes(b"of another Java")

    classes.ensure()
    made = kept.stat()
    assert made.st_size > 10_000_000
    classes.ensure()
    assert kept.stat().st_mtime_ns == made.st_mtime_ns
    assert list(tmp_path.iterdir()) == [cache]
