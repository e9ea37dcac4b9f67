from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from libs.runtime.health import Progress, Verdict

PATIENCE = 60.0


def test_a_verdict_is_true_when_ok() -> None:
    assert Verdict(ok=True)
    assert not Verdict(ok=False, reason="because")


def test_a_process_without_lag_is_alive_however_long_it_waits() -> None:
    progress = Progress(PATIENCE)
    assert all(progress.observe(0, 5, now) for now in (0.0, 1e3, 1e6))


def test_lag_that_stands_still_ends_the_patience() -> None:
    progress = Progress(PATIENCE)
    seen = [progress.observe(10, 5, now) for now in (0.0, 1.0, 60.9, 61.0)]
    assert seen == [True, True, True, False]


def test_progress_under_lag_begins_the_patience_anew() -> None:
    progress = Progress(PATIENCE)
    progress.observe(10, 5, 0.0)
    progress.observe(10, 5, 50.0)
    assert progress.observe(10, 6, 100.0)
    assert progress.observe(10, 6, 159.0)


def test_a_stuck_process_that_moves_again_is_alive_again() -> None:
    progress = Progress(PATIENCE)
    for now in (0.0, 1.0, 100.0):
        stuck = not progress.observe(10, 5, now)
    assert stuck
    assert progress.observe(10, 6, 101.0)


def test_lag_seen_for_the_first_time_after_a_long_silence_is_not_held_against_it() -> None:
    progress = Progress(PATIENCE)
    progress.observe(0, 5, 0.0)
    assert progress.observe(10, 5, 10_000.0)
    assert not progress.observe(10, 5, 10_000.0 + PATIENCE)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.floats(0.0, 100.0)), min_size=1),
)
def test_dead_means_lag_and_no_progress_for_the_whole_patience(steps: list[tuple[int, bool, float]]) -> None:
    """The definition, recomputed from the whole history."""
    progress, now, done = Progress(PATIENCE), 0.0, 0
    history: list[tuple[int, int, float]] = []
    for lag, moves, wait in steps:
        now, done = now + wait, done + moves
        history.append((lag, done, now))
        still = 0
        for earlier_lag, earlier_done, _ in reversed(history):
            if earlier_lag == 0 or earlier_done != done:
                break
            still += 1
        # the first of a run with equal `done` showed movement, unless lag had been absent before it
        run = history[len(history) - still :]
        begins_with_movement = len(history) == still or history[len(history) - still - 1][1] != done
        since = run[begins_with_movement][2] if len(run) > begins_with_movement else now
        assert progress.observe(lag, done, now) is (now - since < PATIENCE)
