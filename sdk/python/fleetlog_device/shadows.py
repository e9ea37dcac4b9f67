"""All shadows of a device: its own, and the named ones that the application asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from .handlers import log
from .shadow import Shadow
from .shadow_dialects import NAMED_REPLY, NAMED_UPDATE, REPLY, UPDATE, Aliyun, IotHub, Native

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from typing import Any

    from .shadow import Send
    from .store import Store
    from .topics import Topics

Form: TypeAlias = Literal["native", "iothub", "aliyun"]

COMMANDS: Final = (UPDATE, REPLY, NAMED_UPDATE, NAMED_REPLY)


class Shadows:
    """``form``: in which the device's own shadow is spoken of; named ones have the native form only."""

    def __init__(self, form: Form, topics: Topics, store: Store, send: Send) -> None:
        self._topics, self._store, self._send = topics, store, send
        dialects = {"native": Native, "iothub": IotHub, "aliyun": Aliyun}
        self.own = Shadow(dialects[form](topics), store, send)
        self._named: dict[str, Shadow] = {}
        self._follow: Callable[[Coroutine[Any, Any, None]], object] | None = None

    def __iter__(self) -> Iterator[Shadow]:
        yield self.own
        yield from self._named.values()

    def named(self, name: str) -> Shadow:
        """The same one for the same name, which must have been checked."""
        found = self._named.get(name)
        if found is None:
            found = self._named[name] = Shadow(Native(self._topics, name), self._store, self._send, name)
            if self._follow is not None:
                found.restore()
                self._follow(found.follow())
        return found

    def restore(self) -> None:
        """Know the versions that the process before knew."""
        for shadow in self:
            shadow.restore()

    def start(self, spawn: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        """Follow what is desired; ``spawn`` runs it until the device ends."""
        self._follow = spawn
        for shadow in self:
            spawn(shadow.follow())

    def receive(self, command: str, payload: bytes) -> None:
        """Take one of the hub's `COMMANDS`. Raises `BadPayload`."""
        if command in (NAMED_UPDATE, NAMED_REPLY):
            name = Native.name(payload)
            known = None if name is None else self._named.get(name)
            if known is not None:
                known.receive(Native.read(command, payload))
            else:
                log.info("nobody here wants to know of the shadow %s", name)
        elif self.own.speaks(Native):
            self.own.receive(Native.read(command, payload))
        elif self.own.speaks(IotHub):
            self.own.receive(IotHub.read(command, payload))
