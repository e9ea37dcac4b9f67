"""What a device remembers: the interface, and the store that forgets with the process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .errors import StoreMismatch

if TYPE_CHECKING:
    from .buffer import Uplink
    from .requests import Request


class Store(Protocol):
    """What `Device` keeps, of one device.

    Calls are synchronous and short. What they wrote survives the process, and requests and values also a power cut: a
    command's request id is there before its handler runs, or it would not run once. Bring your own where files are not
    the place.
    """

    def open(self, identity: str) -> None:
        """``product/device``. Raises `StoreMismatch` where the store is another device's."""

    def close(self) -> None: ...

    def request(self, request_id: str) -> Request | None: ...

    def put_request(self, request: Request) -> None:
        """Add or replace it."""

    def unanswered(self) -> list[Request]:
        """In the order in which they were taken."""

    def prune_requests(self, before: int, keep: int) -> None:
        """Forget answered ones whose ``taken_at`` is before that time (Unix ms), and all but the newest ``keep``."""

    def get(self, key: str) -> str | None: ...

    def put(self, key: str, value: str) -> None: ...

    def uplinks(self) -> list[Uplink]:
        """In the order of their numbers."""

    def add_uplink(self, uplink: Uplink) -> None: ...

    def remove_uplinks(self, numbers: list[int]) -> None: ...


class MemoryStore:
    """Lives as long as the object. For tests, and for devices that have no place to write."""

    def __init__(self) -> None:
        self._identity: str | None = None
        self._requests: dict[str, Request] = {}
        self._values: dict[str, str] = {}
        self._uplinks: dict[int, Uplink] = {}

    def open(self, identity: str) -> None:
        if self._identity not in (None, identity):
            raise StoreMismatch(f"the store belongs to {self._identity}, not to {identity}")
        self._identity = identity

    def close(self) -> None:
        """Nothing is open."""

    def request(self, request_id: str) -> Request | None:
        return self._requests.get(request_id)

    def put_request(self, request: Request) -> None:
        self._requests[request.request_id] = request

    def unanswered(self) -> list[Request]:
        return [request for request in self._requests.values() if not request.answered]

    def prune_requests(self, before: int, keep: int) -> None:
        answered = [request for request in self._requests.values() if request.answered]
        for place, request in enumerate(reversed(answered)):
            if place >= keep or request.taken_at < before:
                del self._requests[request.request_id]

    def get(self, key: str) -> str | None:
        return self._values.get(key)

    def put(self, key: str, value: str) -> None:
        self._values[key] = value

    def uplinks(self) -> list[Uplink]:
        return sorted(self._uplinks.values(), key=lambda uplink: uplink.number)

    def add_uplink(self, uplink: Uplink) -> None:
        self._uplinks[uplink.number] = uplink

    def remove_uplinks(self, numbers: list[int]) -> None:
        for number in numbers:
            self._uplinks.pop(number, None)
