"""Dynamic registration: a device that holds only its product's secret asks once for its own."""

from __future__ import annotations

import asyncio
import base64
import http.client
import random
import secrets
import ssl
import urllib.error
import urllib.request
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

from .backoff import Backoff
from .device import SECRET, opened_store
from .errors import ConnectionLost, JoinRefused, NoAnswer
from .handlers import log
from .link import Address, Link, connected
from .names import check_identity
from .payload import BadPayload, to_object

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .store import Store

REGISTER: Final = "$register"
"""In the place of the device in the user name."""
QUESTION: Final = "join"
"""Where the store keeps the id of the question: asked again under the same id, the hub gives the same answer."""
LARGEST: Final = 64 * 1024
"""Bytes of an answer."""


async def join(
    product: str,
    device: str,
    product_secret: str,
    *,
    host: str,
    port: int | None = None,
    tls: bool | str | Path | ssl.SSLContext = False,
    websocket: str | None = None,
    store: Store | str | Path | None = None,
    backoff: Backoff | None = None,
    timeout: float = 60.0,  # noqa: ASYNC109 - its own error says what was awaited
) -> str:
    """The device's own secret over MQTT: the store's where it holds one, else the hub's, which the store then keeps.

    Devices of one product share the session of this question and cut each other off: it is asked again until the
    answer is there. Raises `JoinRefused`, `CredentialsRefused` (of the product), `NoAnswer`, `StoreMismatch` and
    `InvalidName`.
    """
    address = Address(host, port, tls, websocket, session_expiry=0)
    with _kept(product, device, store) as kept:
        known = kept.get(SECRET)
        if known is not None:
            return known
        try:
            async with asyncio.timeout(timeout):
                place = f"{product}/{device}/{_question(kept)}"
                document = await _ask(address, place, product_secret, backoff or Backoff())
        except TimeoutError as error:
            raise NoAnswer(f"the hub did not register {product}/{device} within {timeout:g} s") from error
        return _keep(kept, document)


async def join_over_http(
    product: str,
    device: str,
    product_secret: str,
    *,
    url: str,
    ca: str | Path | None = None,
    store: Store | str | Path | None = None,
    timeout: float = 60.0,  # noqa: ASYNC109 - of the request's every step, not of this call
) -> str:
    """The same over HTTP: ``url`` is the API's, such as ``https://hub.example.com``; ``ca`` its authorities (PEM).

    Raises `JoinRefused`, `ConnectionLost`, `StoreMismatch` and `InvalidName`.
    """
    with _kept(product, device, store) as kept:
        known = kept.get(SECRET)
        if known is not None:
            return known
        user = base64.b64encode(f"{product}/{device}:{product_secret}".encode()).decode()
        headers = {
            "Authorization": f"Basic {user}",
            "Content-Type": "application/json",
            "Idempotency-Key": _question(kept),
        }
        address = f"{url.rstrip('/')}/v1/products/{product}/devices/{device}:join"
        if not address.startswith(("https://", "http://")):
            raise ConnectionLost(f"{url!r} is neither https nor http")
        request = urllib.request.Request(address, data=b"{}", headers=headers, method="POST")  # noqa: S310 - checked
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
        return _keep(kept, await asyncio.to_thread(_fetch, request, context, timeout))


@contextmanager
def _kept(product: str, device: str, store: Store | str | Path | None) -> Iterator[Store]:
    check_identity(product, device)
    opened = opened_store(product, device, store)
    opened.open(f"{product}/{device}")
    with closing(opened):
        yield opened


def _question(store: Store) -> str:
    known = store.get(QUESTION)
    if known is None:
        known = secrets.token_urlsafe(24)  # whoever guesses it could read the answer
        store.put(QUESTION, known)
    return known


async def _ask(address: Address, place: str, secret: str, backoff: Backoff) -> dict[str, Any]:
    """Ask until there is an answer; ``place``: product, device and question. Raises `CredentialsRefused`."""
    user, context = f"{place.partition('/')[0]}/{REGISTER}", address.context()
    failures = 0
    while True:
        try:
            async with connected(address, context, user, user, secret) as link:
                return await _answer(link, place)
        except ConnectionLost as error:
            failures += 1
            log.info("asking for credentials again: %s", error)
        await asyncio.sleep(backoff.wait(failures, random.SystemRandom().random()))


async def _answer(link: Link, place: str) -> dict[str, Any]:
    await link.subscribe((f"registered/{place}",))
    await link.publish(f"register/{place}", b"{}")
    async for message in link.messages():
        link.acknowledge(message)
        if message.topic.value == f"registered/{place}":
            return to_object(bytes(message.payload))
    raise ConnectionLost("the connection ended before the answer")


def _fetch(request: urllib.request.Request, context: ssl.SSLContext, timeout: float) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(request, context=context, timeout=timeout) as response:  # noqa: S310 - checked
            return to_object(response.read(LARGEST))
    except urllib.error.HTTPError as error:
        with error:
            return _problem(error)
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionLost(str(error)) from error


def _problem(error: urllib.error.HTTPError) -> dict[str, Any]:
    """The hub's problem document; a proxy before it says less."""
    try:
        return to_object(error.read(LARGEST))
    except BadPayload:
        return {"code": f"http_{error.code}", "detail": error.reason}


def _keep(store: Store, document: dict[str, Any]) -> str:
    secret = document.get("secret")
    if not isinstance(secret, str) or not secret:
        raise JoinRefused(str(document.get("code")), str(document.get("detail", "")))
    store.put(SECRET, secret)
    return secret
