"""``Idempotency-Key``: a request that is sent again with it is answered as before, and done once. Pure.

The owner of the row remembers the key; this process remembers nothing, so any replica may get the repetition.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final

from libs.topics.messages.base import Idempotency

from .problems import FieldError, Problem

KEY: Final = re.compile(r"[\x21-\x7e]{1,128}")
"""Anything visible in ASCII, such as a UUID."""


def idempotency_of(key_id: str, header: str | None, method: str, path: str, body: bytes) -> Idempotency | None:
    """Make what goes with the request to the owner of the row; None without the header.

    ``path`` includes the query. Raises `Problem` for a header that is no key.
    """
    if header is None:
        return None
    if not KEY.fullmatch(header):
        said = "Idempotency-Key is 1 to 128 visible characters of ASCII"
        raise Problem("invalid_header", said, errors=(FieldError("Idempotency-Key", "header", said),))
    fingerprint = hashlib.sha256(f"{method} {path}\n".encode() + body).hexdigest()
    return Idempotency(f"{key_id}:{header}", fingerprint)


def credential_id(idempotency: Idempotency | None, owner: str, random: bytes) -> str:
    """Name the secret of ``owner`` that a request makes: always the same for a request that can be repeated.

    ``random``: at least 16 bytes, for one that cannot. 22 characters of A-Z a-z 0-9 _ -.
    """
    if idempotency is None:
        return base64.urlsafe_b64encode(random[:16]).decode().rstrip("=")
    digest = hashlib.sha256(f"{idempotency.key}\n{owner}".encode()).digest()
    return base64.urlsafe_b64encode(digest[:16]).decode().rstrip("=")
