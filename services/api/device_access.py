"""Devices that call the API themselves: with their secret (Basic) or a token (Bearer), and for themselves alone."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final

from litestar import Request

from .access import address_of
from .hub import Hub
from .identity import Denied, Identity, identify
from .problems import Problem, busy

if TYPE_CHECKING:
    from .tokens import Purpose

CHALLENGE: Final = {
    "WWW-Authenticate": 'Basic realm="fleetlog device", charset="UTF-8", Bearer realm="fleetlog device"'
}


async def authenticate(request: Request[Any, Any, Any], hub: Hub, device: str, purpose: Purpose | None) -> Identity:
    """Find out that it is this device (``product/device``) that calls.

    Raises `Problem`; a stranger is told the same whether there is such a device or not.
    """
    header = request.headers.get("authorization", "")
    try:
        found = await _identify(hub, header, device, purpose)
    except Denied as denied:
        address, refused = address_of(request), problem(denied, device)
        hub.refusals.refuse("http", denied.reason, device=device, address=address)
        raise (refused if denied.reason == "unavailable" else hub.strangers.problem(address, refused)) from denied
    hub.refusals.allow("http")
    return found


async def _identify(hub: Hub, header: str, device: str, purpose: Purpose | None) -> Identity:
    """Raises `Denied`, also where another device than ``device`` proves itself."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "bearer" and purpose is not None:
        return await identify(hub, device, rest.strip(), purpose)
    shown = basic(header)
    if shown is None:
        raise Denied("no_credentials")
    if shown[0] != device:
        raise Denied("invalid_user_name")
    return await identify(hub, *shown, purpose)


def basic(header: str) -> tuple[str, str] | None:
    """Return (user name, password) of an ``Authorization`` header; None: it is not of that form (RFC 7617)."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        username, colon, password = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return (username, password) if colon else None


def problem(denied: Denied, device: str) -> Problem:
    match denied.reason:
        case "unavailable":
            return busy("unavailable", "nobody can tell now whose credentials these are")
        case "disabled":
            return Problem("device_disabled", f"{device} is disabled")
        case _:
            return Problem("device_unauthorized", f"these are no credentials of {device}", headers=CHALLENGE)
