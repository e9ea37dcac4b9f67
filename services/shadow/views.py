"""What the owner of a device's row shows and lists of it. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from libs.shadow.document import empty, public
from libs.topics.identity import split_key
from libs.topics.messages.shadow_views import DeviceShadows, NamedShadows, ShadowVersions, StatusView, StoredShadows

if TYPE_CHECKING:
    from libs.runtime.lane.model import Term
    from libs.shadow.document import Document
    from libs.topics.messages.shadow_changes import ShadowDocument

    from .model import Entry, Head, Reference


def show_document(key: bytes, row: Entry | None, _: Reference) -> ShadowDocument | None:
    """Show the device's own shadow, an empty one where nothing was said of it; None: it is not registered."""
    return None if row is None or not row.registered else public(*split_key(key), None, own(row))


def show_named(key: bytes, row: Entry | None, _: Reference) -> NamedShadows | None:
    """Show all named shadows; None: the device is not registered."""
    if row is None or not row.registered:
        return None
    return NamedShadows({name: public(*split_key(key), name, one) for name, one in row.named.items()})


def show_stored(key: bytes, row: Entry | None, _: Reference) -> StoredShadows | None:
    """Show all shadows that there are, for whoever verifies them: what `show_document` makes up is not among them."""
    if row is None:
        return None
    names = (*row.named,) if row.classic is None else (None, *row.named)
    known = [(name, row.document(name)) for name in names]
    return StoredShadows(tuple(public(*split_key(key), name, one) for name, one in known if one is not None))


def show_status(_key: bytes, row: Entry | None, _: Reference) -> StatusView | None:
    """Show the last status; None: it is not registered, or reported none."""
    return None if row is None or not row.registered else _status(row)


def show_summary(_key: bytes, row: Entry | None, _: Reference) -> DeviceShadows | None:
    """Show what a device's own page says of its shadows; None: it is not registered."""
    if row is None or not row.registered:
        return None
    named = {name: _versions(one) for name, one in row.named.items()}
    return DeviceShadows(_status(row), _versions(own(row)), named)


def own(row: Entry) -> Document:
    """Return the device's own shadow; where there is none, an empty one with the version that the next goes on from."""
    return empty(row.since, row.floor) if row.classic is None else row.classic


def _status(row: Entry) -> StatusView | None:
    known = row.status
    return None if known is None else StatusView(known.status, known.message_id, known.at)


def _versions(document: Document) -> ShadowVersions:
    return ShadowVersions(
        document.version, document.desired_version, document.reported_version, converged=not document.delta
    )


def untemplated_term(product_id: str) -> Term:
    return ("untemplated", product_id)


def tag_term(product_id: str, tag: str) -> Term:
    return ("tag", f"{product_id}/{tag}")


def terms(row: Head) -> tuple[Term, ...]:
    """Name what a patch by tag finds the row by, and a product that becomes known."""
    found = _terms(row.product_id, row.tags) if row.tags else ()
    return (*found, untemplated_term(row.product_id)) if row.untemplated else found


@lru_cache(10_000)  # devices share their tags: half the time, and a tenth of the memory
def _terms(product_id: str, tags: tuple[str, ...]) -> tuple[Term, ...]:
    return tuple([tag_term(product_id, tag) for tag in tags])


def listing(row: Head) -> tuple[Term, ...]:
    """Name the list that the row is in: its product's devices that are registered."""
    return (("product", row.product_id),) if row.registered else ()
