"""Fetch an artifact over HTTP: in pieces, resumable, and checked as a whole."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .errors import ChecksumMismatch, DownloadFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PIECE: Final = 64 * 1024
"""Bytes that are held in memory."""
PATIENCE: Final = 30.0
"""Seconds without a byte."""
ATTEMPTS: Final = 5
"""In a row that bring nothing."""
PAUSE: Final = 1.0
"""Seconds before the second attempt; it doubles with each."""


@dataclass(frozen=True, slots=True)
class Artifact:
    url: str
    """``http`` or ``https``."""
    size: int
    """Bytes."""
    md5: str = ""
    """Hex; empty: not checked."""
    sha256: str = ""


async def download(artifact: Artifact, path: Path) -> AsyncIterator[int]:
    """Write the artifact to ``path``, which appears when it is complete and right; yields the bytes received so far.

    The pieces gather beside it in a ``.part`` file of this artifact, from whose end an interrupted download goes on.
    Raises `DownloadFailed`, which leaves that file for the next attempt, and `ChecksumMismatch`, which does not.
    """
    if not artifact.url.startswith(("https://", "http://")):
        raise DownloadFailed(f"{artifact.url!r} is neither https nor http")
    part = path.with_name(f"{path.name}.{hashlib.sha256(repr(artifact).encode()).hexdigest()[:8]}.part")
    part.touch()
    failures = 0
    while (received := _size(part)) < artifact.size:
        try:
            async for size in _pieces(artifact, part):
                failures = 0
                yield size
        except (OSError, http.client.HTTPException) as error:
            failures += 1
            if failures >= ATTEMPTS or _is_final(error):
                raise DownloadFailed(f"{artifact.url}: {error}") from error
            await asyncio.sleep(PAUSE * 2 ** (failures - 1))
            continue
        if _size(part) == received:
            raise DownloadFailed(f"{artifact.url} ended after {received} of {artifact.size} bytes")
    await asyncio.to_thread(_check, artifact, part)
    part.replace(path)


def _is_final(error: Exception) -> bool:
    return isinstance(error, urllib.error.HTTPError) and 400 <= error.code < 500


async def _pieces(artifact: Artifact, part: Path) -> AsyncIterator[int]:
    """One request. Raises `OSError` and `http.client.HTTPException`."""
    start = _size(part)
    headers = {"Range": f"bytes={start}-"} if start else {}
    request = urllib.request.Request(artifact.url, headers=headers)  # noqa: S310 - the scheme was checked
    response = await asyncio.to_thread(urllib.request.urlopen, request, timeout=PATIENCE)
    with response:
        resumed = response.status == http.client.PARTIAL_CONTENT
        size = start if resumed else 0  # else the server begins anew, and so do we
        with part.open("ab" if resumed else "wb") as file:
            while size <= artifact.size and (piece := await asyncio.to_thread(response.read, PIECE)):
                await asyncio.to_thread(file.write, piece)
                size += len(piece)
                yield size


def _size(part: Path) -> int:
    return part.stat().st_size


def _check(artifact: Artifact, part: Path) -> None:
    wrong = [] if _size(part) == artifact.size else ["size"]
    for name in ("md5", "sha256"):
        expected = getattr(artifact, name)
        if expected and _digest(part, name) != expected:
            wrong.append(name)
    if wrong:
        part.unlink()
        raise ChecksumMismatch(f"{artifact.url}: {' and '.join(wrong)} differ")


def _digest(part: Path, name: str) -> str:
    with part.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(name, usedforsecurity=False)).hexdigest()
