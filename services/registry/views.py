"""What the owner of a row shows, lists and counts of it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .documents import credentials_view, device_view

if TYPE_CHECKING:
    from libs.runtime.lane.model import Term
    from libs.topics.messages.registry_views import CredentialsView, DeviceView

    from .model import Entry, Reference


def show_device(key: bytes, row: Entry | None, _: Reference) -> DeviceView | None:
    """Show a device's document without the hashes; None: it is not registered."""
    device = None if row is None else row.device
    return None if device is None else device_view(key.decode().rpartition("/")[2], device)


def show_credentials(_key: bytes, row: Entry | None, shared: Reference) -> CredentialsView | None:
    """Show what says whether a device may come in, and what it may. For the hub's own services: it holds hashes."""
    device = None if row is None else row.device
    product = None if device is None else shared.cells.get(device.product_id)
    return None if device is None or product is None else credentials_view(device, product)


def product_term(product_id: str) -> Term:
    return ("product", product_id)


def terms(row: Entry) -> tuple[Term, ...]:
    """Name what a sweep finds the row by: its product, which counts its devices before it goes."""
    device = row.device
    return () if device is None else (product_term(device.product_id),)


def listing(row: Entry) -> tuple[Term, ...]:
    """Name the lists that the row is in: its product's devices, and those of each of its tags."""
    device = row.device
    if device is None:
        return ()
    product_id = device.product_id
    return (product_term(product_id), *[("tag", f"{product_id}/{tag}") for tag in device.tags])


def tally(_key: bytes, row: Entry) -> str | None:
    """Count devices by product."""
    device = row.device
    return None if device is None else device.product_id
