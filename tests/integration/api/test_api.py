"""The API's suite on the real Kafka and registry, and what only they can show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.api.calling import client, issue
from tests.support.api import command_life, life, shadow_life
from tests.support.names import unique

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from httpx import AsyncClient

    from devstack.stack import Stack


@pytest.mark.parametrize(
    "tale",
    [
        *(life.product_life, life.device_life, life.tags_life, life.names, life.repetitions, life.bulk, life.listing),
        *shadow_life.TALES,
        *command_life.TALES,
    ],
    ids=lambda tale: tale.__name__,
)
async def test_life(stack: Stack, tale: Callable[[AsyncClient, str], Awaitable[None]]) -> None:
    async with client(stack) as calling:
        await tale(calling, unique("plant"))


async def test_a_key_of_one_product_is_told_nothing_of_others(stack: Stack) -> None:
    own, other = unique("own"), unique("other")
    key = issue(stack, "read", "command", "admin", products=(own,))
    async with client(stack) as everyone, client(stack, key) as limited:
        await life.isolation(everyone, limited, own, other)
