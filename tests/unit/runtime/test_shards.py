from __future__ import annotations

import pytest

from libs.runtime import shards


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("", ((),)),
        (" ", ((),)),
        ('[["a"]]', (("a",),)),
        ('[["a", "b-1"], ["c_2"]]', (("a", "b-1"), ("c_2",))),
    ],
)
def test_a_plan_that_fits_is_taken(text: str, plan: shards.Plan) -> None:
    assert list(shards.faults(text)) == []
    assert shards.parse(text) == plan


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("2", "must be JSON"),
        ('["a"]', "must be JSON"),
        ('[["a"]', "must be JSON"),
        ("[]", "names no shard"),
        ('[["a"],[]]', "has no product in shard 1"),
        ('[["a","*"]]', "has as product 2 of shard 0 what is no product id"),
        ('[["a/b"]]', "what is no product id"),
        ('[["update"]]', "that the shadow topics use themselves"),
        ('[["a"],["b","a"]]', "names product 2 of shard 1 a second time"),
        ('[["a","a"]]', "names product 2 of shard 0 a second time"),
    ],
)
def test_a_plan_that_does_not_fit_says_where(text: str, fault: str) -> None:
    (found,) = shards.faults(text)
    assert fault in found
