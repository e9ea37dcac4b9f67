"""The IoTHub dialect, and our own native form beside it: ``$shadow`` messages read, commands rendered. Pure.

The two differ in what a version is. IoTHub's devices name the document's, which somebody else may have changed; a
native report names ``reported_version``, which only reports change, or none. Native is what names a ``shadow``, or a
``reported_version``, or no version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from libs.topics.identity import is_name
from libs.topics.messages.shadow import ShadowAcknowledged, ShadowPulled, ShadowReported

from .intents import Acknowledge, Exact, Fetch, Report, ReportedExact, Unreadable
from .wire import Garbage, content, seconds, sections, untold, whole_number

if TYPE_CHECKING:
    from libs.shadow.document import Document
    from libs.shadow.trees import Tree
    from libs.topics.messages.base import Millis

    from .intents import Condition, Intent

Form: TypeAlias = Literal["iothub", "native"]

INVALID_STATE: Final = "invalid_state"
INVALID_VERSION: Final = "invalid_version"
INVALID_SHADOW_NAME: Final = "invalid_shadow_name"
NO_ACKNOWLEDGEMENT: Final = "no_acknowledgement"
"""Named shadows are reported as they are desired."""


def read(message: ShadowPulled | ShadowReported | ShadowAcknowledged) -> Intent:
    """Say what the device wants. A pull with any payload that names no shadow asks for the device's own."""
    pulls = isinstance(message, ShadowPulled)
    try:
        said = content(message.encoding, message.payload)
    except Garbage as garbage:
        return Fetch(None, "iothub") if pulls else Unreadable(None, "iothub", garbage.code, str(garbage))
    shadow = said.get("shadow")
    if shadow is not None and not (shadow.__class__ is str and is_name(shadow)):
        return Unreadable(None, "native", INVALID_SHADOW_NAME, "shadow must be 1 to 64 of A-Z a-z 0-9 _ -")
    if pulls:
        return Fetch(shadow, "native" if "shadow" in said else "iothub")
    acknowledges = isinstance(message, ShadowAcknowledged)
    via: Form = "native" if shadow is not None or (not acknowledges and _is_native(said)) else "iothub"
    try:
        return _acknowledge(said) if acknowledges else _report(said, shadow, via)
    except Garbage as garbage:
        return Unreadable(shadow, via, garbage.code, str(garbage))


def _is_native(report: Tree) -> bool:
    return "shadow" in report or report.get("reported_version") is not None or report.get("version") is None


def _report(said: Tree, shadow: str | None, via: Form) -> Report:
    """Ignore ``state.desired``, as IoTHub does: it is not a report's to change."""
    state = _state(said)
    if "reported" not in state:
        raise Garbage(INVALID_STATE, "state.reported is missing")
    reported = state["reported"]
    if reported is not None and reported.__class__ is not dict:
        raise Garbage(INVALID_STATE, "state.reported is not an object")
    condition: Condition = None
    if said.get("version") is not None:
        condition = Exact(_version(said, "version"))
    elif said.get("reported_version") is not None:
        condition = ReportedExact(_version(said, "reported_version"))
    return Report(shadow, via, condition, reported, ("reported",) if reported is None else (), "reported")


def _acknowledge(said: Tree) -> Acknowledge:
    if said.get("shadow") is not None:
        raise Garbage(NO_ACKNOWLEDGEMENT, "a named shadow is reported as it is desired, not acknowledged")
    state = _state(said)
    if "desired" not in state or state["desired"] is not None:
        raise Garbage(INVALID_STATE, "state.desired is not null")
    return Acknowledge(_version(said, "version"))


def _state(said: Tree) -> Tree:
    state = said.get("state")
    if state.__class__ is not dict:
        raise Garbage(INVALID_STATE, "state is not an object")
    return state


def _version(said: Tree, name: str) -> int:
    version = whole_number(said.get(name))
    if version is None:
        raise Garbage(INVALID_VERSION, f"{name} is not a whole number of 64 bits")
    return version


def accepted(document: Document, at: Millis, form: Form = "iothub", shadow: str | None = None) -> Tree:
    """Make the ``$shadow_reply`` to a change that was made; natively with what is desired and still not so."""
    made = _reply("success", document, at, form)
    if form == "native" and document.delta:
        made["delta"] = document.delta
    return _named(made, shadow)


def refused(code: str, document: Document, at: Millis, form: Form = "iothub", shadow: str | None = None) -> Tree:
    """Make the ``$shadow_reply`` to what was not done; ``code`` says why."""
    return _named(_reply(code, document, at, form), shadow)


def whole(document: Document, form: Form = "iothub", shadow: str | None = None) -> Tree:
    """Make an ``$update_shadow``; its time is that of the document, which has none before the first change."""
    made = {**sections(document), "version": document.version}
    if not untold(document):
        made["timestamp"] = seconds(document.updated_at)
    if form == "native":
        made["reported_version"] = document.reported_version
        if document.delta:
            made["delta"] = document.delta
    return _named(made, shadow)


def _reply(status: str, document: Document, at: Millis, form: Form) -> Tree:
    made: Tree = {"status": status, "timestamp": seconds(at), "version": document.version}
    if form == "native":
        made["reported_version"] = document.reported_version
    return made


def _named(made: Tree, shadow: str | None) -> Tree:
    return made if shadow is None else {**made, "shadow": shadow}
