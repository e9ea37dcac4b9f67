"""Registered devices and products, as the registry tells of them: documents straight into its topics."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Self

from confluent_kafka import Producer

from libs.runtime.kafka import DURABLE, KEYED
from libs.runtime.secrets import hash_secret
from libs.topics.codec import encode
from libs.topics.identity import device_key
from libs.topics.messages.registry import ProductDefaults
from libs.topics.messages.registry_events import DeviceDocument, OldSecret, ProductDocument
from libs.topics.names import REGISTRY_DEVICES, REGISTRY_PRODUCTS

if TYPE_CHECKING:
    from types import TracebackType

SALT_BYTES = 12


def hashed(secret: str, iterations: int = 1) -> str:
    """Of the same secret always the same, so that documents can be compared."""
    return hash_secret(secret, hashlib.sha256(secret.encode()).digest()[:SALT_BYTES], iterations)


def device_document(product_id: str, device_id: str, secret: str, **fields: Any) -> DeviceDocument:
    """With ``old``, the secret that its rotation's grace keeps valid, ``fields`` of the document replace the usual."""
    old = fields.pop("old", None)
    usual: dict[str, Any] = {
        "version": 1,
        "enabled": True,
        "credential_id": "c1",
        "secret_hash": hashed(secret),
        "old_secret": None if old is None else OldSecret(hashed(old), 2**53),
        "tags": (),
        "tags_version": 0,
        "attributes": {},
        "origin": "application",
        "created_at": 1,
        "updated_at": 1,
    }
    return DeviceDocument(product_id=product_id, device_id=device_id, **(usual | fields))


def product_document(product_id: str, defaults: ProductDefaults | None = None, secret: str = "") -> ProductDocument:
    return ProductDocument(
        product_id=product_id,
        version=1,
        defaults=defaults or ProductDefaults(),
        credential_id="c1" if secret else None,
        secret_hash=hashed(secret) if secret else None,
        created_at=1,
        updated_at=1,
    )


class Documents:
    """Writes them; each method but `flush` returns before Kafka has them."""

    def __init__(self, bootstrap: str) -> None:
        config = {"bootstrap.servers": bootstrap, "linger.ms": 1, "queue.buffering.max.messages": 1_000_000}
        self._producer = Producer(config | dict(KEYED) | dict(DURABLE))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.flush()

    def device(self, product_id: str, device_id: str, secret: str, **fields: Any) -> None:
        document = device_document(product_id, device_id, secret, **fields)
        self._producer.produce(REGISTRY_DEVICES, encode(document), device_key(product_id, device_id))
        self._producer.poll(0)

    def delete_device(self, product_id: str, device_id: str) -> None:
        self._producer.produce(REGISTRY_DEVICES, None, device_key(product_id, device_id))

    def product(self, product_id: str, defaults: ProductDefaults | None = None, secret: str = "") -> None:
        document = product_document(product_id, defaults, secret)
        self._producer.produce(REGISTRY_PRODUCTS, encode(document), product_id.encode())

    def raw(self, topic: str, key: bytes, value: bytes | None) -> None:
        self._producer.produce(topic, value, key)

    def flush(self) -> None:
        """Return when Kafka has all. Raises TimeoutError."""
        if self._producer.flush(60):
            raise TimeoutError("Kafka did not take the documents within a minute")
