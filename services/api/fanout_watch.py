"""Fan-outs that are watched: each is looked at once for all who watch it in this process, when something has moved."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from libs.runtime import logs, metrics
from libs.runtime.owners.reads import Unavailable
from libs.topics.codec import encode
from libs.topics.names import COMMANDS_EVENTS

from . import fanouts, frames
from .access import still_valid
from .fanout_course import Course
from .problems import Problem
from .serving import ENDED

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from .access import Caller
    from .frames import Record
    from .hub import Hub

log = logs.get(__name__)

OPENING: Final = b"retry: %d\n\n" % frames.RETRY_MS
FINAL: Final = "final"
LOOKS = metrics.counter(
    "api_fanout_looks",
    "Looks at fan-outs that are watched: answered, missing (of owners that did not answer), or failed.",
    ("outcome",),
)


class Latest:
    """What one watcher gets next: the newest counts alone, however slowly he reads. As `serving.Box`."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.over, self.code = False, ""
        self._wake = wake
        self._counts = self._word = b""

    def put(self, frame: bytes, *, last: bool) -> None:
        if not self.over:
            self._counts = frame
            if last:
                self.over, self.code = True, FINAL
            self._wake()

    def end(self, code: str, detail: str) -> None:
        if not self.over:
            self.over, self.code = True, code
            self._word = frames.ended(code, detail)
            self._wake()

    def drain(self) -> bytes:
        taken = self._counts + self._word
        self._counts = self._word = b""
        return taken

    def __len__(self) -> int:
        return len(self._counts) + len(self._word)


class Watch:
    """One fan-out. It is followed from when the first watcher was let in, until it is over or the last one leaves."""

    def __init__(self, hub: Hub, fanout_id: str) -> None:
        self._hub, self._fanout_id, self._mark = hub, fanout_id, fanout_id.encode()
        self._first = asyncio.create_task(fanouts.look(hub, fanout_id))
        self._following: asyncio.Task[None] | None = None
        self._course: Course | None = None
        self._boxes: list[Latest] = []
        self.watchers = 0

    @property
    def done(self) -> bool:
        """Whether it is looked at no more. Who comes now looks anew."""
        return self._first.done() if self._following is None else self._following.done()

    async def join(self, caller: Caller, box: Latest) -> None:
        """Let a watcher have the counts as they are known now, and as they change. Raises as `fanouts.progress`."""
        seen = fanouts.shown(await asyncio.shield(self._first), caller, self._fanout_id)
        if self._course is None:
            self._course = Course(seen, asyncio.get_running_loop().time())
            if not self._course.over:
                self._following = asyncio.create_task(self._follow(self._course))
                self._following.add_done_callback(self._ended)
        self._boxes.append(box)
        self._tell(self._course, box)

    def leave(self, box: Latest) -> None:
        if box in self._boxes:
            self._boxes.remove(box)

    def close(self) -> None:
        for task in (self._first, self._following):
            if task is not None:
                task.cancel()

    async def _follow(self, course: Course) -> None:
        """Look whenever it is due, until it is over, the process ends, or Kafka does not tell what happens."""
        product_id, stopping = course.counts.product_id, self._hub.stopping
        try:
            async with self._hub.streams.hearing(COMMANDS_EVENTS, product_id, None, stopping=stopping) as heard:
                while not course.over and await self._due(course, heard):
                    if await self._look(course):
                        self._tell(course, *self._boxes)
        except Problem as problem:
            log.warning("a fan-out cannot be followed", fanout_id=self._fanout_id, code=problem.code)

    async def _due(self, course: Course, heard: asyncio.Queue[Record | None]) -> bool:
        """Listen until the next look is due; returns whether the process goes on."""
        loop = asyncio.get_running_loop()
        while (left := course.due() - loop.time()) > 0:
            try:
                async with asyncio.timeout(left):
                    record = await heard.get()
            except TimeoutError:
                continue
            if record is None:
                return False
            if self._mark in record.value:
                course.hear(loop.time())
        return True

    async def _look(self, course: Course) -> bool:
        """Look once; returns whether there is something new to tell."""
        loop = asyncio.get_running_loop()
        course.look(loop.time())
        try:
            seen = await fanouts.look(self._hub, self._fanout_id, course.started)
        except Unavailable as error:
            LOOKS.labels("missing").inc()
            return course.miss(error.partitions, loop.time())
        except Problem as problem:
            log.info("a fan-out that is watched cannot be counted", fanout_id=self._fanout_id, code=problem.code)
            seen = None
        LOOKS.labels("failed" if seen is None else "answered").inc()
        return course.miss((), loop.time()) if seen is None else course.see(seen, loop.time())

    @staticmethod
    def _tell(course: Course, *boxes: Latest) -> None:
        frame = frames.unplaced(FINAL if course.over else "counts", encode(course.counts))
        for box in boxes:
            box.put(frame, last=course.over)

    def _ended(self, following: asyncio.Task[None]) -> None:
        """Let nobody wait for what does not come any more."""
        error = None if following.cancelled() else following.exception()
        if error is not None:
            log.error("a fan-out cannot be watched", fanout_id=self._fanout_id, exc_info=error)
        if not self._hub.stopping.is_set():  # of that each stream tells by itself
            for box in self._boxes:
                box.end("unavailable", "what happens cannot be read now; connect again to go on from here")


class Watches:
    """All fan-outs that are watched through this process."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._watches: dict[str, Watch] = {}

    async def stream(self, caller: Caller, fanout_id: str) -> AsyncGenerator[bytes, None]:
        """Yield a fan-out's counts as they change, until it is over.

        Before anything is yielded, raises `Problem` ``too_many_streams``, and as `fanouts.progress`.
        """
        serving, stopping = self._hub.streams.serving, self._hub.stopping
        with serving.admitted(caller.key_id), serving.waking(stopping) as wake:

            def woken() -> None:
                wake.set()
                if box.over:
                    ENDED.labels(box.code).inc()

            box = Latest(woken)
            with self._watching(fanout_id) as watch:
                try:
                    await watch.join(caller, box)
                    yield OPENING
                    going_on = serving.until_over(
                        box,
                        wake,
                        stopping=stopping,
                        allowed=lambda: still_valid(self._hub, caller),
                        silence=lambda: frames.SILENCE,
                    )
                    async for told in going_on:
                        yield told
                finally:
                    watch.leave(box)

    @contextmanager
    def _watching(self, fanout_id: str) -> Iterator[Watch]:
        """Share one watch with all who want it. Whoever is the last ends it: nothing here waits."""
        watch = self._watches.get(fanout_id)
        if watch is None or watch.done:
            watch = self._watches[fanout_id] = Watch(self._hub, fanout_id)
        watch.watchers += 1
        try:
            yield watch
        finally:
            watch.watchers -= 1
            if not watch.watchers:
                watch.close()
                if self._watches.get(fanout_id) is watch:
                    del self._watches[fanout_id]
