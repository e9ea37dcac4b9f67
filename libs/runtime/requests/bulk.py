"""Many requests at once: without a task and a timer for each, they cost less than half."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from libs.topics.messages.hub import RequestRefused

from .calls import ASKED, SECONDS, NoAnswer, NotAsked, Refused, outcome_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.topics.messages.base import Request

    from .calls import Answer, Call, Outcome
    from .client import Requests

TURN: Final = 100
"""Requests made without yielding to the event loop."""


class Bulk:
    """Made by `Requests.ask_all`, which documents the arguments, for one call of it."""

    def __init__(self, requests: Requests, inbox: str, window: int, timeout: float) -> None:
        self._requests, self._inbox, self._window, self._timeout = requests, inbox, window, timeout
        self._loop = asyncio.get_running_loop()
        self._outcomes: dict[int, Outcome] = {}
        self._open: dict[int, Call] = {}  # by the place of the request, the oldest first
        self._answered: deque[int] = deque()
        self._some = asyncio.Event()
        self._counts: Counter[str] = Counter()
        self._unanswered = False

    async def run(self, asked: Iterable[tuple[bytes, Request]]) -> list[Outcome]:
        place = -1
        for place, (key, request) in enumerate(asked):
            while self._open and (len(self._open) >= self._window or self._requests.crowded):
                await self._wait()
            self._send(place, key, request)
            if not (place + 1) % TURN:
                await asyncio.sleep(0)
        while self._open:
            await self._wait()
        return [self._outcomes[number] for number in range(place + 1)]

    def _send(self, place: int, key: bytes, request: Request) -> None:
        if self._unanswered:
            self._finish(place, NotAsked("a request before it was not answered"))
            return
        try:
            call = self._requests.send(self._inbox, key, request)
        except NotAsked as error:
            self._finish(place, error)
            return
        self._open[place] = call
        call.answer.add_done_callback(lambda _: self._hear(place))

    def _hear(self, place: int) -> None:
        self._answered.append(place)
        self._some.set()

    async def _wait(self) -> None:
        """Take what was answered, or what was not in time."""
        oldest = next(iter(self._open.values())).begun + self._timeout
        try:
            async with asyncio.timeout_at(oldest):
                await self._some.wait()
        except TimeoutError:
            self._expire()
        self._some.clear()
        while self._answered:
            self._take(self._answered.popleft())

    def _expire(self) -> None:
        now = self._loop.time()
        for place, call in list(self._open.items()):
            if call.begun + self._timeout > now:
                break
            if not call.answer.done():
                call.answer.set_exception(NoAnswer(f"no answer from {self._inbox} within {self._timeout:g} s"))
                self._take(place)

    def _take(self, place: int) -> None:
        call = self._open.pop(place, None)
        if call is None:
            return
        self._requests.settle(call)
        try:
            answer = call.answer.result()
        except NoAnswer as error:
            self._unanswered = True
            self._finish(place, error)
        else:
            SECONDS.labels(self._inbox).observe(self._loop.time() - call.begun)
            self._finish(place, answer)

    def _finish(self, place: int, end: Answer | NoAnswer | NotAsked) -> None:
        self._counts[outcome_of(end)] += 1
        self._outcomes[place] = Refused(end) if isinstance(end, RequestRefused) else end

    def end(self) -> None:
        """Wait for nothing any more, and count."""
        for call in self._open.values():
            self._requests.settle(call)
            call.answer.cancel()
        self._counts["abandoned"] += len(self._open)
        self._open.clear()
        for outcome, count in self._counts.items():
            ASKED.labels(self._inbox, outcome).inc(count)
