"""The lane's step: decide, fold, and say it: events, documents, what the device is told, the answer.

An event's id is the position of its cause in the inbox: one that is repeated after a crash is recognised by it, and
identical, since nothing here depends on anything but the row, the message, the position and the reference data.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Final, TypeAlias, get_args

import msgspec

from libs.runtime.lane.answers import address, answer
from libs.runtime.lane.memory import Answered, remember
from libs.runtime.lane.verdicts import Again, Misplaced, refusal
from libs.shadow.document import public
from libs.topics.messages.hub import TimePassed
from libs.topics.messages.presence import PresenceChanged
from libs.topics.messages.registry_events import (
    AttributesChanged,
    DeviceDeleted,
    DeviceDisabled,
    DeviceEnabled,
    DeviceRegistered,
    OldSecretExpired,
    ProductChanged,
    ProductDeleted,
    SecretRotated,
    TagsChanged,
)
from libs.topics.messages.shadow import StatusReported
from libs.topics.messages.shadow_changes import ChangeDesired, PatchTagged

from . import decide, lives, status
from .changes import Changed, current
from .decide import DONE, GONE, Denied
from .fold import settle
from .model import Entry, Patched
from .speech import Said, hear

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from libs.runtime.lane.model import At, Output

    from .model import Reference

    Outcome: TypeAlias = tuple[Entry | None, Sequence[Output], str]

Life: TypeAlias = DeviceRegistered | DeviceDeleted | TagsChanged | PresenceChanged
OfNoInterest: TypeAlias = DeviceEnabled | DeviceDisabled | SecretRotated | OldSecretExpired | AttributesChanged
OF_NO_INTEREST: Final = frozenset(get_args(OfNoInterest))
Broadcast: TypeAlias = PatchTagged | TimePassed | ProductChanged | ProductDeleted
Message: TypeAlias = ChangeDesired | Said | StatusReported | Life | OfNoInterest | Broadcast

LATE: Final = "late"
FOLDED: Final = "folded"


def ignore(_kind: str, _outcome: str) -> None:
    """Whom `step` tells by default: nobody."""


def step(
    row: Entry | None,
    message: Message,
    at: At,
    shared: Reference,
    tell: Callable[[str, str], None] = ignore,
) -> tuple[Entry | None, Sequence[Output]]:
    """Fold one message. ``tell`` hears of every message and what came of it, for counters; it has no say.

    Raises `InvalidMessage`: dead letters.
    """
    kind = type(message)
    if at.swept:
        after, outputs, outcome = _swept(row, message, at)
    elif kind in RULES:
        if at.key != f"{message.product_id}/{message.device_id}".encode():  # type: ignore[union-attr] # of one device
            raise Misplaced(f"{kind.__name__} of another device under the key {at.key!r}")
        after, outputs, outcome = RULES[kind](row, message, at, shared)
    elif kind in OF_NO_INTEREST:
        return row, ()
    else:
        raise Misplaced("what concerns every partition is a broadcast")
    tell(TAGS[kind], outcome)
    return after, outputs


def _spoken(row: Entry | None, message: Said, at: At, _: Reference) -> Outcome:
    entry = row or _stranger(message, at)
    return (entry, (), LATE) if entry.gone_at is not None else hear(entry, message, at)


def _status(row: Entry | None, message: StatusReported, at: At, _: Reference) -> Outcome:
    entry = row or _stranger(message, at)
    return (entry, (), LATE) if entry.gone_at is not None else status.take(entry, message, at)


def _registered(row: Entry | None, message: DeviceRegistered, at: At, shared: Reference) -> Outcome:
    return *lives.register(row or _stranger(message, at), message, at, shared), FOLDED


def _deleted(row: Entry | None, message: DeviceDeleted, at: At, _: Reference) -> Outcome:
    return *lives.end(row or _stranger(message, at), message, at), FOLDED


def _tagged(row: Entry | None, message: TagsChanged, at: At, _: Reference) -> Outcome:
    return lives.retag(row or _stranger(message, at), message), (), FOLDED


def _connected(row: Entry | None, message: PresenceChanged, at: At, _: Reference) -> Outcome:
    return *lives.connect(row or _stranger(message, at), message, at), FOLDED


def _stranger(message: Said | StatusReported | Life, at: At) -> Entry:
    """Return the row of a device that is heard of first."""
    return Entry(product_id=message.product_id, since=at.timestamp)


def _asked(row: Entry | None, message: ChangeDesired, at: At, _: Reference) -> Outcome:
    """Carry out an application's request, and answer."""
    address(message)
    decision = decide.asked(row, message, at)
    if type(decision) is Denied:
        return row, (*decision.outputs, *refusal(message, at, decision.why)), decision.why.code
    assert row is not None  # it is registered
    after, outcome = row, "unchanged"
    outputs: tuple[Output, ...] = ()
    status = GONE if message.operation == "delete" else DONE
    shown: Any = None
    if type(decision) is Changed:
        after, outcome = settle(row, decision.event, decision.after), "changed"
        outputs = decision.outputs + lives.told(after, message.shadow, at, 1)
        shown = msgspec.Raw(decision.document) if decision.after is not None else None
    elif type(decision) is Again:
        outcome, status = "again", decision.answered.status
    if message.reply_to is None and message.idempotency is None:
        return after, outputs, outcome
    document = current(after, message.shadow, after.since) if status == DONE else None
    version = None if document is None else document.version
    if outcome != "again" and (known := message.idempotency) is not None:
        after = copy(after)
        answered = Answered(known.key, known.fingerprint, status, version or 0, at.timestamp)
        after.answered = remember(row.answered, answered)
    if message.reply_to is None:
        return after, outputs, outcome
    if document is not None and shown is None:
        shown = public(message.product_id, message.device_id, message.shadow, document)
    return after, (*outputs, *answer(message, at, status, shown, version)), outcome


def _swept(row: Entry | None, message: Message, at: At) -> Outcome:
    """Let time pass, or change what is desired of a tag's device."""
    if row is None:
        return None, (), "gone"
    if isinstance(message, TimePassed):
        return lives.pass_time(row, message.at), (), FOLDED
    if isinstance(message, ProductChanged):
        return *lives.begin(row, message.defaults.shadow_template, at), FOLDED
    assert isinstance(message, PatchTagged)
    if row.patched is not None and row.patched.patch_id == message.patch_id:
        return copy(row), (), "again"  # it was asked for again: the visit is recorded, and counts as the first one did
    made = decide.tagged(row, message, at)
    if type(made) is Denied:
        after, outputs, outcome = copy(row), made.outputs, made.why.code
        after.patched = Patched(message.patch_id, "refused")
        return after, outputs, outcome
    after = settle(row, made.event, made.after)
    after.patched = Patched(message.patch_id, "changed")
    return after, made.outputs + lives.told(after, message.shadow, at, 1), "changed"


RULES: Final[Mapping[type[Any], Callable[[Entry | None, Any, At, Reference], Outcome]]] = {
    ChangeDesired: _asked,
    StatusReported: _status,
    PresenceChanged: _connected,
    DeviceRegistered: _registered,
    DeviceDeleted: _deleted,
    TagsChanged: _tagged,
    **dict.fromkeys(get_args(Said), _spoken),
}
"""A table, since an `isinstance` of a struct costs as much as decoding one."""
TAGS: Final[Mapping[type[Any], str]] = {kind: str(kind.__struct_config__.tag) for kind in get_args(Message)}
