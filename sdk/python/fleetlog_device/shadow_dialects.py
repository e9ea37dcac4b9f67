"""How devices speak of shadows: the native form, and the two dialects. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from . import shadow_documents
from .payload import BadPayload, integer, to_json, to_object
from .shadow_documents import Accepted, Document, Refused, State, Told

if TYPE_CHECKING:
    from .topics import Topics

UPDATE: Final = "$update_shadow"
REPLY: Final = "$shadow_reply"
NAMED_UPDATE: Final = "$update_named_shadow"
NAMED_REPLY: Final = "$named_shadow_reply"
UNKNOWN: Final = "unknown_shadow"


class Native:
    """The hub's own form: a report is checked against what was reported before, and never against what is desired.

    Named shadows are spoken of in this form only.
    """

    conflict: str | None = None
    acknowledges: bool = False

    def __init__(self, topics: Topics, shadow: str | None = None) -> None:
        """``shadow``: the name of a named one."""
        self._topics, self._shadow = topics, shadow

    def pull(self, message_id: str) -> tuple[str, bytes]:
        return self._topics.request("$shadow", message_id), to_json({"shadow": self._shadow})

    def report(self, message_id: str, reported: State, known: Document) -> tuple[str, bytes]:
        payload: dict[str, Any] = {"state": {"reported": reported}}
        if known.reported_version is not None:
            payload["reported_version"] = known.reported_version
        if self._shadow is not None:
            payload["shadow"] = self._shadow
        return self._topics.upload("$shadow_reported", message_id), to_json(payload)

    def delete(self, message_id: str, names: tuple[str, ...], known: Document) -> tuple[str, bytes]:
        return self.report(message_id, dict.fromkeys(names), known)

    def acknowledge(self, message_id: str, known: Document) -> tuple[str, bytes]:
        return self.report(message_id, known.delta, known)

    def refuses(self, told: Document, known: Document) -> bool:
        return known.reported_version is not None and told.reported_version not in (None, known.reported_version)

    @staticmethod
    def read(command: str, payload: bytes) -> Told:
        """What is said of the device's own shadow, or of a named one. Raises `BadPayload`."""
        told = to_object(payload)
        if command in (UPDATE, NAMED_UPDATE):
            return shadow_documents.document(told, told)
        version, reported_version = (shadow_documents.optional(told, name) for name in ("version", "reported_version"))
        if told.get("status") == UNKNOWN:  # nothing was said of it yet
            return Document(version=version or 0, reported_version=reported_version)
        if told.get("status") != "success":
            return Refused(str(told.get("status")), "")
        return Accepted(integer(version, "version"), reported_version)

    @staticmethod
    def name(payload: bytes) -> str | None:
        """Which named shadow is spoken of; None: the device's own. Raises `BadPayload`."""
        name = to_object(payload).get("shadow")
        if name is not None and not isinstance(name, str):
            raise BadPayload("the name of the shadow is not a text")
        return name


class IotHub:
    """``get/.../$shadow``, ``$shadow_reported`` and ``$shadow_updated``; answered by commands.

    The version is the document's current one, else the hub sends the document again.
    """

    conflict: str | None = None
    acknowledges: bool = True

    def __init__(self, topics: Topics) -> None:
        self._topics = topics

    def pull(self, message_id: str) -> tuple[str, bytes]:
        return self._topics.request("$shadow", message_id), b"{}"

    def report(self, message_id: str, reported: State, known: Document) -> tuple[str, bytes]:
        payload = to_json({"state": {"reported": reported}, "version": known.version})
        return self._topics.upload("$shadow_reported", message_id), payload

    def delete(self, message_id: str, names: tuple[str, ...], known: Document) -> tuple[str, bytes]:
        return self.report(message_id, dict.fromkeys(names), known)

    def acknowledge(self, message_id: str, known: Document) -> tuple[str, bytes]:
        payload = to_json({"state": {"desired": None}, "version": known.version})
        return self._topics.upload("$shadow_updated", message_id), payload

    def refuses(self, told: Document, known: Document) -> bool:
        """The hub would not send the document that we have."""
        return told.version != known.version

    @staticmethod
    def read(command: str, payload: bytes) -> Told:
        """A ``$update_shadow`` or ``$shadow_reply``. Raises `BadPayload`."""
        told = to_object(payload)
        if command == UPDATE:
            return shadow_documents.document(told, told)
        if told.get("status") != "success":
            return Refused(str(told.get("status")), "")
        return Accepted(integer(told.get("version"), "version"))


class Aliyun:
    """``/shadow/{p}/{d}/update`` and ``.../get``, as Aliyun and SagooIoT devices speak.

    The version is one that the device proposes: larger than the current one.
    """

    conflict: str | None = "409"
    acknowledges: bool = True

    def __init__(self, topics: Topics) -> None:
        self._topics = topics

    def pull(self, message_id: str) -> tuple[str, bytes]:  # noqa: ARG002 - this dialect's topics have no message ids
        return self._topics.shadow(), to_json({"method": "get"})

    def report(self, message_id: str, reported: State, known: Document) -> tuple[str, bytes]:  # noqa: ARG002 - as above
        state = {"reported": reported}
        return self._topics.shadow(), to_json({"method": "update", "state": state, "version": known.version + 1})

    def delete(self, message_id: str, names: tuple[str, ...], known: Document) -> tuple[str, bytes]:  # noqa: ARG002 - as above
        state = {"reported": dict.fromkeys(names, "null")}
        return self._topics.shadow(), to_json({"method": "delete", "state": state, "version": known.version + 1})

    def acknowledge(self, message_id: str, known: Document) -> tuple[str, bytes]:  # noqa: ARG002 - as above
        state = {"reported": known.desired, "desired": "null"}
        return self._topics.shadow(), to_json({"method": "update", "state": state, "version": known.version + 1})

    def refuses(self, told: Document, known: Document) -> bool:  # noqa: ARG002 - this dialect has a word for it
        return False

    @staticmethod
    def read(payload: bytes) -> Told:
        """A ``reply`` or ``control``. Raises `BadPayload`."""
        told = to_object(payload)
        content = told.get("payload")
        if not isinstance(content, dict) or told.get("method") not in ("reply", "control"):
            raise BadPayload("the shadow message is neither a reply nor a control")
        if "state" in content:
            return shadow_documents.document(content, told)
        if content.get("status") == "success":
            return Accepted(integer(content.get("version"), "version"))
        return _refusal(content.get("content"))


def _refusal(content: Any) -> Refused:
    if not isinstance(content, dict):
        raise BadPayload("a shadow message is refused without a reason")
    return Refused(str(content.get("errorcode")), str(content.get("errormessage")))
