"""An event that no query ever showed has no moment, and counts as lost."""

from __future__ import annotations

from typing import Any, cast

from bench.end_to_end import Probes


def test_a_row_is_seen_by_the_first_query_that_reaches_it() -> None:
    probes = Probes(cast("Any", None))
    probes.seen = {0: ([-1, 4, 9], [0.0, 100.0, 101.0])}
    assert [probes.moment(0, offset) for offset in (0, 4, 5, 9)] == [100.0, 100.0, 101.0, 101.0]
    assert probes.moment(0, 10) is probes.moment(1, 0) is None
