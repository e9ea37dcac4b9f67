"""When a device was last heard, told to presence sparingly. Pure: time is an argument."""

from __future__ import annotations


class Activity:
    """Marks at most one message per device in ``window`` ms.

    Memory is bounded: devices silent for two windows are forgotten, and of more than ``capacity`` devices in one
    window the later ones stay unmarked until the next. Marks that a crash swallows come again with the next message.
    """

    def __init__(self, window: int = 30_000, capacity: int = 1_000_000) -> None:
        self._window, self._capacity = window, capacity
        self._marked: dict[bytes, int] = {}
        self._before: dict[bytes, int] = {}
        self._since = 0

    def due(self, key: bytes, now: int) -> bool:
        """Whether a mark is due for ``key``, which counts as marked from now on; ``now``: ms."""
        last = self._marked.get(key)
        if last is None:
            last = self._before.get(key)
        if last is not None and abs(now - last) < self._window:  # abs: a clock that was set back must not mute it
            return False
        if abs(now - self._since) >= self._window:
            self._before, self._marked, self._since = self._marked, {}, now
        if len(self._marked) >= self._capacity:
            return False
        self._marked[key] = now
        return True

    def __len__(self) -> int:
        return len(self._marked) + len(self._before)
