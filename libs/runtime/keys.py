"""API keys: ``fl_<key id>_<secret>``. Pure: the randomness is an argument.

The id is public: it names the key in Kafka and in logs. Of the secret only its hash is kept, a bare SHA-256: the secret
is 256 random bits, nobody can try them all, and a salt against tables of guesses would add nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

ID_BYTES: Final = 8
"""12 characters of base32 hold 60 bits of them."""
ID_LENGTH: Final = 12
SECRET_BYTES: Final = 32
"""43 characters of base64url."""

ID: Final = re.compile(r"[a-z2-7]{12}")
FORM: Final = re.compile(rf"fl_({ID.pattern})_([A-Za-z0-9_-]{{43}})")


class InvalidKey(ValueError):
    """A text that is no API key. It is not quoted: what was typed wrongly may be a secret all the same."""


class Minted(msgspec.Struct, frozen=True):
    """A new key. ``text`` is shown once and kept nowhere."""

    key_id: str
    text: str
    hash: str
    """SHA-256 of the secret part, in hex."""

    def __repr__(self) -> str:
        return f"Minted(key_id={self.key_id!r})"


def mint(random: Callable[[int], bytes]) -> Minted:
    """Make a key. ``random`` returns so many bytes that nobody can foretell: ``secrets.token_bytes``."""
    key_id = base64.b32encode(random(ID_BYTES)).decode().lower()[:ID_LENGTH]
    secret = base64.urlsafe_b64encode(random(SECRET_BYTES)).decode().rstrip("=")
    return Minted(key_id, f"fl_{key_id}_{secret}", _hash(secret))


def parse(text: str) -> tuple[str, str]:
    """Return the key's id and its secret. Raises `InvalidKey`."""
    form = FORM.fullmatch(text)
    if form is None:
        raise InvalidKey("an API key looks like fl_<12 characters>_<43 characters>")
    return form[1], form[2]


def is_id(text: str) -> bool:
    return ID.fullmatch(text) is not None


def matches(secret: str, known: str) -> bool:
    """Tell whether ``known`` is the hash of the secret, in a time that tells nothing about either."""
    return hmac.compare_digest(_hash(secret), known)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
