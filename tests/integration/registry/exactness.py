"""What the registry wrote about a product's devices, against the replay of its inbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.topics import catalog, names
from services.registry.app import SERVICE, TABLE, build
from services.registry.settings import RegistrySettings
from tests.support import exactness

if TYPE_CHECKING:
    from libs.runtime.settings import KafkaSettings

TOPICS = (
    names.REGISTRY_EVENTS,
    names.REGISTRY_DEVICES,
    names.dead_letters(SERVICE),
    *(name for name in catalog.get(names.REGISTRY_EVENTS).feeds if name != names.REGISTRY_INBOX),
)


def unlike_the_replay(kafka: KafkaSettings, product: str) -> list[str]:
    return exactness.unlike_the_replay(kafka, build(RegistrySettings(kafka=kafka)), TABLE, TOPICS, product)
