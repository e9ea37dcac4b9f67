from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.lane.scene import Scene
from tests.integration.lane.topics import create, topics_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from devstack.stack import Stack


@pytest.fixture
def new_scene(brokers: Stack, tmp_path: Path) -> Iterator[Callable[..., Scene]]:
    """Scenes without topics."""
    scenes: list[Scene] = []

    def make(*, two: bool = False) -> Scene:
        scenes.append(Scene(brokers.kafka, tmp_path, two=two))
        return scenes[-1]

    yield make
    for scene in scenes:
        scene.close()


@pytest.fixture
def scene(new_scene: Callable[..., Scene]) -> Scene:
    """A scene with the topics of its service."""
    return _with_topics(new_scene())


@pytest.fixture
def pair(new_scene: Callable[..., Scene]) -> Scene:
    """A scene with two ledgers in one app, and their topics."""
    return _with_topics(new_scene(two=True))


def _with_topics(scene: Scene) -> Scene:
    for name in scene.names:
        create(scene.bootstrap, topics_of(name))
    return scene
