"""What a request or a device's message means now: a change, nothing, or why not. Pure; docs/shadow.md has the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, final

import msgspec

from libs.runtime.lane import memory
from libs.runtime.lane.model import Output
from libs.runtime.lane.verdicts import Again, Refused, key_reused, malformed, unknown_device
from libs.shadow import trees
from libs.shadow.document import public
from libs.topics import catalog, names
from libs.topics.messages.shadow_changes import ShadowChangeRefused

from . import limits
from .changes import Changed, Wish, current, delete, make
from .intents import Acknowledge, Exact, Newer, Report, ReportedExact

if TYPE_CHECKING:
    from libs.runtime.lane.model import At
    from libs.shadow.document import Document
    from libs.topics.messages.shadow_changes import ChangeDesired, PatchTagged

    from .model import Entry

DONE: Final = 200
GONE: Final = 204
"""The shadow was deleted, and the answer shows nothing."""

RECORDED: Final = frozenset(
    {
        "version_conflict",
        "document_too_deep",
        "document_too_large",
        "shadows_too_large",
        "too_many_shadows",
        "unreadable_message",
    }
)
"""Codes of refusals that become events: the others ask for what cannot be, and say nothing of a shadow."""

DEVICE: Final = "device"
"""Who changes what a device says."""


@final
class Denied(msgspec.Struct, frozen=True, gc=False):
    """Nothing changes."""

    why: Refused
    outputs: tuple[Output, ...] = ()
    """The event, where the refusal matters to others."""


Decision: TypeAlias = Changed | Denied | Again | None
"""None: it is so already."""


def asked(entry: Entry | None, message: ChangeDesired, at: At) -> Decision:
    """Say what comes of an application's request."""
    if why := _fault(message):
        return Denied(why)
    if entry is None or not entry.registered:
        return Denied(unknown_device(message.product_id, message.device_id))
    return _again(entry, message, at) or _rule(entry, message, at)


def _again(entry: Entry, message: ChangeDesired, at: At) -> Again | Denied | None:
    if message.idempotency is None:
        return None
    known = memory.recalled(entry.answered, message.idempotency, at.timestamp)
    if known is None:
        return None
    if known.fingerprint != message.idempotency.fingerprint:
        return Denied(key_reused(known.key))
    if known.status != GONE and message.shadow is not None and message.shadow not in entry.named:
        return Denied(unknown_shadow(message.shadow))  # deleted since: it does not come back by repeating
    return Again(known)


def _rule(entry: Entry, message: ChangeDesired, at: At) -> Changed | Denied | None:
    wish, expected = _wish(message), message.expected_version
    if expected is not None and (refused := _unmet(entry, wish, Exact(expected), at)):
        return refused
    empty = message.operation == "merge" and not message.desired
    if entry.document(message.shadow) is None and (empty or message.operation in {"delete", "clear"}):
        return None if message.shadow is None else Denied(unknown_shadow(message.shadow))
    if message.operation == "delete":
        return delete(entry, message.shadow, at, "api", message.requested_by)
    return None if empty else apply(entry, wish, at, expected)


def _wish(message: ChangeDesired) -> Wish:
    by, shadow = message.requested_by, message.shadow
    if message.operation == "merge":
        return Wish(shadow, "desired_changed", "api", by, message.desired)
    if message.operation == "replace":
        return Wish(shadow, "desired_changed", "api", by, message.desired, None, ("desired",))
    return Wish(shadow, "desired_cleared", "api", by, None, None, ("desired",))


def tagged(entry: Entry, message: PatchTagged, at: At) -> Changed | Denied:
    """Say what comes of a patch by tag for one of its devices."""
    wish = Wish(
        message.shadow,
        "desired_changed",
        "tag",
        message.requested_by,
        message.desired,
        patch_id=message.patch_id,
    )
    return apply(entry, wish, at)


def meant(entry: Entry, intent: Report | Acknowledge, at: At) -> Changed | Denied:
    """Say what comes of a change that a device wants."""
    if type(intent) is Report:
        shadow, condition, reported = intent.shadow, intent.condition, intent.reported
        if intent.cause == "keys_deleted" and reported is not None:
            reported = trees.present(reported, current(entry, shadow, at.timestamp).reported)
        wish = Wish(shadow, intent.cause, intent.via, DEVICE, None, reported, intent.cleared)
    else:
        condition, wanted = Exact(intent.version), current(entry, None, at.timestamp).desired
        wish = Wish(None, "acknowledged", "iothub", DEVICE, None, wanted, ("desired",))
    if condition is None:
        return apply(entry, wish, at)
    return _unmet(entry, wish, condition, at) or apply(entry, wish, at, condition.version)


def judged(entry: Entry, wish: Wish, why: Refused, at: At, given_version: int | None = None) -> Denied:
    """Refuse a change, and tell others where that matters."""
    if why.code not in RECORDED:
        return Denied(why)
    product_id, _, device_id = at.key.decode().partition("/")
    event = ShadowChangeRefused(
        id=at.id(),
        product_id=product_id,
        device_id=device_id,
        shadow=wish.shadow,
        via=wish.via,
        by=wish.by,
        code=why.code,
        detail=why.detail,
        given_version=given_version,
        version=current(entry, wish.shadow, at.timestamp).version,
        patch_id=wish.patch_id,
        at=at.timestamp,
    )
    return Denied(why, catalog.publish(names.SHADOW_EVENTS, at.key, event))


def unknown_shadow(shadow: str | None) -> Refused:
    detail = f"the device has no shadow {shadow}"
    return Refused(404, "unknown_shadow", detail, "Set what it should be: that creates it.")


def apply(entry: Entry, wish: Wish, at: At, given_version: int | None = None) -> Changed | Denied:
    """Make a change that is not conditional, or whose condition is met."""
    made = make(entry, wish, at)
    return made if type(made) is Changed else judged(entry, wish, made, at, given_version)


def _unmet(entry: Entry, wish: Wish, condition: Exact | Newer | ReportedExact, at: At) -> Denied | None:
    """Refuse what builds on another version than the document's; None: it is met."""
    document = current(entry, wish.shadow, at.timestamp)
    why = _conflict(document, condition)
    if why is None:
        return None
    product_id, _, device_id = at.key.decode().partition("/")
    shown = public(product_id, device_id, wish.shadow, document)
    advice = "Look at the current document, and decide anew."
    return judged(entry, wish, Refused(409, "version_conflict", why, advice, shown), at, condition.version)


def _conflict(document: Document, condition: Exact | Newer | ReportedExact) -> str | None:
    given = condition.version
    if type(condition) is Exact:
        return None if given == document.version else f"version {given} is not {document.version}"
    if type(condition) is Newer:
        return None if given > document.version else f"version {given} is not greater than {document.version}"
    known = document.reported_version
    return None if given == known else f"reported_version {given} is not {known}"


def _fault(message: ChangeDesired) -> Refused | None:
    if refused := limits.misnamed(message.shadow):
        return refused
    if message.operation in {"merge", "replace"}:
        if message.desired is None:
            return malformed("invalid_request", f"nothing to {message.operation} is given", "Send desired.")
        return limits.unreadable(message.desired)
    return None
