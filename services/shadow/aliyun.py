"""The Aliyun/SagooIoT dialect: ``/shadow/{p}/{d}/update`` read, ``.../get`` rendered. Pure.

The version that a device proposes must be greater than the document's; -1 and none at all are accepted always.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from libs.shadow import trees

from .intents import Fetch, Newer, Report, Unreadable
from .wire import INVALID_JSON, Garbage, content, seconds, sections, whole_number

if TYPE_CHECKING:
    from libs.shadow.document import Document
    from libs.shadow.trees import Tree
    from libs.topics.messages.base import Millis
    from libs.topics.messages.shadow import ShadowMessageReceived
    from libs.topics.messages.shadow_changes import Section

    from .intents import Condition

ATTRIBUTES: Final = 128
"""That one message may report, on all levels; an array is one."""

ANY_VERSION: Final = -1

NOT_JSON: Final = "400"
"""Also JSON of another form than this dialect's."""
NO_METHOD: Final = "401"
NO_STATE: Final = "402"
NOT_A_VERSION: Final = "403"
NOT_REPORTED: Final = "404"
REPORTED_EMPTY: Final = "405"
UNKNOWN_METHOD: Final = "406"
NO_CONTENT: Final = "407"
TOO_MUCH: Final = "408"
CONFLICT: Final = "409"
INTERNAL: Final = "500"

CODES: Final = {
    "version_conflict": CONFLICT,
    "document_too_deep": TOO_MUCH,
    "document_too_large": TOO_MUCH,
    "shadows_too_large": TOO_MUCH,
}
"""The hub's own codes in this dialect; what is missing is internal."""


def read(message: ShadowMessageReceived) -> Report | Fetch | Unreadable:
    """Say what the device wants. Where more than one thing is wrong, the first in the order of `_read` is told."""
    try:
        return _read(message)
    except Garbage as garbage:
        code = NOT_JSON if garbage.code == INVALID_JSON else garbage.code
        return Unreadable(None, "aliyun", code, str(garbage))


def _read(message: ShadowMessageReceived) -> Report | Fetch:
    if message.encoding == "base64" and bytes(message.payload) == b'""':
        raise Garbage(NO_CONTENT, "the message is empty")
    said = content(message.encoding, message.payload)
    method = said.get("method")
    match method:
        case None:
            raise Garbage(NO_METHOD, "method is missing")
        case "get":
            return Fetch(None, "aliyun")
        case "update" | "delete":
            return _change(method, _state(said), _condition(said))
    raise Garbage(UNKNOWN_METHOD, "method is none of update, get, delete")


def _state(said: Tree) -> Tree:
    state = said.get("state")
    if state is None:
        raise Garbage(NO_STATE, "state is missing")
    if state.__class__ is not dict:
        raise Garbage(NOT_JSON, "state is not an object")
    return state


def _condition(said: Tree) -> Condition:
    version = said.get("version")
    if version is None:
        return None
    number = whole_number(version)
    if number is None:
        raise Garbage(NOT_A_VERSION, "version is not a whole number of 64 bits")
    return None if number == ANY_VERSION else Newer(number)


def _change(method: Literal["update", "delete"], state: Tree, condition: Condition) -> Report:
    clears = _is_null(state.get("desired", trees.ABSENT))
    if "reported" not in state:
        if not clears:
            raise Garbage(NOT_REPORTED, "reported is missing, and desired is not cleared")
        return Report(None, "aliyun", condition, None, ("desired",), "desired_cleared")
    if "desired" in state and not clears:
        raise Garbage(NOT_JSON, "desired can only be cleared by a device, with null")
    desired: tuple[Section, ...] = ("desired",) if clears else ()
    cause: Literal["reported", "keys_deleted"] = "reported" if method == "update" else "keys_deleted"
    reported = state["reported"]
    if _is_null(reported):
        return Report(None, "aliyun", condition, None, ("reported", *desired), cause)
    if reported.__class__ is not dict:
        raise Garbage(NOT_JSON, "reported is not an object")
    if not reported:
        raise Garbage(REPORTED_EMPTY, "reported is empty")
    if method == "delete":
        reported = _tombstones(reported)
    elif sum(1 for _ in trees.fields(reported)) > ATTRIBUTES:
        raise Garbage(TOO_MUCH, f"reported has more than {ATTRIBUTES} attributes")
    return Report(None, "aliyun", condition, reported, desired, cause)


def _is_null(value: Any) -> bool:
    """Tell whether a section is cleared, or a key deleted: this dialect's devices write null as a text, too."""
    return value is None or value == "null"


def _tombstones(named: Tree) -> Tree:
    """Return the merge patch that deletes what is named. Raises `Garbage` where a value is none that deletes."""
    patch: Tree = {}
    for key, value in named.items():
        if value.__class__ is dict and value:
            patch[key] = _tombstones(value)
        elif _is_null(value):
            patch[key] = None
        else:
            raise Garbage(NOT_JSON, 'a key is deleted by null or "null", and by nothing else')
    return patch


def accepted(document: Document, at: Millis) -> Tree:
    """Make the reply to a change that was made."""
    return _reply({"status": "success", "version": document.version}, at)


def refused(code: str, detail: str, at: Millis) -> Tree:
    """Make the reply to a change that was not made. ``code``: of this dialect, or the hub's own."""
    number, sentence = (code, detail) if code.isdecimal() else (CODES.get(code, INTERNAL), f"{code}: {detail}")
    return _reply({"status": "error", "content": {"errorcode": number, "errormessage": sentence}}, at)


def whole(document: Document, at: Millis) -> Tree:
    """Make the reply to a ``get``."""
    payload = {"status": "success", **sections(document)}
    return {"method": "reply", "payload": payload, "version": document.version, "timestamp": seconds(at)}


def control(document: Document, at: Millis) -> Tree:
    """Make the message that says that something is desired."""
    return {
        "method": "control",
        "payload": sections(document),
        "version": document.version,
        "timestamp": seconds(at),
    }


def _reply(payload: Tree, at: Millis) -> Tree:
    return {"method": "reply", "payload": payload, "timestamp": seconds(at)}
