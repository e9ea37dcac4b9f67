"""A memory of topics that must never show: bounded, and the same answer with it, without it and when it is full."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.ingest.paths import Paths

NOW = 1_560_432_017_123
HEADS = st.sampled_from(
    [f"upload_data/p/d{n}/t" for n in range(6)] + ["update_status/p/d0", "get/p/d/$ntp", "upload_data/p/d", "$SYS", ""]
)


@given(st.lists(st.tuples(HEADS, st.integers(0, 50)), max_size=40), st.integers(0, 4))
def test_the_memory_is_bounded_and_changes_no_answer(met: list[tuple[str, int]], capacity: int) -> None:
    paths, now = Paths(capacity, renewal=100), NOW
    for head, pause in met:
        now += pause
        found, fresh = paths.known.get(head) or paths.learn(head, now), Paths(0).learn(head, now)
        assert (found is None) is (fresh is None)
        if found and fresh:
            assert (found.topic, found.key, found.with_payload) == (fresh.topic, fresh.key, fresh.with_payload)
            rest = ("m", 1, "json", b"{}", now) if found.with_payload else ("m", 1, now)
            assert found.message(*rest) == fresh.message(*rest)
        assert len(paths.known) <= capacity


def test_a_full_memory_keeps_the_first_and_begins_anew_after_a_while() -> None:
    paths = Paths(capacity=1, renewal=100)
    first, second = "update_status/p/a", "update_status/p/b"
    paths.learn(first, NOW)
    paths.learn(second, NOW + 99)
    assert list(paths.known) == [first]
    paths.learn(second, NOW + 100)
    assert list(paths.known) == [second]


def test_what_is_no_path_takes_no_room() -> None:
    paths = Paths(capacity=10)
    assert paths.learn("upload_data/p", NOW) is None
    assert paths.learn("upload_data/p/d/\x00", NOW) is None
    assert not paths.known
