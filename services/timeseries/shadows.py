"""From ``shadow.events`` to columns. Pure.

Each record is one row of ``shadow_events``, ``status_events`` or ``shadow_patches``. A change of a shadow has besides a
row for each field that converged, one among the members of the patch by tag that it is due to, and, where it is the
last of its shadow in the block, the row that says how far the shadow is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from libs.shadow import trees
from libs.topics.codec import Decoder, InvalidMessage, encode
from libs.topics.messages.shadow_changes import ShadowChanged, ShadowChangeRefused, StatusChanged, TaggedPatchApplied

from .records import PARTITIONS, TIMES, Row, Rows, bad_time, check, transposed
from .tables import (
    SHADOW_CONVERGENCE,
    SHADOW_CURRENT,
    SHADOW_EVENTS,
    SHADOW_PATCH_MEMBERS,
    SHADOW_PATCHES,
    STATUS_EVENTS,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .table import Columns, Table

Event: TypeAlias = ShadowChanged | ShadowChangeRefused | StatusChanged | TaggedPatchApplied

_CHECKS: Final[dict[type[Event], tuple[tuple[str, ...], tuple[str, ...]]]] = {
    ShadowChanged: (
        ("at", "created_at", "pending_since"),
        ("version_before", "version", "desired_version", "reported_version"),
    ),
    ShadowChangeRefused: (("at",), ("version",)),
    StatusChanged: (("at",), ()),
    TaggedPatchApplied: (("at",), ("matched", "changed", "refused")),
}
"""Of each kind the fields with times and with numbers that a column must be able to hold."""


class ShadowRows(Rows[Event]):
    """What happened to shadows and to devices' status reports."""

    _decode = Decoder[Event](Event)

    def __init__(self, topic: str, partition: int) -> None:
        super().__init__(topic, partition)
        self._texts: list[bytes] = []
        self._newest: dict[tuple[str, str, str | None], ShadowChanged] = {}
        """By product, device and name of the shadow."""
        self._besides = 0
        """Rows for fields that converged, and for members of patches."""

    @property
    def size(self) -> int:
        return len(self.events) + len(self._newest) + self._besides

    def _read(self, value: bytes | None) -> Event:
        event = self._decode(value)
        _check(event)
        if type(event) is ShadowChanged:
            self._newest[event.product_id, event.device_id, event.shadow] = event
            self._besides += len(event.converged) + (event.patch_id is not None)
        elif type(event) is ShadowChangeRefused:
            self._besides += event.patch_id is not None
        self._texts.append(value or b"")
        return event

    def tables(self) -> Iterator[tuple[Table, Columns]]:
        log, converged, members, status, patches = (list[Row]() for _ in range(5))
        for offset, event, text in zip(self.offsets, self.events, self._texts, strict=True):
            place = (self.topic, self.partition, offset, event.id)
            if type(event) is ShadowChanged:
                log.append((*place, *_changed(event), text))
                if event.converged:
                    converged += [(*place, *row) for row in _converged(event)]
                if event.patch_id is not None:
                    members.append((*place, *_member(event, "", _pending(event), event.created_at)))
            elif type(event) is ShadowChangeRefused:
                log.append((*place, *_refused(event), text))
                if event.patch_id is not None:
                    members.append((*place, *_member(event, event.code, [], None)))
            elif type(event) is StatusChanged:
                status.append((*place, *_status(event)))
            elif type(event) is TaggedPatchApplied:
                patches.append((*place, *_applied(event)))
        yield SHADOW_EVENTS, transposed(SHADOW_EVENTS, log)
        yield SHADOW_CURRENT, transposed(SHADOW_CURRENT, [_current(event) for event in self._newest.values()])
        yield SHADOW_CONVERGENCE, transposed(SHADOW_CONVERGENCE, converged)
        yield SHADOW_PATCH_MEMBERS, transposed(SHADOW_PATCH_MEMBERS, members)
        yield SHADOW_PATCHES, transposed(SHADOW_PATCHES, patches)
        yield STATUS_EVENTS, transposed(STATUS_EVENTS, status)


def _check(event: Event) -> None:
    """Raise `InvalidMessage` for what no column can hold."""
    check(event, *_CHECKS[type(event)])
    if type(event) is ShadowChanged:
        for field_converged in event.converged:
            if field_converged.since not in TIMES:
                raise bad_time("since", field_converged.since)
    elif type(event) is TaggedPatchApplied and event.partition not in PARTITIONS:
        raise InvalidMessage(f"partition {event.partition} is not one of Kafka's")


def _changed(event: ShadowChanged) -> Row:
    return (
        "shadow_changed",
        event.product_id,
        event.device_id,
        event.shadow or "",
        event.cause,
        event.via,
        event.by,
        "",
        event.version_before,
        event.version,
        event.desired_version,
        event.reported_version,
        event.created_at,
        event.at,
        event.checkpoint is not None,
        not event.delta,
        event.pending_since,
        event.patch_id or "",
    )


def _refused(event: ShadowChangeRefused) -> Row:
    return (
        "shadow_change_refused",
        event.product_id,
        event.device_id,
        event.shadow or "",
        "",
        event.via,
        event.by,
        event.code,
        event.version,
        event.version,
        0,
        0,
        None,
        event.at,
        False,
        False,
        None,
        event.patch_id or "",
    )


def _current(event: ShadowChanged) -> Row:
    return (
        event.product_id,
        event.device_id,
        event.shadow or "",
        event.version,
        event.desired_version,
        event.reported_version,
        event.created_at,
        event.at,
        event.cause == "deleted",
        not event.delta,
        event.pending_since,
        encode(event.delta) if event.delta else b"",
    )


def _converged(event: ShadowChanged) -> list[Row]:
    owner, at = (event.product_id, event.device_id, event.shadow or ""), event.at
    return [
        (*owner, field.path, field.since, at, max(0, at - field.since), field.drifted, event.version)
        for field in event.converged
    ]


def _member(event: ShadowChanged | ShadowChangeRefused, code: str, pending: list[str], created_at: int | None) -> Row:
    owner = (event.product_id, event.patch_id, event.device_id, event.shadow or "")
    return (*owner, code, pending, event.version, created_at, event.at)


def _pending(event: ShadowChanged) -> list[str]:
    """Return the fields that the event desired, and that were not reported so."""
    if not event.desired or not event.delta:
        return []
    desired = {path for path, _ in trees.fields(trees.merge({}, {}, event.desired, event.at)[0])}
    return [path for path, _ in trees.fields(event.delta) if path in desired]


def _applied(event: TaggedPatchApplied) -> Row:
    place = (event.product_id, event.patch_id, event.partition, event.tag, event.shadow or "")
    return (*place, event.matched, event.changed, event.refused, event.by, event.at)


def _status(event: StatusChanged) -> Row:
    return (event.product_id, event.device_id, event.message_id, encode(event.status), event.at)
