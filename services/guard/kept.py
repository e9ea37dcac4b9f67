"""A file that holds what we put there, whatever crashes and whoever edits it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PRIVATE, SHARED = 0o600, 0o640


class Kept:
    """Replaced as a whole: a reader, and a crash, finds the old content or the new one.

    ``group``: id of the group that may read it besides its owner; None: nobody may.
    """

    def __init__(self, path: Path, group: int | None = None) -> None:
        self.path, self._group = path, group
        self._mode = PRIVATE if group is None else SHARED
        self._content: bytes | None = None
        self._mark: tuple[int, ...] = ()

    def read(self) -> bytes:
        """What is there now; empty where nothing is. Raises OSError."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""

    def put(self, content: bytes) -> bool:
        """Return whether that changed anything on disk. Raises OSError; the file is then what it was.

        Where nothing is to be changed it costs one look at the directory entry.
        """
        if content == self._content and self._intact():
            return False
        if self._on_disk() == content:  # a restart of ours, or somebody wrote the same
            self._remember(content)
            return False
        new = self.path.with_name(f".{self.path.name}.new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE), "wb") as file:
            if self._group is not None:
                os.fchown(file.fileno(), -1, self._group)
            os.fchmod(file.fileno(), self._mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)
        self._sync_directory()
        self._remember(content)
        return True

    def _intact(self) -> bool:
        return self._look() == self._mark

    def _look(self) -> tuple[int, ...]:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return ()
        return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    def _on_disk(self) -> bytes | None:
        """The content, where its permissions are right too."""
        try:
            found = self.path.stat()
            right = found.st_mode & 0o777 == self._mode and self._group in (None, found.st_gid)
            return self.path.read_bytes() if right else None
        except FileNotFoundError:
            return None

    def _remember(self, content: bytes) -> None:
        self._content, self._mark = content, self._look()

    def _sync_directory(self) -> None:
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
