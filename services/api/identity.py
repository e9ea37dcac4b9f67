"""Which device it is that speaks: by its secret, by a token, or by nothing that counts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from libs.runtime import secrets
from libs.runtime.owners.reads import Unavailable
from libs.topics.identity import InvalidName, split_key
from libs.topics.messages.registry_events import OldSecret

from .tokens import InvalidToken, Purpose, is_token, read

if TYPE_CHECKING:
    from .hub import Hub

Reason: TypeAlias = Literal[
    "no_credentials",
    "invalid_user_name",
    "invalid_client_id",
    "unknown_device",
    "disabled",
    "wrong_secret",
    "token_invalid",
    "token_expired",
    "token_revoked",
    "joining_off",
    "forbidden_topic",
    "unavailable",
]
"""Why somebody is refused, in metrics and in the log. Callers are told less."""


class Credentials(msgspec.Struct, frozen=True):
    """The registry's view ``credentials`` of a device, as far as it is needed here."""

    enabled: bool
    credential_id: str
    secret_hash: str
    old_secret: OldSecret | None
    tags: tuple[str, ...]


class Identity(msgspec.Struct, frozen=True):
    """A device that has proved itself."""

    product_id: str
    device_id: str
    credential_id: str
    """The current one, also where the device has shown the secret before it."""
    outdated: bool
    """It has shown the secret before the current one, within its grace."""
    expires_at: int | None
    """Unix seconds: the end of its token, or of the grace; None: its secret has no end."""

    @property
    def key(self) -> bytes:
        return f"{self.product_id}/{self.device_id}".encode()


class Denied(Exception):
    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


async def credentials_of(hub: Hub, product_id: str, device_id: str) -> Credentials | None:
    """Ask the owner of the device. Raises `Denied` where it does not answer within the time of a broker's patience."""
    try:
        async with asyncio.timeout(hub.settings.broker_hook.answer_s):
            found = await hub.reads.get("registry", "registry", "credentials", product_id, device_id)
    except (TimeoutError, Unavailable) as error:
        raise Denied("unavailable") from error
    return None if found is None else msgspec.json.decode(found, type=Credentials)


async def identify(hub: Hub, username: str, password: str, purpose: Purpose | None) -> Identity:
    """Find which device shows these. ``purpose``: of a token; None: no token will do. Raises `Denied`."""
    try:
        product_id, device_id = split_key(username.encode("utf-8", "backslashreplace"))
    except InvalidName as error:
        raise Denied("invalid_user_name") from error
    credentials = await credentials_of(hub, product_id, device_id)
    if credentials is None:
        raise Denied("unknown_device")
    hub_key, now = hub.settings.secrets_key.reveal(), hub.clock()
    outdated, expires_at = proof(credentials, username, password, purpose, hub_key=hub_key, now=now)
    if not credentials.enabled:
        raise Denied("disabled")
    return Identity(product_id, device_id, credentials.credential_id, outdated, expires_at)


def proof(
    credentials: Credentials, username: str, password: str, purpose: Purpose | None, *, hub_key: str, now: int
) -> tuple[bool, int | None]:
    """Return whether what a device shows is outdated, and its end in Unix seconds. ``now``: ms. Raises `Denied`."""
    if is_token(password):
        if purpose is None:
            raise Denied("token_invalid")
        try:
            token = read(hub_key, password, purpose, now)
        except InvalidToken as error:
            raise Denied(_reason(error)) from error
        if token.device != username:
            raise Denied("token_invalid")
        if token.credential_id != credentials.credential_id:
            raise Denied("token_revoked")
        return False, token.expires_at
    if secrets.verify(password, credentials.secret_hash):
        return False, None
    old = credentials.old_secret
    if old is not None and now < old.valid_until and secrets.verify(password, old.hash):
        return True, old.valid_until // 1000
    raise Denied("wrong_secret")


def _reason(error: InvalidToken) -> Reason:
    return "token_expired" if error.reason == "token_expired" else "token_invalid"
