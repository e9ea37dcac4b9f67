"""The suite of the API, on a hub in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.api import command_life, life, shadow_life
from tests.unit.api.ledgers import FakeCommands
from tests.unit.api.registry import FakeRegistry
from tests.unit.api.shadows import FakeShadows

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from httpx import AsyncClient

    from tests.unit.api.world import World


@pytest.mark.parametrize(
    "tale",
    [life.product_life, life.device_life, life.tags_life, life.names, life.repetitions, life.bulk, life.listing],
    ids=lambda tale: tale.__name__,
)
async def test_life(world: World, tale: Callable[[AsyncClient, str], Awaitable[None]]) -> None:
    FakeRegistry(world)
    async with world.client() as client:
        await tale(client, "plant-7")


@pytest.mark.parametrize("tale", shadow_life.TALES, ids=lambda tale: tale.__name__)
async def test_life_of_shadows(world: World, tale: Callable[[AsyncClient, str], Awaitable[None]]) -> None:
    FakeShadows(world)
    async with world.client() as client:
        await tale(client, "plant-7")


@pytest.mark.parametrize("tale", command_life.TALES, ids=lambda tale: tale.__name__)
async def test_life_of_commands(world: World, tale: Callable[[AsyncClient, str], Awaitable[None]]) -> None:
    FakeCommands(world)
    async with world.client() as client:
        await tale(client, "plant-7")


async def test_a_key_of_one_product_is_told_nothing_of_others(world: World) -> None:
    FakeRegistry(world)
    async with world.client() as everyone, world.client(world.issue(products=("plant-7",))) as limited:
        await life.isolation(everyone, limited, "plant-7", "plant-8")
