"""A product with a device, in a hub without Kafka."""

from __future__ import annotations

import base64
from typing import Any

from msgspec.structs import replace

from libs.runtime import secrets
from libs.runtime.settings import Secret
from libs.topics.messages.registry import ProductDefaults
from libs.topics.messages.registry_events import OldSecret, ProductDocument
from services.api.settings import ApiSettings, BrokerHookSettings
from tests.unit.api.world import NOW, World

HUB_KEY = "0123456789abcdef0123456789abcdef"
HOOK = "the broker's own secret"
SETTINGS = ApiSettings(
    secrets_key=Secret(HUB_KEY), broker="emqx", broker_hook=BrokerHookSettings(secret=Secret(HOOK)), max_payload=1000
)
SECRET, OLD_SECRET, PRODUCT_SECRET = "a device's secret", "the secret before", "a product's secret"
VIEW = ("registry", "registry", "credentials")


def hashed(secret: str) -> str:
    return secrets.hash_secret(secret, b"twelve bytes")


def basic(username: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}


def product(world: World, product_id: str = "p", **defaults: Any) -> None:
    """Create or change a product; its secret is `PRODUCT_SECRET`."""
    world.products.held[product_id.encode()] = ProductDocument(
        product_id=product_id,
        version=1,
        defaults=ProductDefaults(**defaults),
        credential_id="pc1",
        secret_hash=hashed(PRODUCT_SECRET),
        created_at=NOW,
        updated_at=NOW,
    )


def device(world: World, key: str = "p/d", **credentials: Any) -> None:
    """Register or change a device; its secret is `SECRET`."""
    known = world.reads.documents.setdefault(VIEW, {})
    known[key] = {
        "enabled": True,
        "credential_id": "c1",
        "secret_hash": hashed(SECRET),
        "old_secret": None,
        "version": 1,
        "tags": ["red"],
        "acl": [],
        "device_to_device": False,
    } | credentials


def rotated(valid_for: int) -> dict[str, Any]:
    """Credentials of a device whose secret was `OLD_SECRET` until now, and is valid for so many ms more."""
    return {"credential_id": "c2", "old_secret": OldSecret(hashed(OLD_SECRET), NOW + valid_for)}


def emqx_world(**settings: Any) -> World:
    """A hub that EMQX asks, with product ``p`` and its device ``p/d``."""
    world = World(replace(SETTINGS, **settings))
    product(world)
    device(world)
    return world
