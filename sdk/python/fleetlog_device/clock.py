"""The hub's time, from the answer to ``get/.../$ntp``. Pure: clocks are arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .payload import integer

if TYPE_CHECKING:
    from collections.abc import Callable

OUTSTANDING: Final = 8
"""Questions that an answer may belong to; older ones are forgotten."""


def hub_time(device_time: int, iothub_recv: int, iothub_send: int, device_recv: int) -> int:
    """The hub's clock when its answer came, in ms, as the protocol computes it: the way there and back is halved."""
    return (iothub_recv + iothub_send + device_recv - device_time) // 2


class HubClock:
    """``wall`` tells Unix ms, ``monotonic`` ms of a clock that nobody sets.

    Once the hub has answered, its time goes on by the monotonic clock, whatever happens to the device's own.
    """

    def __init__(self, wall: Callable[[], int], monotonic: Callable[[], int]) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._asked: dict[int, int] = {}
        self._ahead: int | None = None
        """The hub's time less the monotonic clock."""

    @property
    def synchronised(self) -> bool:
        return self._ahead is not None

    @property
    def offset(self) -> int:
        """The hub's time less the device's own, in ms; 0 before the first answer."""
        return self.now() - self._wall()

    def now(self) -> int:
        """The hub's time in Unix ms; before the first answer, the device's own."""
        return self._wall() if self._ahead is None else self._ahead + self._monotonic()

    def ask(self) -> int:
        """The ``device_time`` of a question that is sent now. No two are alike, so that answers find theirs."""
        device_time = self._wall()
        while device_time in self._asked:
            device_time += 1
        self._asked[device_time] = self._monotonic()
        while len(self._asked) > OUTSTANDING:
            del self._asked[next(iter(self._asked))]
        return device_time

    def answer(self, document: dict[str, Any]) -> int | None:
        """Take a ``$set_ntp``: its ``device_time``, or None where nobody asked. Raises `BadPayload`."""
        device_time, received, sent = (
            integer(document.get(field), field) for field in ("device_time", "iothub_recv", "iothub_send")
        )
        asked = self._asked.pop(device_time, None)
        if asked is None:
            return None
        now = self._monotonic()
        self._ahead = hub_time(device_time, received, sent, device_time + now - asked) - now
        return device_time
