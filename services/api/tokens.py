"""Short-lived tokens in the place of a device's secret: JWT, signed by the hub. Pure.

A token names the credential under which it was made, and is good for as long as that is the device's: to rotate or to
disable is to revoke. It names what it is for, so that one that a gateway has seen is of no use at the broker.
"""

from __future__ import annotations

import hmac
import re
from typing import Any, Final, Literal, TypeAlias

import jwt
import msgspec

Purpose: TypeAlias = Literal["mqtt", "http"]

ALGORITHM: Final = "HS256"
ISSUER: Final = "fleetlog"
MAX_TTL: Final = 3600
"""Seconds that a token may live."""
DEFAULT_TTL: Final = 600
LEEWAY: Final = 30
"""Seconds by which the clocks of two replicas may differ."""

_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class Token(msgspec.Struct, frozen=True):
    """What a token says."""

    device: str
    """``product/device``."""
    purpose: Purpose
    credential_id: str
    issued_at: int
    """Unix seconds, as all times in a JWT."""
    expires_at: int


class InvalidToken(ValueError):
    """``reason``: ``token_invalid`` or ``token_expired``."""

    def __init__(self, reason: str, error: str) -> None:
        super().__init__(error)
        self.reason = reason


def is_token(password: str) -> bool:
    """Whether a password is meant as a token: secrets hold no dots."""
    return _FORM.fullmatch(password) is not None


def issue(hub_key: str, token: Token) -> str:
    claims = {
        "iss": ISSUER,
        "sub": token.device,
        "aud": token.purpose,
        "iat": token.issued_at,
        "exp": token.expires_at,
        "cid": token.credential_id,
    }
    return jwt.encode(claims, _key(hub_key), ALGORITHM)


def read(hub_key: str, text: str, purpose: Purpose, now: int) -> Token:
    """Check all of a token but its credential. ``now``: ms. Raises `InvalidToken`."""
    try:
        claims: dict[str, Any] = jwt.decode(
            text,
            _key(hub_key),
            [ALGORITHM],
            audience=purpose,
            issuer=ISSUER,
            options={
                "require": ["iss", "sub", "aud", "iat", "exp", "cid"],
                "verify_exp": False,  # by our clock, below; so is iat
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
        token = msgspec.convert(
            {
                "device": claims["sub"],
                "purpose": claims["aud"],
                "credential_id": claims["cid"],
                "issued_at": claims["iat"],
                "expires_at": claims["exp"],
            },
            Token,
        )
    except (jwt.InvalidTokenError, msgspec.ValidationError) as error:
        raise InvalidToken("token_invalid", str(error)) from error
    if now >= 1000 * token.expires_at:
        raise InvalidToken("token_expired", f"expired at {token.expires_at}")
    if now < 1000 * (token.issued_at - LEEWAY):
        raise InvalidToken("token_invalid", f"issued at {token.issued_at}, which is not yet")
    return token


def _key(hub_key: str) -> bytes:
    return hmac.digest(hub_key.encode(), b"device-token", "sha256")
