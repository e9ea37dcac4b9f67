"""One supervisor per state directory. The lock ends with its process, however that ends, so no stale file can lie."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from devstack.errors import StackError

if TYPE_CHECKING:
    from pathlib import Path


class StateLock:
    """Holds ``{state}/supervisor.lock``, which contains the holder's process id, while the context lasts."""

    def __init__(self, state: Path) -> None:
        self._file = state / "supervisor.lock"
        self._descriptor = -1

    def __enter__(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if not _try(self._descriptor):
            os.close(self._descriptor)
            raise StackError(f"already running as process {holder(self._file.parent)}")
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, str(os.getpid()).encode())

    def __exit__(self, *_: object) -> None:
        self._file.unlink()
        os.close(self._descriptor)


def holder(state: Path) -> int | None:
    """Process id of the supervisor that runs for this state directory; None where none does."""
    file = state / "supervisor.lock"
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        if _try(descriptor):
            return None
        return int(os.read(descriptor, 20) or b"0")
    finally:
        os.close(descriptor)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
