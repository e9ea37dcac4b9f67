"""Secrets of devices and products: made here, shown once, known to the rest of the hub by their hashes alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.runtime import secrets
from libs.topics.messages.registry import Credential

from .documents import MqttAddress

if TYPE_CHECKING:
    from .asking import Asker
    from .settings import MqttAddressSettings


def for_device(asker: Asker, product_id: str, device_id: str) -> tuple[Credential, str]:
    """Make a device's (credential, secret): the same ones where the request can be repeated."""
    return _make(asker, secrets.device_owner(product_id, device_id))


def for_product(asker: Asker, product_id: str) -> tuple[Credential, str]:
    return _make(asker, secrets.product_owner(product_id))


def mqtt_address(settings: MqttAddressSettings, product_id: str, device_id: str) -> MqttAddress:
    """How the device connects: its client id is its user name, so that what is sent to one client finds it."""
    name = f"{product_id}/{device_id}"
    return MqttAddress(settings.host, settings.port, name, name)


def _make(asker: Asker, owner: str) -> tuple[Credential, str]:
    credential_id, key = asker.credential_id(owner), _hub_key(asker)
    credential = Credential(credential_id, secrets.hash_derived(key, owner, credential_id))
    return credential, secrets.derive(key, owner, credential_id)


def _hub_key(asker: Asker) -> str:
    return asker.hub.settings.secrets_key.reveal()
