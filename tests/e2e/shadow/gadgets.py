"""Devices that do what their shadow desires: with the SDK in either dialect, and with paho in its own words."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from abc import ABC, abstractmethod
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Literal

from devstack.ports import HOST
from fleetlog_device import Backoff, Device, MemoryStore
from fleetlog_device.shadow_documents import Document, merge
from tests.support import devices
from tests.support.names import unique

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from paho.mqtt.client import Client, MQTTMessage

BACKOFF = Backoff(first=0.1, longest=1.0)


async def passed(over: asyncio.Event, seconds: float) -> bool:
    """Whether it is over, before so many seconds have passed."""
    try:
        await asyncio.wait_for(over.wait(), seconds)
    except TimeoutError:
        return False
    return True


class Gadget(ABC):
    """``state``: what it is, which is what it was told last."""

    def __init__(self, port: int, product: str, device: str) -> None:
        self.port, self.product, self.device = port, product, device
        self.state: dict[str, Any] = {}
        self.lives = 0
        """How often it came online."""

    @abstractmethod
    def online(self) -> Any:
        """Be connected: an asynchronous context."""

    async def live(self, *, restless: bool, calm: asyncio.Event, over: asyncio.Event) -> None:
        """Stay online until it is ``over``; one that is ``restless`` comes and goes until it is ``calm``."""
        chance = random.Random(self.device)
        while restless and not calm.is_set():
            async with self.online():
                self.lives += 1
                await passed(calm, chance.uniform(0.2, 2))
            await passed(calm, chance.uniform(0, 1))
        async with self.online():
            self.lives += 1
            await over.wait()


class SdkGadget(Gadget):
    """Acknowledges what is desired, which is then reported and desired no more."""

    def __init__(self, port: int, product: str, device: str, dialect: Literal["iothub", "aliyun"]) -> None:
        super().__init__(port, product, device)
        self._dialect: Literal["iothub", "aliyun"] = dialect
        self._store = MemoryStore()

    @asynccontextmanager
    async def online(self) -> AsyncIterator[None]:
        device = Device(
            self.product,
            self.device,
            "open",
            host=HOST,
            port=self.port,
            store=self._store,
            shadow=self._dialect,
            synchronise=False,
            backoff=BACKOFF,
        )
        async with device:
            device.shadow.on_delta(self._obey)
            yield

    def _obey(self, delta: dict[str, Any], _document: Document) -> None:
        self.state = merge(self.state, delta)


class PahoGadget(Gadget):
    """Reports what it is and leaves desired to those who desire. ``heard``: all that it was told."""

    listens: str
    """Topic filter, of what is told in its dialect."""

    def __init__(self, port: int, product: str, device: str) -> None:
        super().__init__(port, product, device)
        self.heard: list[dict[str, Any]] = []

    @abstractmethod
    def ask(self) -> tuple[str, dict[str, Any]]:
        """Ask for the document: topic and payload."""

    @abstractmethod
    def report(self) -> tuple[str, dict[str, Any]]: ...

    @abstractmethod
    def sections(self, told: dict[str, Any]) -> dict[str, Any]:
        """``state`` of what was told; empty in what is only an answer."""

    @asynccontextmanager
    async def online(self) -> AsyncIterator[None]:
        connection = self.connected()
        await asyncio.to_thread(connection.__enter__)
        try:
            yield
        finally:
            await asyncio.to_thread(connection.__exit__, None, None, None)

    @contextmanager
    def connected(self, *, lasting: bool = False, asks: bool = True) -> Iterator[Client]:
        """Subscribed, and ``asks`` for what was missed. ``lasting``: the broker keeps what it is told meanwhile."""
        name, granted = f"{self.product}/{self.device}", threading.Event()
        with devices.connected(self.port, name, lasting=lasting, on_message=lambda m: self._hear(client, m)) as client:
            client.on_subscribe = lambda *_: granted.set()
            client.subscribe(self.listens.format(name), 1)
            assert granted.wait(devices.TIMEOUT), f"no SUBACK within {devices.TIMEOUT:g} s"
            if asks:
                self._say(client, self.ask())
            yield client

    def _hear(self, client: Client, message: MQTTMessage) -> None:
        self.heard.append(json.loads(message.payload))
        state = self.sections(self.heard[-1])
        if (desired := state.get("desired")) and desired != state.get("reported"):
            self.state = desired
            self._say(client, self.report())

    @staticmethod
    def _say(client: Client, message: tuple[str, dict[str, Any]]) -> None:
        topic, payload = message
        client.publish(topic, json.dumps(payload), qos=1)


class AliyunGadget(PahoGadget):
    listens = "/shadow/{}/get"

    def ask(self) -> tuple[str, dict[str, Any]]:
        return f"/shadow/{self.product}/{self.device}/update", {"method": "get"}

    def report(self) -> tuple[str, dict[str, Any]]:
        said = {"method": "update", "state": {"reported": self.state}, "version": -1}
        return f"/shadow/{self.product}/{self.device}/update", said

    def sections(self, told: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = told["payload"].get("state", {})
        return found


class NativeGadget(PahoGadget):
    listens = "cmd/{}/$update_shadow/#"

    def ask(self) -> tuple[str, dict[str, Any]]:
        return f"get/{self.product}/{self.device}/$shadow/{unique('m')}", {"shadow": None}

    def report(self) -> tuple[str, dict[str, Any]]:
        topic = f"upload_data/{self.product}/{self.device}/$shadow_reported/{unique('m')}"
        return topic, {"state": {"reported": self.state}}

    def sections(self, told: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = told.get("state", {})
        return found


def crowd(port: int, product: str, count: int) -> list[Gadget]:
    """So many gadgets, of every kind in turn."""
    found: list[Gadget] = []
    for number in range(count):
        device = f"d{number}"
        match number % 5:
            case 0 | 1:
                found.append(SdkGadget(port, product, device, "iothub"))
            case 2:
                found.append(SdkGadget(port, product, device, "aliyun"))
            case 3:
                found.append(AliyunGadget(port, product, device))
            case _:
                found.append(NativeGadget(port, product, device))
    return found
