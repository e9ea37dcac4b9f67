"""Devices that hold only their product's secret, and ask for their own: once.

The answer to a message is derived from it, not drawn: whichever replica answers, and however often, the secret is the
same. Hence the message id must be a secret of its own until it is used, and nobody may guess it.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from typing import TYPE_CHECKING, Final

import msgspec

from libs.runtime import secrets
from libs.runtime.requests.client import Refused
from libs.topics.identity import device_key
from libs.topics.messages.registry import Credential, RegisterDevice
from libs.topics.names import REGISTRY_INBOX

from .allowance import Allowance
from .credentials import mqtt_address
from .documents import MqttAddress
from .problems import Problem

if TYPE_CHECKING:
    from libs.topics.messages.registry_events import ProductDocument

    from .hub import Hub

MESSAGE_ID: Final = re.compile(r"[A-Za-z0-9_-]{22,64}")
"""At least 128 random bits in base64url."""
BY: Final = "joining"
"""In ``by`` of the event: nobody's API key."""
ADVICE: Final = "A device registers itself once; let whoever runs the product rotate its secret, or delete the device."


class Joined(msgspec.Struct, frozen=True):
    """A device's own credentials, shown once."""

    code: str
    """``ok``."""
    secret: str
    mqtt: MqttAddress


class Joining:
    """``allowance``: seconds are those of a monotonic clock."""

    def __init__(self, hub: Hub) -> None:
        join = hub.settings.join
        self._hub = hub
        self._products = Allowance(join.product_rate, join.product_burst)
        self._addresses = Allowance(join.address_rate, join.address_burst)

    def check_secret(self, product_id: str, secret: str, address: str) -> None:
        """Let nobody pass who does not hold the product's secret. Raises `Problem`.

        A stranger is told the same whether there is such a product or not.
        """
        self._spend(self._addresses, address, f"too many attempts from {address}")
        product = self._product(product_id)
        if product is None or product.secret_hash is None or not secrets.verify(secret, product.secret_hash):
            raise Problem("join_unauthorized", f"this is no secret of a product {product_id}")

    async def join(self, product_id: str, device_id: str, message_id: str) -> Joined:
        """Register a device whose product's secret is proved. Raises `Problem`, `NoAnswer`, `NotAsked`."""
        if MESSAGE_ID.fullmatch(message_id) is None:
            raise Problem("invalid_message_id", "a message id is 22 to 64 of A-Z a-z 0-9 _ -, and random")
        product = self._product(product_id)
        if product is None or not product.defaults.dynamic_registration:
            raise Problem("joining_off", f"devices of {product_id} do not register themselves")
        self._spend(self._products, product_id, f"too many devices of {product_id} register themselves")
        hub, owner = self._hub, secrets.device_owner(product_id, device_id)
        credential_id = credential_of(owner, message_id)
        hub_key = hub.settings.secrets_key.reveal()
        key = device_key(product_id, device_id)
        request = RegisterDevice(
            product_id=product_id,
            device_id=device_id,
            origin="first_contact",
            credential=Credential(credential_id, secrets.hash_derived(hub_key, owner, credential_id)),
            tags=(),
            attributes={},
            requested_by=BY,
            requested_at=hub.clock(),
        )
        try:
            await hub.requests.ask(REGISTRY_INBOX, key, request, hub.settings.answer_s)
        except Refused as refused:
            if refused.answer.code != "device_exists":
                raise
            raise Problem("device_exists", f"{key.decode()} is registered already", advice=ADVICE) from refused
        address = mqtt_address(hub.settings.devices, product_id, device_id)
        return Joined("ok", secrets.derive(hub_key, owner, credential_id), address)

    def _product(self, product_id: str) -> ProductDocument | None:
        return self._hub.products.documents.get(product_id.encode())

    @staticmethod
    def _spend(allowance: Allowance, name: str, said: str) -> None:
        wait = allowance.take(name, time.monotonic())
        if wait:
            raise Problem("rate_limited", said, headers={"Retry-After": str(wait)})


def credential_of(owner: str, message_id: str) -> str:
    """Name the secret that a message makes: 22 characters of A-Z a-z 0-9 _ -."""
    digest = hashlib.sha256(f"first-contact\n{owner}\n{message_id}".encode()).digest()
    return base64.urlsafe_b64encode(digest[:16]).decode().rstrip("=")
