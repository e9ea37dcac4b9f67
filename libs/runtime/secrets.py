"""Secrets of devices and products, and what is kept of them. Applications have `keys`.

A device's secret is not drawn but derived from the hub key and its credential id, so that a request which is repeated
shows the same one again, and none is ever stored. What is kept is a hash in the form of mosquitto's password files,
``$7$<iterations>$<salt>$<hash>``: PBKDF2 with SHA-512, a salt of exactly 12 bytes and a hash of 64, both in base64
(mosquitto 2.0.11, src/password_mosq.c).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final

ITERATIONS: Final = 1
"""Stretching makes guessing dear where people choose passwords. These secrets have 256 random bits: no guess ever hits,
however cheap it is. mosquitto hashes once for every connected client whenever its files change, and EMQX's hook once
for every connect: iterations would only slow the hub down (ADR 0021)."""
SALT_BYTES: Final = 12
HASH_BYTES: Final = 64
SCHEME: Final = "7"
"""mosquitto's number for PBKDF2 with SHA-512."""


def device_owner(product_id: str, device_id: str) -> str:
    return f"device-secret/{product_id}/{device_id}"


def product_owner(product_id: str) -> str:
    return f"product-secret/{product_id}"


def derive(hub_key: str, owner: str, credential_id: str) -> str:
    """Make the secret of ``owner`` that goes by ``credential_id``: 43 characters of A-Z a-z 0-9 _ -.

    ``owner``: `device_owner` or `product_owner`.
    """
    return base64.urlsafe_b64encode(_mac(hub_key, f"{owner}/{credential_id}")).decode().rstrip("=")


def hash_derived(hub_key: str, owner: str, credential_id: str) -> str:
    """Hash the secret that `derive` makes, under a salt that is derived too: the same request, the same record."""
    salt = _mac(hub_key, f"salt/{owner}/{credential_id}")[:SALT_BYTES]
    return hash_secret(derive(hub_key, owner, credential_id), salt)


def hash_secret(secret: str, salt: bytes, iterations: int = ITERATIONS) -> str:
    """Hash as mosquitto does. Raises ValueError for a salt that mosquitto refuses."""
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes, this one has {len(salt)}")
    digest = hashlib.pbkdf2_hmac("sha512", secret.encode(), salt, iterations, HASH_BYTES)
    return f"${SCHEME}${iterations}${_text(salt)}${_text(digest)}"


def verify(secret: str, hashed: str) -> bool:
    """Tell whether the secret is the one that was hashed; False also for what is no such hash."""
    try:
        empty, scheme, iterations, salt, digest = hashed.split("$")
        wanted = base64.b64decode(digest, validate=True)
        if empty or scheme != SCHEME or not wanted:
            return False
        found = hashlib.pbkdf2_hmac(
            "sha512", secret.encode(), base64.b64decode(salt, validate=True), int(iterations), len(wanted)
        )
    except (ValueError, binascii.Error, OverflowError):
        return False
    return hmac.compare_digest(found, wanted)


def _mac(hub_key: str, of: str) -> bytes:
    return hmac.digest(hub_key.encode(), of.encode(), "sha256")


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
