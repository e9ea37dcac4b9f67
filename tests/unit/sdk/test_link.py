"""A connection's own rules."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fleetlog_device.link import Link


@pytest.mark.parametrize("asking", ["subscribe", "unsubscribe"])
async def test_a_cancellation_that_comes_with_the_answer_is_heeded(asking: str) -> None:
    answered: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()

    async def answer(_filters: object) -> list[int]:
        return await asyncio.wait_for(answered, 10)

    link = Link(cast("Any", SimpleNamespace(**{asking: answer})))
    waiting = asyncio.ensure_future(getattr(link, asking)(["cmd/#"]))
    await asyncio.sleep(0)
    answered.set_result([1])
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
