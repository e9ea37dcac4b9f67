"""An event loop in which waiting takes no time: what is due happens in order, as if the time had passed."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class Inline(ThreadPoolExecutor):
    """Runs a call where it stands: no thread, no race."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  (it comes out of the future)
            done.set_exception(error)
        return done


class VirtualTime(asyncio.SelectorEventLoop):
    """Where there is nothing to do until a moment, it is that moment."""

    def __init__(self) -> None:
        super().__init__()
        self._ahead = 0.0
        self.set_default_executor(Inline(max_workers=1))
        select = cast("Any", self)._selector.select

        def jump(timeout: float | None) -> Any:
            self._ahead += timeout or 0.0
            return select(0)

        cast("Any", self)._selector.select = jump

    def time(self) -> float:
        return super().time() + self._ahead


def in_virtual_time(work: Coroutine[Any, Any, None]) -> None:
    loop = VirtualTime()
    try:
        loop.run_until_complete(work)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()


async def pass_time(seconds: float) -> None:
    """Let that much virtual time go by; at once, in order, and never in real time."""
    assert isinstance(asyncio.get_running_loop(), VirtualTime)
    await asyncio.sleep(seconds)
