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
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from .store import Store

    Ask = Callable[[str], Awaitable[dict[str, Any]]]

REGISTER: Final = "$register"
"""In the place of the device in the user name."""
QUESTION: Final = "join"
"""Where the store keeps the id of the question: asked again under the same id, the hub gives the same answer."""
ONCE: Final = 10.0
"""Seconds after which a question is asked again: the hub drops those that it has no time for."""
LARGEST: Final = 64 * 1024
"""Bytes of an answer."""
PASSING: Final = frozenset(
    {"rate_limited", "not_asked", "no_answer", "unavailable", "deadline_exceeded", "product_closing"}
)
"""Codes of refusals that may be over soon."""
PASSING_STATUS: Final = frozenset({429, 502, 503, 504})


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
    context, user = address.context(), f"{product}/{REGISTER}"

    async def ask(question: str) -> dict[str, Any]:
        async with connected(address, context, user, user, product_secret) as link:
            return await _answer(link, f"{product}/{device}/{question}")

    with _kept(product, device, store) as kept:
        return await _secret(kept, ask, backoff or Backoff(), timeout)


async def join_over_http(
    product: str,
    device: str,
    product_secret: str,
    *,
    url: str,
    ca: str | Path | None = None,
    store: Store | str | Path | None = None,
    backoff: Backoff | None = None,
    timeout: float = 60.0,  # noqa: ASYNC109 - its own error says what was awaited
) -> str:
    """The same over HTTP: ``url`` is the API's, such as ``https://hub.example.com``; ``ca`` its authorities (PEM).

    Raises `JoinRefused`, `NoAnswer`, `StoreMismatch`, `InvalidName`, and `ValueError` on another kind of URL.
    """
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"{url!r} is neither https nor http")
    context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    user = base64.b64encode(f"{product}/{device}:{product_secret}".encode()).decode()
    address = f"{url.rstrip('/')}/v1/products/{product}/devices/{device}:join"

    async def ask(question: str) -> dict[str, Any]:
        headers = {"Authorization": f"Basic {user}", "Idempotency-Key": question}
        request = urllib.request.Request(address, headers=headers, method="POST")  # noqa: S310 - checked above
        return await asyncio.to_thread(_fetch, request, context)

    with _kept(product, device, store) as kept:
        return await _secret(kept, ask, backoff or Backoff(), timeout)


@contextmanager
def _kept(product: str, device: str, store: Store | str | Path | None) -> Iterator[Store]:
    check_identity(product, device)
    opened = opened_store(product, device, store)
    opened.open(f"{product}/{device}")
    with closing(opened):
        yield opened


async def _secret(store: Store, ask: Ask, backoff: Backoff, timeout: float) -> str:  # noqa: ASYNC109 - as above
    known = store.get(SECRET)
    if known is not None:
        return known
    question = store.get(QUESTION)
    if question is None:
        question = secrets.token_urlsafe(24)  # whoever guesses it could read the answer
        store.put(QUESTION, question)
    try:
        async with asyncio.timeout(timeout):
            document = await _insist(ask, question, backoff)
    except TimeoutError as error:
        raise NoAnswer(f"the hub did not register the device within {timeout:g} s") from error
    code, secret = document.get("code"), document.get("secret")
    if not isinstance(secret, str) or not secret:
        raise JoinRefused(str(code), str(document.get("detail", "")))
    store.put(SECRET, secret)
    return secret


async def _insist(ask: Ask, question: str, backoff: Backoff) -> dict[str, Any]:
    """The first answer that is not "later"."""
    failures = 0
    while True:
        try:
            document = await ask(question)
            if document.get("code") not in PASSING:
                return document
            log.info("asking for credentials again: the hub says %s", document.get("code"))
        except (ConnectionLost, BadPayload) as error:
            log.info("asking for credentials again: %s", error)
        failures += 1
        await asyncio.sleep(backoff.wait(failures, random.SystemRandom().random()))


async def _answer(link: Link, place: str) -> dict[str, Any]:
    """Over MQTT. Raises `ConnectionLost` and `BadPayload`."""
    try:
        async with asyncio.timeout(ONCE):
            await link.subscribe((f"registered/{place}",))
            await link.publish(f"register/{place}", b"{}")
            async for message in link.messages():
                link.acknowledge(message)
                return to_object(bytes(message.payload))  # nothing else is subscribed to
    except TimeoutError as error:
        raise ConnectionLost(f"no answer within {ONCE:g} s") from error
    raise ConnectionLost("the connection ended before the answer")


def _fetch(request: urllib.request.Request, context: ssl.SSLContext) -> dict[str, Any]:
    """Over HTTP: the credentials, or the problem. Raises `ConnectionLost` and `BadPayload`."""
    try:
        with urllib.request.urlopen(request, context=context, timeout=ONCE) as response:  # noqa: S310 - checked above
            return to_object(response.read(LARGEST))
    except urllib.error.HTTPError as error:
        with error:
            if error.code in PASSING_STATUS:
                raise ConnectionLost(f"the hub says {error.code} {error.reason}") from error
            return {"code": f"http_{error.code}", "detail": error.reason, **_problem(error.read(LARGEST))}
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionLost(str(error)) from error


def _problem(body: bytes) -> dict[str, Any]:
    """The hub's problem document; a proxy before it has none."""
    try:
        return to_object(body)
    except BadPayload:
        return {}
