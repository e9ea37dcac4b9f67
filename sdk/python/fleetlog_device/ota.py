"""Upgrades: what the hub offers, and what it wants to hear. Success is decided by the version in the status."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from .download import Artifact, download
from .errors import ChecksumMismatch, DownloadFailed, InstallFailed
from .payload import BadPayload, integer, to_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

UPGRADE: Final = "$ota_upgrade"


class UpgradeFailure(IntEnum):
    """What went wrong, in the place of a percentage."""

    DOWNLOAD = -1
    SIGNATURE = -2
    INSTALL = -3
    OTHER = -4


def failure_of(error: Exception) -> UpgradeFailure:
    """What an error that a handler let pass is to the hub."""
    match error:
        case ChecksumMismatch():
            return UpgradeFailure.SIGNATURE
        case DownloadFailed():
            return UpgradeFailure.DOWNLOAD
        case InstallFailed():
            return UpgradeFailure.INSTALL
        case _:
            return UpgradeFailure.OTHER


def report(kind: str, version: str, progress: int, description: str) -> bytes:
    """The payload of ``update_ota_status``. Raises `ValueError`."""
    if not (1 <= progress <= 100 or progress in set(UpgradeFailure)):
        raise ValueError(f"{progress} is neither a percentage from 1 to 100 nor a failure")
    return to_json({"type": kind, "version": version, "progress": progress, "desc": description})


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What ``$ota_upgrade`` offers."""

    artifact: Artifact
    version: str
    kind: str
    """``type`` on the wire, such as ``firmware``."""
    tell: Callable[[bytes], Awaitable[object]]
    """Takes the payload of a report into the buffer."""

    async def progress(self, percent: int, description: str = "") -> None:
        """From 1 to 100, which is a complete download. The upgrade succeeds when `Device.update_status` says so.

        Raises `ValueError`.
        """
        await self.tell(report(self.kind, self.version, percent, description))

    async def fail(self, failure: UpgradeFailure, description: str = "") -> None:
        await self.tell(report(self.kind, self.version, failure, description))

    async def download(self, path: Path, *, every: int = 10) -> None:
        """Fetch the artifact to ``path`` and check it, telling the hub each ``every`` percent.

        An interrupted download goes on where it stopped, also in another process. Raises `DownloadFailed` and
        `ChecksumMismatch`.
        """
        told = 0
        async for received in download(self.artifact, path):
            percent = 100 * received // self.artifact.size if self.artifact.size else 100
            if percent >= max(1, told + every) and percent < 100:
                told = percent
                await self.progress(percent, "downloading")
        await self.progress(100, "downloaded")


def read(document: dict[str, Any], tell: Callable[[bytes], Awaitable[object]]) -> Upgrade:
    """A ``$ota_upgrade``. Raises `BadPayload`."""
    texts = {}
    for name in ("url", "version", "md5", "sha256", "type"):
        value = document.get(name, "" if name in ("md5", "sha256") else None)
        if not isinstance(value, str):
            raise BadPayload(f"{name} of the upgrade is not a text")
        texts[name] = value
    size = integer(document.get("size"), "size")
    artifact = Artifact(texts["url"], size, texts["md5"].lower(), texts["sha256"].lower())
    return Upgrade(artifact, texts["version"], texts["type"], tell)
