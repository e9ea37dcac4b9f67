"""How much more may be read: room for messages and bytes, between the threads that read and the loop that publishes."""

from __future__ import annotations

import threading


class Credit:
    """Taken in threads, given back in another. Once it is used up, half of it must be back before it is given again.

    Many small steps would make Kafka's client fetch in small steps, too.
    """

    def __init__(self, messages: int, size: int) -> None:
        self._messages, self._size = messages, size
        self._used = self._used_size = 0
        self._condition = threading.Condition()
        self._full = False

    @property
    def room(self) -> int:
        """Messages that may be read now; 0: none, or too many bytes are under way."""
        return 0 if self._full else self._messages - self._used

    def take(self, messages: int, size: int) -> None:
        with self._condition:
            self._used += messages
            self._used_size += size
            self._full = self._full or self._used >= self._messages or self._used_size >= self._size

    def give_back(self, messages: int, size: int) -> None:
        with self._condition:
            self._used -= messages
            self._used_size -= size
            if self._full and self._used <= self._messages // 2 and self._used_size <= self._size // 2:
                self._full = False
                self._condition.notify_all()

    def wait(self, seconds: float) -> None:
        """Return when there is room, at the latest after ``seconds``."""
        with self._condition:
            self._condition.wait_for(lambda: not self._full, seconds)
