"""What the registry remembers: one table, whose rows are devices, products and API keys, told apart by their keys.

No row holds a secret: credentials come as hashes. A device's or a product's version is never used again under the same
name: the first one of a life is the position of its beginning in the inbox, and each later change takes a record of the
inbox too, so it is greater than any version of an earlier life, of which nothing has to be remembered.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from libs.runtime.lane.memory import Answered
from libs.runtime.lane.model import Shared
from libs.runtime.lane.rows import Row
from libs.topics.messages.base import Millis, ReplyTo
from libs.topics.messages.registry import AclRule, Origin, ProductDefaults, Scope
from libs.topics.messages.registry_events import OldSecret


class Device(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="d"):
    """A device that is registered."""

    product_id: str
    """As in its key: what a row is listed and counted under is told from the row alone."""
    version: int
    enabled: bool
    credential_id: str
    secret_hash: str
    tags: tuple[str, ...]
    """In order of the alphabet."""
    tags_version: int
    attributes: dict[str, Any]
    origin: Origin
    created_at: Millis
    updated_at: Millis
    old_secret: OldSecret | None = None


class Product(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="p"):
    """A product, in its home partition; all others know it as `Known`."""

    version: int
    """Of its document."""
    defaults: ProductDefaults
    credential_id: str | None
    secret_hash: str | None
    created_at: Millis
    updated_at: Millis


class ApiKey(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="k"):
    """An application that is let in."""

    name: str
    scopes: tuple[Scope, ...]
    products: tuple[str, ...] | None
    hash: str
    created_at: Millis
    expires_at: Millis | None


class Waiter(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Somebody who is answered when every partition has taken a version of a product."""

    version: int
    status: int
    reply_to: ReplyTo | None
    key: str = ""
    """Of idempotency, with `fingerprint`; empty: none."""
    fingerprint: str = ""
    devices: int = 0
    """With 409: how many devices forbade the deletion."""


SpreadState: TypeAlias = Literal["open", "closing", "deleted"]


class Spread(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A version of a product on its way into every partition."""

    version: int
    """The newest one that was broadcast."""
    state: SpreadState
    by: str
    """Who asked for it."""
    taken: dict[int, int] = {}
    """The newest version that each partition has taken, as far as they told."""
    devices: dict[int, int] = {}
    """While closing: how many of the product's devices each partition has."""
    waiters: tuple[Waiter, ...] = ()
    """At most `decide.WAITERS`, in order of their requests."""


class Entry(Row, kw_only=True):
    """The row of a device, a product or an API key."""

    subject: Device | Product | ApiKey | None = None
    """None: it was deleted, and the row stays for what else it says."""
    answered: tuple[Answered, ...] = ()
    """At most `libs.runtime.lane.memory.ANSWERS`, the newest last."""
    spread: Spread | None = None
    """Of a product; None: every partition has taken the newest version."""

    @property
    def device(self) -> Device | None:
        return self.subject if isinstance(self.subject, Device) else None

    @property
    def product(self) -> Product | None:
        return self.subject if isinstance(self.subject, Product) else None

    @property
    def api_key(self) -> ApiKey | None:
        return self.subject if isinstance(self.subject, ApiKey) else None

    @property
    def empty(self) -> bool:
        """Whether nothing would be lost with the row."""
        return self.subject is None and not self.answered and self.spread is None


class Known(msgspec.Struct, frozen=True, array_like=True):
    """What every partition knows of a product, by its id: a cell of the reference data."""

    version: int
    """The newest one that the partition has taken. It outlives the product: what comes late is not taken for news."""
    state: SpreadState
    dynamic_registration: bool = False
    device_to_device: bool = False
    acl: tuple[AclRule, ...] = ()


Reference: TypeAlias = Shared[Millis, Known]
"""What steps see as ``shared``: the newest tick, and the products."""
