"""Products between HTTP and the registry: how they are shown, merged and asked for."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET

from libs.runtime.requests.client import Refused
from libs.topics import access
from libs.topics.messages.registry import ProductDefaults, PutProduct
from libs.topics.messages.registry_views import ProductView
from libs.topics.names import REGISTRY_INBOX

from .documents import Product, ProductWithSecret
from .problems import FieldError, Problem, unknown_product

if TYPE_CHECKING:
    from collections.abc import Callable

    from libs.topics.messages.registry import Credential
    from libs.topics.messages.registry_events import ProductDocument

    from .asking import Asker
    from .documents import ProductBody, ProductPatch
    from .hub import Hub

SHOWN_S: Final = 2.0
"""Seconds that a change is waited for in this replica's own view: it is made already, and told in any case."""
ATTEMPTS: Final = 3
"""A change without an expected version is decided anew so often, where somebody else made another one meanwhile."""
SECOND: Final = 1000


def show(document: ProductDocument | ProductView) -> Product:
    defaults = document.defaults
    return Product(
        product_id=document.product_id,
        version=document.version,
        shadow_template=defaults.shadow_template,
        command_ttl_s=None if defaults.command_ttl is None else defaults.command_ttl // SECOND,
        probe_interval_s=None if defaults.probe_interval is None else defaults.probe_interval // SECOND,
        acl=defaults.acl,
        device_to_device=defaults.device_to_device,
        dynamic_registration=defaults.dynamic_registration,
        has_secret=document.credential_id is not None,
        created_at=document.created_at,
        updated_at=document.updated_at,
    )


def with_secret(document: ProductView, credential: Credential | None, secret: str | None) -> ProductWithSecret:
    """Show the secret, unless it is not the product's any more: a repeated request is answered by the present state."""
    shown = secret if credential is not None and credential.id == document.credential_id else None
    return ProductWithSecret(**msgspec.structs.asdict(show(document)), secret=shown)


def defaults_of(body: ProductBody) -> ProductDefaults:
    """Translate what a caller sent. Raises `Problem` for an access rule that may not be."""
    return ProductDefaults(
        shadow_template=body.shadow_template,
        command_ttl=None if body.command_ttl_s is None else body.command_ttl_s * SECOND,
        probe_interval=None if body.probe_interval_s is None else body.probe_interval_s * SECOND,
        acl=_checked(body.acl),
        device_to_device=body.device_to_device,
        dynamic_registration=body.dynamic_registration,
    )


def merged(defaults: ProductDefaults, patch: ProductPatch) -> ProductDefaults:
    """Apply a merge patch. Raises `Problem` as `defaults_of`.

    The shadow template is a value like the others and replaced whole: what would a patch of a template of patches be?
    """
    nothing = ProductDefaults()
    changes: dict[str, Any] = {}
    for name in ("shadow_template", "acl", "device_to_device", "dynamic_registration"):
        given = getattr(patch, name)
        if given is not UNSET:
            changes[name] = getattr(nothing, name) if given is None else given
    if patch.command_ttl_s is not UNSET:
        changes["command_ttl"] = None if patch.command_ttl_s is None else patch.command_ttl_s * SECOND
    if patch.probe_interval_s is not UNSET:
        changes["probe_interval"] = None if patch.probe_interval_s is None else patch.probe_interval_s * SECOND
    _checked(changes.get("acl", ()))
    return msgspec.structs.replace(defaults, **changes)


def find(hub: Hub, product_id: str) -> ProductDocument:
    """Return a product as this replica knows it. Raises `Problem` ``unknown_product``."""
    document = hub.products.documents.get(product_id.encode())
    if document is None:
        raise unknown_product(product_id)
    return document


async def put(
    asker: Asker, product_id: str, defaults: ProductDefaults, credential: Credential | None, version: int | None
) -> ProductView:
    """Let the registry decide, and wait until this replica shows what it decided. Raises as `Asker.ask`."""
    request = PutProduct(product_id, defaults, credential, version, **asker.stamp())
    answer = await asker.ask(REGISTRY_INBOX, product_id.encode(), request)
    decided = msgspec.json.decode(answer.body, type=ProductView)
    await newer(asker.hub, product_id, decided.version - 1)
    return decided


async def change(
    asker: Asker,
    product_id: str,
    changed: Callable[[ProductDefaults], ProductDefaults],
    credential: Credential | None,
    expected: int | None,
) -> ProductView:
    """Change what the product says now, decided anew where somebody else changed it meanwhile. Raises as `put`.

    A product is put whole. So the version that the registry compares is always the one from which the change was made,
    and with ``expected``, which another replica may have told, that one is waited for: else what a replica that lags
    behind does not know yet would be undone.
    """
    for attempt in range(ATTEMPTS):
        current = find(asker.hub, product_id)
        if expected is not None and expected > current.version:
            await newer(asker.hub, product_id, expected - 1)
            current = find(asker.hub, product_id)
            if expected > current.version:
                said = f"product {product_id} has version {current.version} here"
                raise Problem("version_conflict", said, current=msgspec.Raw(msgspec.json.encode(show(current))))
        version = current.version if expected is None else expected
        try:
            return await put(asker, product_id, changed(current.defaults), credential, version)
        except Refused as refused:
            if expected is not None or refused.answer.code != "version_conflict" or attempt + 1 == ATTEMPTS:
                raise
            await newer(asker.hub, product_id, current.version)
    raise AssertionError("the last attempt returns or raises")


async def newer(hub: Hub, product_id: str, version: int) -> None:
    """Wait until this replica knows a later version than that, `SHOWN_S` at most."""

    def shown() -> bool:
        document = hub.products.documents.get(product_id.encode())
        return document is not None and document.version > version

    with contextlib.suppress(TimeoutError):
        await hub.products.until(shown, SHOWN_S)


def _checked(acl: tuple[Any, ...]) -> tuple[Any, ...]:
    faults = ((number, access.fault(rule)) for number, rule in enumerate(acl))
    errors = tuple(FieldError(f"acl[{number}].topic", "body", fault) for number, fault in faults if fault is not None)
    if errors:
        raise Problem("invalid_request", "an access rule may not be", errors=errors)
    return acl
