"""kill -9 of a stack's services."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from tests.support.polling import eventually

if TYPE_CHECKING:
    from devstack.stack import Stack

PATIENCE = 60.0
"""Seconds for a start on a busy machine."""


def kill(stack: Stack, service: str) -> None:
    """Return when it is at work again."""
    before = stack.restarts(service)
    stack.kill(service, signal.SIGKILL)
    eventually(lambda: stack.restarts(service) == before + 1, PATIENCE, describe=f"{service} was started again")
    eventually(lambda: stack.is_ready(service), PATIENCE, describe=f"{service} at work again")
