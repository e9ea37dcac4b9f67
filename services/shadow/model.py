"""What the shadow service remembers: one row per device, with all its shadows; and of each product its template.

A device that is not registered may have a row too, where brokers let anybody in; applications know nothing of it.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from libs.runtime.lane.memory import Answered
from libs.runtime.lane.model import Shared
from libs.runtime.lane.rows import Row
from libs.shadow.document import Document
from libs.shadow.trees import Tree
from libs.topics.messages.base import Millis
from libs.topics.messages.presence import SessionState

Form: TypeAlias = Literal["device_first", "verb_first"]
"""Of Aliyun's topics: ``/shadow/{p}/{d}/...`` or ``/shadow/.../{p}/{d}``."""


class Speech(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How a device speaks, as far as its last message about a shadow tells."""

    dialect: Literal["aliyun", "iothub", "native"]
    form: Form | None = None
    """Of ``aliyun``."""


class Status(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a device reported as its status last."""

    status: Tree
    message_id: str
    at: Millis


class Heard(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The last message by which a device changed a shadow: delivered again, it is answered, and changes nothing."""

    message_id: str
    payload: bytes
    """Its digest."""
    shadow: str | None
    version: int
    """That it made of the document."""


class Patched(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What came of the last patch by tag that visited the device."""

    patch_id: str
    outcome: Literal["changed", "refused"]


class Head(Row, kw_only=True):
    """What a row is found and listed by: after a restart no more than this is decoded of rows that nobody asks for."""

    product_id: str = ""
    """As in its key: what a row is found and listed under is told from the row alone."""
    registered: bool = False
    gone_at: Millis | None = None
    """When it was deleted: the row is a remnant, and drops what comes late."""
    tags: tuple[str, ...] = ()
    untemplated: bool = False
    """It was registered before this partition knew its product, whose template is still to come."""


class Entry(Head, kw_only=True):
    """The row of one device."""

    since: Millis = 0
    """When its life began: it was registered, or heard of first."""
    registry_version: int = 0
    """Of the registry's newest event about it: an older one is met again."""
    session: SessionState | None = None
    """None: presence has not told."""
    presence_id: str = ""
    """Of presence's newest event about it."""
    speech: Speech | None = None
    """None: it has not spoken of a shadow yet."""
    classic: Document | None = None
    """The device's own shadow; None: nothing was said of it yet, or it was deleted."""
    named: dict[str, Document] = msgspec.field(default_factory=dict)
    """At most `limits.NAMED`."""
    floor: int = 0
    """The greatest version of a shadow of this device that was deleted: the next one goes on from there."""
    status: Status | None = None
    heard: Heard | None = None
    answered: tuple[Answered, ...] = ()
    """At most `libs.runtime.lane.memory.ANSWERS`, the newest last."""
    patched: Patched | None = None

    def document(self, shadow: str | None) -> Document | None:
        """Return a shadow by its name, the device's own for None; None: there is none."""
        return self.classic if shadow is None else self.named.get(shadow)


class Product(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What every partition knows of a product, by its id: a cell of the reference data."""

    version: int
    template: Tree | None
    """``desired`` and ``reported`` of its devices' shadows to begin with."""


Reference: TypeAlias = Shared[Millis, Product]
"""What steps see as ``shared``: the newest tick, and the products."""
