"""A hub's side of the shadow, in memory: the rules of both dialects, written anew, for a device to talk to."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from fleetlog_device.shadow_dialects import REPLY, UPDATE

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1_469_564_576


def merged(state: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in {**state, **change}.items() if value is not None}
    inner = {key: merged(state.get(key, {}), value) for key, value in change.items() if isinstance(value, dict)}
    return {**kept, **inner}


class HubShadow(ABC):
    """``publish`` takes topics and payloads for the device ``p/d``."""

    def __init__(self) -> None:
        self.reported: dict[str, Any] = {}
        self.desired: dict[str, Any] = {}
        self.version = 0
        self.lost = 0
        """How many of the next messages never arrive."""
        self.heard: list[dict[str, Any]] = []
        self.publish: Callable[[str, bytes], None] = lambda _topic, _payload: None
        self._sent = 0
        self.before: Callable[[], None] | None = None
        """Called once, when a message is on its way: what others do meanwhile."""

    def state(self) -> dict[str, Any]:
        sections = {"reported": self.reported, "desired": self.desired}
        return {name: section for name, section in sections.items() if section}

    async def send(self, topic: str, payload: bytes) -> None:
        """Hear what a device publishes."""
        if self.lost:
            self.lost -= 1
            return
        if (before := self.before) is not None:
            self.before = None
            before()
        message = json.loads(payload)
        self.heard.append(message)
        self.hear(topic, message)

    @abstractmethod
    def hear(self, topic: str, message: dict[str, Any]) -> None: ...

    def desire(self, change: dict[str, Any]) -> None:
        self.desired = merged(self.desired, change)
        self.version += 1
        self.tell_desired()

    @abstractmethod
    def tell_desired(self) -> None: ...

    def accept(self, reported: dict[str, Any]) -> None:
        self.reported = merged(self.reported, reported)
        self.version += 1


class IotHubSide(HubShadow):
    def command(self, name: str, document: dict[str, Any]) -> None:
        self._sent += 1
        self.publish(f"cmd/p/d/{name}/plain/shadow-{self._sent}", json.dumps(document).encode())

    def hear(self, topic: str, message: dict[str, Any]) -> None:
        if topic.startswith("get/p/d/$shadow/") or message["version"] != self.version:
            self.tell_desired()
        else:
            if topic.startswith("upload_data/p/d/$shadow_updated/"):
                assert message["state"] == {"desired": None}
                self.accept(self.desired)
                self.desired = {}
            else:
                assert topic.startswith("upload_data/p/d/$shadow_reported/")
                self.accept(message["state"]["reported"])
            answer = {"status": "success", "timestamp": NOW, "version": self.version}
            self.command(REPLY, answer)

    def tell_desired(self) -> None:
        document = {"state": self.state(), "metadata": {}, "version": self.version, "timestamp": NOW}
        self.command(UPDATE, document)


class AliyunSide(HubShadow):
    def hear(self, topic: str, message: dict[str, Any]) -> None:
        assert topic == "/shadow/p/d/update"
        if message["method"] == "get":
            payload = {"status": "success", "state": self.state(), "metadata": {}}
            self.answer("reply", payload, version=self.version)
        elif message["version"] <= self.version:
            content = {"errorcode": "409", "errormessage": "version conflict"}
            self.answer("reply", {"status": "error", "content": content})
        elif message["method"] == "delete":
            self.accept({name: None for name, gone in message["state"]["reported"].items() if gone == "null"})
            self.answer("reply", {"status": "success", "version": self.version})
        elif len(message["state"]["reported"]) > 128:
            content = {"errorcode": "408", "errormessage": "more than 128 attributes"}
            self.answer("reply", {"status": "error", "content": content})
        else:
            if message["state"].get("desired") == "null":
                self.desired = {}
            self.accept(message["state"]["reported"])
            self.answer("reply", {"status": "success", "version": self.version})

    def tell_desired(self) -> None:
        self.answer("control", {"state": self.state(), "metadata": {}}, version=self.version)

    def answer(self, method: str, payload: dict[str, Any], **more: Any) -> None:
        message = {"method": method, "payload": payload, **more, "timestamp": NOW}
        self.publish("/shadow/p/d/get", json.dumps(message).encode())
