"""Waiting for something to become true, with a deadline."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

INTERVAL = 0.05


def eventually(check: Callable[[], T], timeout: float = 30.0, *, describe: str = "the expected state") -> T:
    """The first truthy value of ``check``. `AssertionError` after ``timeout`` seconds, with the last value or failure.

    An `AssertionError` in ``check`` means "not yet", any other exception is one at once.
    """
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while True:
        value, failure = _try(check)
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(_message(describe, timeout, value, failure)) from failure
        pause.wait(INTERVAL)


async def eventually_async(
    check: Callable[[], Awaitable[T]],
    timeout: float = 30.0,  # noqa: ASYNC109 - unlike asyncio.timeout, the failure says what was awaited
    *,
    describe: str = "the expected state",
) -> T:
    """`eventually` inside an event loop."""
    deadline = time.monotonic() + timeout
    while True:
        value: T | None = None
        failure: AssertionError | None = None
        try:
            value = await check()
        except AssertionError as error:
            failure = error
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(_message(describe, timeout, value, failure)) from failure
        await asyncio.sleep(INTERVAL)


def _try(check: Callable[[], T]) -> tuple[T | None, AssertionError | None]:
    try:
        return check(), None
    except AssertionError as error:
        return None, error


def _message(describe: str, timeout: float, value: object, failure: AssertionError | None) -> str:
    return f"not within {timeout:g} s: {describe}; last: {failure if failure is not None else repr(value)}"
