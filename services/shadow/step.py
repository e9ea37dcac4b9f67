"""The lane's step: decide, fold, and say it: events, documents, what the device is told, the answer.

An event's id is the position of its cause in the inbox: one that is repeated after a crash is recognised by it, and
identical, since nothing here depends on anything but the row, the message, the position and the reference data.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, TypeAlias

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
    from collections.abc import Callable, Sequence

    from libs.runtime.lane.model import At, Output

    from .model import Reference

    Outcome: TypeAlias = tuple[Entry | None, Sequence[Output], str]

Life: TypeAlias = DeviceRegistered | DeviceDeleted | TagsChanged | PresenceChanged
OfNoInterest: TypeAlias = DeviceEnabled | DeviceDisabled | SecretRotated | OldSecretExpired | AttributesChanged
Broadcast: TypeAlias = PatchTagged | TimePassed | ProductChanged | ProductDeleted
Message: TypeAlias = ChangeDesired | Said | StatusReported | Life | OfNoInterest | Broadcast


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
    elif kind is ChangeDesired:
        assert isinstance(message, ChangeDesired)
        _belongs(message, at)
        after, outputs, outcome = _asked(row, message, at)
    elif isinstance(message, OfNoInterest):
        return row, ()
    elif isinstance(message, Broadcast):
        raise Misplaced("what concerns every partition is a broadcast")
    else:
        assert not isinstance(message, ChangeDesired)
        _belongs(message, at)
        after, outputs, outcome = _happened(row or _unknown(message, at), message, at, shared)
        if row is None and after is not None and not lives.known(after):
            after = None
    tell(str(kind.__struct_config__.tag), outcome)
    return after, outputs


def _belongs(message: ChangeDesired | Said | StatusReported | Life, at: At) -> None:
    if at.key != f"{message.product_id}/{message.device_id}".encode():
        raise Misplaced(f"a message of {message.product_id}/{message.device_id} under the key {at.key!r}")


def _unknown(message: Said | StatusReported | Life, at: At) -> Entry:
    return Entry(product_id=message.product_id, since=at.timestamp)


def _happened(entry: Entry, message: Said | StatusReported | Life, at: At, shared: Reference) -> Outcome:
    """Fold what a device, the registry or presence says."""
    if isinstance(message, Life):
        return *_lived(entry, message, at, shared), "done"
    if entry.gone_at is not None:
        return entry, (), "late"
    return status.take(entry, message, at) if isinstance(message, StatusReported) else hear(entry, message, at)


def _lived(entry: Entry, message: Life, at: At, shared: Reference) -> tuple[Entry | None, Sequence[Output]]:
    match message:
        case DeviceRegistered():
            return lives.register(entry, message, at, shared)
        case DeviceDeleted():
            return lives.end(entry, message, at)
        case TagsChanged():
            return lives.retag(entry, message), ()
        case PresenceChanged():
            return lives.connect(entry, message, at)


def _asked(row: Entry | None, message: ChangeDesired, at: At) -> Outcome:
    """Carry out an application's request, and answer."""
    address(message)
    decision = decide.asked(row, message, at)
    if type(decision) is Denied:
        return row, (*decision.outputs, *refusal(message, at, decision.why)), decision.why.code
    assert row is not None
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
        return lives.pass_time(row, message.at), (), "done"
    assert isinstance(message, PatchTagged)
    made = decide.tagged(row, message, at)
    if isinstance(made, Denied):
        after, outputs, outcome = copy(row), made.outputs, made.why.code
        after.patched = Patched(message.patch_id, "refused")
        return after, outputs, outcome
    after = settle(row, made.event, made.after)
    after.patched = Patched(message.patch_id, "changed")
    return after, made.outputs + lives.told(after, message.shadow, at, 1), "changed"
