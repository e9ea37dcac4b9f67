"""What `./just bench` promises to whoever reads its last lines."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any

import pytest

from bench.__main__ import report
from bench.registry import BENCHES, CORRECT, Bench

if TYPE_CHECKING:
    from collections.abc import Callable

every = pytest.mark.parametrize("bench", BENCHES.values(), ids=BENCHES)


@every
def test_a_benchmark_can_be_listed_and_run(bench: Bench) -> None:
    module = importlib.import_module(bench.module)
    assert module.__doc__
    assert list(inspect.signature(module.run).parameters) == ["quick"]


@every
def test_a_benchmark_shows_whether_its_work_was_done_right(bench: Bench) -> None:
    assert set(bench.fields) & set(CORRECT)


def test_a_benchmark_that_leaves_a_field_out_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_quick: bool) -> dict[str, Any]:
        return {"kills": 5, "lost": 0}

    replaced: Callable[[bool], dict[str, Any]] = run
    monkeypatch.setattr("bench.ingest_kill.run", replaced)
    with pytest.raises(LookupError, match="duplicated, reordered, seconds"):
        report("ingest-kill", quick=True)
