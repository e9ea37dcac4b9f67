"""One shadow, folded again from its log, and where that log first disagrees with itself. Pure.

Each event says more than its patches: the versions before and after, the delta that it leaves, and every so often all
that the document was. Folding the log again must come to the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from libs.shadow import trees
from libs.shadow.document import Document, Unfounded, checkpoint, digest, fold, pending_since, public
from libs.topics.names import SHADOW_EVENTS

if TYPE_CHECKING:
    from libs.topics.messages.shadow_changes import ShadowChanged, ShadowCheckpoint

_pack = msgspec.json.Encoder().encode
_unpack: Final = msgspec.json.Decoder(Document).decode
_canonical: Final = msgspec.json.Encoder(order="sorted").encode


class Difference(msgspec.Struct, frozen=True):
    """Where a shadow first differs from what its log makes of it."""

    device: str
    """``product/device``"""
    shadow: str | None
    where: str
    """Who disagrees: ``shadow.events`` with itself, ``shadow.documents``, or ``table``."""
    kind: str
    """Stable, in snake_case."""
    version: int
    """The first that is known to differ."""
    sound_version: int
    """The last of which a checkpoint in the log says the same: the fault lies behind it, up to ``version``."""
    detail: str


class Track:
    """Holds its document packed: some 300 bytes more than its JSON."""

    __slots__ = ("_packed", "created_at", "fault", "founded", "key", "sound", "version")

    def __init__(self, key: str, *, complete: bool) -> None:
        """``key``: as in ``shadow.documents``, ``product/device`` or ``product/device/name``.

        ``complete``: the log is read from its very first record on, so that what it does not tell is not there.
        """
        self.key = key
        self._packed: bytes | None = None
        self.version = self.sound = self.created_at = 0
        self.founded = complete
        """Whether it is known what the shadow is, be it deleted."""
        self.fault: Difference | None = None
        """The first one in the log."""

    @property
    def exists(self) -> bool:
        return self._packed is not None

    def digest(self) -> str:
        """Of the document, which must exist."""
        known = self._document()
        assert known is not None
        product_id, device_id, shadow = split(self.key)
        return digest(public(product_id, device_id, shadow, known))

    def take(self, event: ShadowChanged) -> None:
        """Fold an event that was not met before."""
        if self.founded and event.created_at == self.created_at and event.version <= self.version:
            self.blame("version_taken", event.version, f"{event.id} makes version {event.version} a second time")
            return
        before = self._before(event)
        try:
            after = fold(before, event)
        except Unfounded:
            self._packed, self.founded, self.version = None, False, event.version
            return
        if event.version != event.version_before + 1:
            detail = f"{event.id} makes version {event.version} of {event.version_before}"
            self.blame("miscounted", event.version, detail)
        if after is not None:
            self._compare(after, event)
        self._packed = None if after is None else _pack(after)
        self.version, self.created_at, self.founded = event.version, event.created_at, True

    def _before(self, event: ShadowChanged) -> Document | None:
        """Return the document that the event builds on; None: it must bring its own."""
        known = self._document()
        if known is not None and (known.version, known.created_at) == (event.version_before, event.created_at):
            if event.checkpoint is not None:
                self._check(known, event)
            return known
        if known is not None:
            self.blame("missing_events", self.version + 1, f"{event.id} builds on version {event.version_before}")
        elif self.founded and (event.checkpoint is None or _says_something(event.checkpoint)):
            self.blame("missing_events", event.version_before, f"{event.id} builds on it, and nothing makes it")
        if event.checkpoint is not None:
            self.sound = event.version_before
        return None

    def _check(self, known: Document, event: ShadowChanged) -> None:
        if _canonical(event.checkpoint) == _canonical(checkpoint(known)):
            self.sound = known.version
        else:
            self.blame("checkpoint", known.version, f"the checkpoint in {event.id} is another document")

    def _compare(self, after: Document, event: ShadowChanged) -> None:
        sections = (after.desired_version, after.reported_version)
        if (event.desired_version, event.reported_version) != sections:
            detail = f"{event.id} tells of other versions of desired and reported than {sections}"
            self.blame("section_versions", event.version, detail)
        if not trees.same(after.delta, event.delta or {}):
            self.blame("delta", event.version, f"the delta in {event.id} is not what the log leaves")
        if event.pending_since != pending_since(after):
            told, made = event.pending_since, pending_since(after)
            self.blame("pending_since", event.version, f"{event.id} says that they differ since {told}, not {made}")

    def blame(self, kind: str, version: int, detail: str) -> None:
        """Note a fault of the log; the first one counts."""
        if self.fault is None:
            self.fault = self.difference(SHADOW_EVENTS, kind, version, detail)

    def difference(self, where: str, kind: str, version: int, detail: str) -> Difference:
        product_id, device_id, shadow = split(self.key)
        return Difference(f"{product_id}/{device_id}", shadow, where, kind, version, self.sound, detail)

    def _document(self) -> Document | None:
        return None if self._packed is None else _unpack(self._packed)


def _says_something(checkpoint: ShadowCheckpoint) -> bool:
    """Tell whether it is of a document; that in the first event of one is of the empty one before it."""
    return checkpoint.desired_version > 0 or checkpoint.reported_version > 0


def split(key: str) -> tuple[str, str, str | None]:
    """(product id, device id, name) of a document's key; the name is None for a device's own shadow."""
    product_id, device_id, *name = key.split("/", 2)
    return product_id, device_id, name[0] if name else None


def key_of(product_id: str, device_id: str, shadow: str | None) -> str:
    return f"{product_id}/{device_id}" if shadow is None else f"{product_id}/{device_id}/{shadow}"
