from __future__ import annotations

import pytest

from tests.unit.api.world import World


@pytest.fixture
async def world() -> World:
    """A hub in memory, with the application on it."""
    return World()
