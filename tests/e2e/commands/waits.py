"""What tests of commands wait for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.e2e.commands.applications import PATIENCE, Application
from tests.e2e.commands.books import Books, enlisted, last_sessions
from tests.support.polling import eventually, eventually_async

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from devstack.stack import Stack


async def until(check: Callable[[], object], describe: str) -> None:
    await asyncio.to_thread(eventually, check, PATIENCE, describe=describe)


async def known(stack: Stack, product: str, devices: Iterable[str], session: str | None = None) -> None:
    """Return when the ledger is told that they are registered, or how their sessions are, before all that follows."""
    names = set(devices)

    def told() -> bool:
        if session is None:
            return enlisted(stack, product) >= names
        sessions = last_sessions(stack, product)
        return {sessions.get(name) for name in names} == {session}

    await until(told, f"the ledger to know that devices are {session or 'registered'}")


async def all_over(stack: Stack, product: str, count: int) -> Books:
    """The books, once so many commands are over. Fails where one did not begin and end exactly once."""

    def balanced() -> Books:
        books = Books(stack, product)
        assert len(books.steps) == count, f"{len(books.steps)} of {count} commands were accepted"
        assert books.faults() == []
        return books

    await until(balanced, f"{count} commands to be over")
    return balanced()


def reached(found: list[Any], count: int) -> bool:
    return len(found) >= count


async def counted(application: Application, fanout_id: str, **expected: int) -> None:
    async def as_expected() -> bool:
        answer = (await application.ask("GET", f"/fanouts/{fanout_id}")).json()
        assert {name: answer.get(name) for name in expected} == expected, answer
        return True

    await eventually_async(as_expected, PATIENCE, describe=f"the counts of {fanout_id}")
