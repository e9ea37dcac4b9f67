"""The rules about products, in their home partition. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from libs.runtime.lane.verdicts import Refused
from libs.topics.messages.registry_events import ProductChanged, ProductClosing, ProductDeleted

from .checks import same
from .documents import product_view
from .verdicts import conflict, product_busy, product_closing, unknown_product

if TYPE_CHECKING:
    from libs.runtime.lane.model import At
    from libs.topics.messages.base import Request
    from libs.topics.messages.registry import DeleteProduct, PutProduct

    from .model import Entry, Product, Reference, Spread

Decided: TypeAlias = "tuple[ProductChanged | ProductClosing, ...] | Refused"

WAITERS: Final = 64
"""Requests that may wait at once until every partition has taken a product."""


def crowded(row: Entry | None, message: Request) -> Refused | None:
    """Refuse one more that would wait."""
    if row is None or row.spread is None or len(row.spread.waiters) < WAITERS:
        return None
    return product_busy(getattr(message, "product_id", ""), len(row.spread.waiters))


def put(row: Entry | None, message: PutProduct, at: At, _: Reference) -> Decided:
    if row is None or row.product is None:
        if message.expected_version:
            return unknown_product(message.product_id)
        return (_changed(message, at, at.offset + 1),)
    product = row.product
    if refused := _unputtable(row, product, message):
        return refused
    if same(product.defaults, message.defaults) and _has_secret(product, message):
        return ()
    return (_changed(message, at, _next_version(row, product)),)


def _unputtable(row: Entry, product: Product, message: PutProduct) -> Refused | None:
    if message.expected_version == 0:
        detail, advice = f"product {message.product_id} exists", "Change it, or choose another id."
        return Refused(409, "product_exists", detail, advice, product_view(message.product_id, product))
    if row.spread is not None and row.spread.state == "closing":
        return product_closing(message.product_id)
    if message.expected_version not in (None, product.version):
        return _conflict(message, product)
    return None


def delete(row: Entry | None, message: DeleteProduct, at: At, _: Reference) -> Decided:
    if row is None or row.product is None:
        return unknown_product(message.product_id)
    product = row.product
    if message.expected_version not in (None, product.version):
        return _conflict(message, product)
    if row.spread is not None and row.spread.state == "closing":
        return ()  # somebody else's deletion is under way, and ends for both alike
    return (ProductClosing(message.product_id, _next_version(row, product), at.timestamp),)


def conclude(product_id: str, product: Product, spread: Spread, at: At) -> ProductDeleted | ProductChanged:
    """Say what comes of a deletion that every partition has counted its devices for."""
    version = spread.version + 1
    if any(spread.devices.values()):
        return ProductChanged(at.id(), product_id, version, product.defaults, spread.by, at.timestamp)
    return ProductDeleted(at.id(), product_id, version, spread.by, at.timestamp)


def _next_version(row: Entry, product: Product) -> int:
    return (product.version if row.spread is None else row.spread.version) + 1


def _changed(message: PutProduct, at: At, version: int) -> ProductChanged:
    return ProductChanged(at.id(), message.product_id, version, message.defaults, message.requested_by, at.timestamp)


def _has_secret(product: Product, message: PutProduct) -> bool:
    wanted = message.credential
    return wanted is None or (wanted.id, wanted.hash) == (product.credential_id, product.secret_hash)


def _conflict(message: PutProduct | DeleteProduct, product: Product) -> Refused:
    view = product_view(message.product_id, product)
    return conflict(f"product {message.product_id}", view, product.version)
