"""What a device says of its shadows: read in its dialect, decided, answered. Pure."""

from __future__ import annotations

from copy import copy
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec.structs import replace

from libs.runtime.lane.verdicts import Refused
from libs.topics.messages.shadow import ShadowAcknowledged, ShadowMessageReceived, ShadowPulled, ShadowReported

from . import aliyun, iothub, mouth
from .changes import Changed, Wish, current
from .decide import DEVICE, judged, meant, unknown_shadow
from .fold import settle
from .intents import Acknowledge, Fetch, Report, Unreadable
from .lives import hears, told
from .model import Entry, Heard, Speech

if TYPE_CHECKING:
    from libs.runtime.lane.model import At, Output
    from libs.topics.messages.shadow_changes import Via

    from .intents import Intent

Said: TypeAlias = ShadowMessageReceived | ShadowPulled | ShadowReported | ShadowAcknowledged
Outputs: TypeAlias = "tuple[Output, ...]"

AGAIN = "again"
CHANGED = "changed"
SHOWN = "shown"
UNREADABLE = "unreadable_message"


def hear(entry: Entry, message: Any, at: At) -> tuple[Entry, Outputs, str]:
    """Fold what a device says; the third is what came of it, in a word.

    Where presence does not tell, the first word makes it online: it is told what it missed.
    """
    after, outputs, outcome = _answer(entry, message, at)
    if not hears(entry) and hears(after):
        for shadow in (None, *after.named):
            if outcome != SHOWN or shadow != _asked_for(message):
                outputs += told(after, shadow, at, len(outputs) + 1)
    return after, outputs, outcome


def _asked_for(message: Any) -> str | None:
    """Return the shadow whose document a message asks for."""
    intent = iothub.read(message) if type(message) is ShadowPulled else None
    return intent.shadow if type(intent) is Fetch else None


def _answer(entry: Entry, message: Any, at: At) -> tuple[Entry, Outputs, str]:
    kind = type(message)
    if kind is ShadowMessageReceived:
        return _heard(_spoken(entry, None, Speech("aliyun", message.form)), aliyun.read(message), at)
    intent = iothub.read(message)
    shadow: str | None = None
    via: Via = "iothub"
    if type(intent) is not Acknowledge:
        shadow, via = intent.shadow, intent.via
    entry = _spoken(entry, shadow, Speech("native" if via == "native" else "iothub"))
    if kind is ShadowPulled or type(intent) is Unreadable:
        return _heard(entry, intent, at)
    digest = blake2b(message.payload, digest_size=8).digest()
    if (known := entry.heard) is not None and (known.message_id, known.payload) == (message.message_id, digest):
        document = entry.document(shadow)
        if known.shadow == shadow and document is not None and document.reported_version == known.version:
            then = document
            if document.version != known.version:  # what differs since then was told with a version of its own
                then = replace(document, version=known.version, delta={})
            return entry, mouth.accepted(at, via, entry.speech, shadow, then, n=0), AGAIN
    after, outputs, outcome = _heard(entry, intent, at)
    if outcome == CHANGED and (document := after.document(shadow)) is not None:
        after.heard = Heard(message.message_id, digest, shadow, document.version)
    return after, outputs, outcome


def _spoken(entry: Entry, shadow: str | None, speech: Speech) -> Entry:
    """Note how a device speaks: of its own shadow, since all speak alike of named ones."""
    if entry.speech == speech or (shadow is not None and entry.speech is not None):
        return entry
    row = copy(entry)
    row.speech = speech
    return row


def _heard(entry: Entry, intent: Intent, at: At) -> tuple[Entry, Outputs, str]:
    if type(intent) is Report or type(intent) is Acknowledge:
        return _change(entry, intent, at)
    shadow, via, speech = intent.shadow, intent.via, entry.speech
    document = current(entry, shadow, at.timestamp)
    if type(intent) is Fetch:
        if shadow is None or shadow in entry.named:
            return entry, mouth.whole(at, via, speech, shadow, document, n=0), SHOWN
        why = unknown_shadow(shadow)
        return entry, mouth.refused(at, via, speech, shadow, document, n=0, code=why.code, detail=why.detail), why.code
    said = mouth.refused(at, via, speech, shadow, document, n=1, code=intent.code, detail=intent.detail)
    why = Refused(400, UNREADABLE, f"{intent.code}: {intent.detail}", "")
    return entry, (*judged(entry, Wish(shadow, "reported", via, DEVICE), why, at).outputs, *said), UNREADABLE


def _change(entry: Entry, intent: Report | Acknowledge, at: At) -> tuple[Entry, Outputs, str]:
    shadow: str | None = None
    via: Via = "iothub"
    if type(intent) is Report:
        shadow, via = intent.shadow, intent.via
    made = meant(entry, intent, at)
    if type(made) is Changed:
        assert made.after is not None
        said = mouth.accepted(at, via, entry.speech, shadow, made.after, n=1)
        return settle(entry, made.event, made.after), made.outputs + said, CHANGED
    document = current(entry, shadow, at.timestamp)
    why = made.why
    said = mouth.refused(at, via, entry.speech, shadow, document, n=1, code=why.code, detail=why.detail)
    return entry, made.outputs + said, why.code
