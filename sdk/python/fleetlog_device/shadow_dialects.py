"""The two shadow dialects on the wire. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from . import shadow_documents
from .payload import BadPayload, integer, to_json, to_object
from .shadow_documents import Accepted, Refused, State, Told

if TYPE_CHECKING:
    from .topics import Topics

UPDATE: Final = "$update_shadow"
REPLY: Final = "$shadow_reply"


class IotHub:
    """``get/.../$shadow``, ``$shadow_reported`` and ``$shadow_updated``; answered by commands.

    The version is the document's current one, else the hub sends the document again.
    """

    conflict: str | None = None

    def __init__(self, topics: Topics) -> None:
        self._topics = topics

    def pull(self, message_id: str) -> tuple[str, bytes]:
        return self._topics.request("$shadow", message_id), b"{}"

    def report(self, message_id: str, reported: State, version: int) -> tuple[str, bytes]:
        payload = to_json({"state": {"reported": reported}, "version": version})
        return self._topics.upload("$shadow_reported", message_id), payload

    def delete(self, message_id: str, names: tuple[str, ...], version: int) -> tuple[str, bytes]:
        return self.report(message_id, dict.fromkeys(names), version)

    def acknowledge(self, message_id: str, desired: State, version: int) -> tuple[str, bytes]:  # noqa: ARG002 - the hub knows what is desired
        payload = to_json({"state": {"desired": None}, "version": version})
        return self._topics.upload("$shadow_updated", message_id), payload

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

    def __init__(self, topics: Topics) -> None:
        self._topics = topics

    def pull(self, message_id: str) -> tuple[str, bytes]:  # noqa: ARG002 - this dialect's topics have no message ids
        return self._topics.shadow(), to_json({"method": "get"})

    def report(self, message_id: str, reported: State, version: int) -> tuple[str, bytes]:  # noqa: ARG002 - as above
        state = {"reported": reported}
        return self._topics.shadow(), to_json({"method": "update", "state": state, "version": version + 1})

    def delete(self, message_id: str, names: tuple[str, ...], version: int) -> tuple[str, bytes]:  # noqa: ARG002 - as above
        state = {"reported": dict.fromkeys(names, "null")}
        return self._topics.shadow(), to_json({"method": "delete", "state": state, "version": version + 1})

    def acknowledge(self, message_id: str, desired: State, version: int) -> tuple[str, bytes]:  # noqa: ARG002 - as above
        state = {"reported": desired, "desired": "null"}
        return self._topics.shadow(), to_json({"method": "update", "state": state, "version": version + 1})

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
