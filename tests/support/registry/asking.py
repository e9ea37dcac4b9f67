"""Requests of the registry, with what a test does not care about filled in."""

from __future__ import annotations

import base64
import hashlib
from typing import Any, Final

from libs.topics.messages.base import Idempotency, ReplyTo
from libs.topics.messages.hub import TimePassed
from libs.topics.messages.registry import (
    AddTags,
    Credential,
    DeleteDevice,
    DeleteProduct,
    DisableDevice,
    EnableDevice,
    IssueApiKey,
    ProductDefaults,
    PutProduct,
    RegisterDevice,
    RemoveTags,
    RevokeApiKey,
    RotateSecret,
    SetAttributes,
    SetTags,
)

T0: Final = 1_760_000_000_000
"""When the tests' time begins: ms."""
WHO: Final[dict[str, Any]] = {"requested_by": "tester", "requested_at": T0}
DYNAMIC: Final = ProductDefaults(dynamic_registration=True)


def reply(correlation_id: str = "c1") -> ReplyTo:
    return ReplyTo(3, correlation_id)


def idempotent(key: str = "k1", fingerprint: str = "f1") -> Idempotency:
    return Idempotency(key, fingerprint)


def credential(name: str = "first") -> Credential:
    """One whose hash has the form of mosquitto's; the same for the same name."""
    digest = hashlib.sha512(name.encode()).digest()
    return Credential(name, f"$7$1${base64.b64encode(digest[:12]).decode()}${base64.b64encode(digest).decode()}")


def register(
    device: str = "d1",
    product: str = "p1",
    *,
    secret: str = "first",
    origin: Any = "application",
    tags: tuple[str, ...] = (),
    attributes: dict[str, Any] | None = None,
    **more: Any,
) -> RegisterDevice:
    return RegisterDevice(product, device, origin, credential(secret), tags, attributes or {}, **{**WHO, **more})


def delete(device: str = "d1", product: str = "p1", *, expected: int | None = None, **more: Any) -> DeleteDevice:
    return DeleteDevice(product, device, expected, **{**WHO, **more})


def enable(device: str = "d1", product: str = "p1", *, expected: int | None = None, **more: Any) -> EnableDevice:
    return EnableDevice(product, device, expected, **{**WHO, **more})


def disable(device: str = "d1", product: str = "p1", *, expected: int | None = None, **more: Any) -> DisableDevice:
    return DisableDevice(product, device, expected, **{**WHO, **more})


def rotate(
    device: str = "d1",
    product: str = "p1",
    *,
    secret: str = "second",
    grace: int = 0,
    expected: int | None = None,
    **more: Any,
) -> RotateSecret:
    return RotateSecret(product, device, credential(secret), grace, expected, **{**WHO, **more})


def set_tags(*tags: str, device: str = "d1", expected: int | None = None, **more: Any) -> SetTags:
    return SetTags("p1", device, tags, expected, **{**WHO, **more})


def add_tags(*tags: str, device: str = "d1", expected: int | None = None, **more: Any) -> AddTags:
    return AddTags("p1", device, tags, expected, **{**WHO, **more})


def remove_tags(*tags: str, device: str = "d1", expected: int | None = None, **more: Any) -> RemoveTags:
    return RemoveTags("p1", device, tags, expected, **{**WHO, **more})


def set_attributes(
    attributes: dict[str, Any], *, device: str = "d1", expected: int | None = None, **more: Any
) -> SetAttributes:
    return SetAttributes("p1", device, attributes, expected, **{**WHO, **more})


def put(
    product: str = "p1",
    defaults: ProductDefaults | None = None,
    *,
    secret: str | None = None,
    expected: int | None = None,
    **more: Any,
) -> PutProduct:
    made = None if secret is None else credential(secret)
    return PutProduct(product, defaults or ProductDefaults(), made, expected, **{**WHO, **more})


def delete_product(product: str = "p1", *, expected: int | None = None, **more: Any) -> DeleteProduct:
    return DeleteProduct(product, expected, **{**WHO, **more})


def issue(
    key_id: str = "k1", *, secret: str = "s", products: tuple[str, ...] | None = None, **more: Any
) -> IssueApiKey:
    hashed = hashlib.sha256(secret.encode()).hexdigest()
    return IssueApiKey(key_id, "a dashboard", ("read",), products, hashed, None, **{**WHO, **more})


def revoke(key_id: str = "k1", **more: Any) -> RevokeApiKey:
    return RevokeApiKey(key_id, **{**WHO, **more})


def tick(seconds: float, partition: int = 0) -> TimePassed:
    return TimePassed(partition, T0 + int(seconds * 1000))
