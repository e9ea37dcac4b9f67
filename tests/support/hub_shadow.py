"""The hub's side of a device's shadows, in memory: the shadow service's own rules, without Kafka and broker."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from tests.support.shadow.asking import delete_device, patch, presence, register
from tests.support.shadow.heard import heard
from tests.support.shadow.hub import Hub, published

if TYPE_CHECKING:
    from collections.abc import Callable

    from libs.shadow.document import Document
    from libs.topics.messages.shadow_changes import ChangeDesired
    from services.shadow.step import Message


class HubShadow:
    """``publish`` takes topics and payloads for the device, which is online. ``name``: of a named shadow."""

    def __init__(self, name: str | None = None, device: str = "p1/d1") -> None:
        self._hub, self._name = Hub(registered=False), name
        self._product_id, _, self._device_id = device.partition("/")
        self._life = 0
        self.begin_anew()
        online = replace(presence("online"), product_id=self._product_id, device_id=self._device_id)
        self._hub.write(online)
        self.lost = 0
        """How many of the next messages never arrive."""
        self.heard: list[dict[str, Any]] = []
        self.publish: Callable[[str, bytes], None] = lambda _topic, _payload: None
        self.before: Callable[[], None] | None = None
        """Called once, when a message is on its way: what others do meanwhile."""

    async def send(self, topic: str, payload: bytes) -> None:
        """Hear what the device publishes."""
        if self.lost:
            self.lost -= 1
            return
        if (before := self.before) is not None:
            self.before = None
            before()
        self.heard.append(json.loads(payload))
        self._write(heard(topic, payload))

    def desire(self, change: dict[str, Any]) -> None:
        self._write(patch(change, self._name, device=self._device_id, product=self._product_id))

    def begin_anew(self) -> None:
        """The device is deleted, and another one is registered under its name."""
        if self._life:
            gone = delete_device(self._device_id, version=2 * self._life)
            self._hub.write(replace(gone, product_id=self._product_id))
        self._life += 1
        self._hub.write(register(self._device_id, version=2 * self._life - 1, product=self._product_id))

    def _write(self, message: Message | ChangeDesired) -> None:
        for told in published(self._hub.write(message)):
            self.publish(told.topic, bytes(told.payload))

    @property
    def document(self) -> Document | None:
        row = self._hub.rows[f"{self._product_id}/{self._device_id}".encode()]
        return row.document(self._name)

    @property
    def version(self) -> int:
        return self.document.version if self.document else 0

    @property
    def reported(self) -> dict[str, Any]:
        return self.document.reported if self.document else {}

    @property
    def desired(self) -> dict[str, Any]:
        return self.document.desired if self.document else {}

    @property
    def delta(self) -> dict[str, Any]:
        return self.document.delta if self.document else {}
