"""Bodies that are JSON of the right form, and yet too deep."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.bodies import LEVELS, deeper
from tests.support.api.life import create, problem
from tests.unit.api.registry import FakeRegistry

if TYPE_CHECKING:
    from tests.unit.api.world import World

TEXTS = st.text(st.sampled_from('[]{}"\\a'), max_size=4)
VALUES = st.recursive(
    st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


def levels_of(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 0
    return 1 + max(map(levels_of, value.values() if isinstance(value, dict) else value), default=0)


@given(VALUES, st.sampled_from([None, 1]))
def test_levels_are_those_of_the_value(value: Any, indent: int | None) -> None:
    body = json.dumps(value, indent=indent).encode()
    levels = levels_of(value)
    assert not deeper(body, levels)
    assert levels == 0 or deeper(body, levels - 1)


@pytest.mark.parametrize("levels", [LEVELS, 900, 5000])
async def test_a_body_that_would_not_fit_on_every_stack_is_refused(world: World, levels: int) -> None:
    FakeRegistry(world)
    deep = b'{"attributes":' + b'{"a":' * levels + b"1" + b"}" * levels + b"}"
    async with world.client() as client:
        await create(client, "p")
        await client.post("/v1/products/p/devices", json={"device_id": "d"})
        headers = {"Content-Type": "application/json"}
        answer = await client.patch("/v1/products/p/devices/d", content=deep, headers=headers)
    problem(answer, *((400, "malformed_body") if levels == 5000 else (422, "invalid_request")))
