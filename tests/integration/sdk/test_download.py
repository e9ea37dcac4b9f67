"""Artifacts from a server that breaks off, begins anew, or lies."""

from __future__ import annotations

import http.server
import json
from typing import TYPE_CHECKING

import pytest

from devstack.ports import HOST, free_port
from fleetlog_device import ChecksumMismatch, DownloadFailed
from fleetlog_device.download import Artifact, download
from fleetlog_device.ota import Upgrade
from tests.support.artifacts import CONTENT, MD5, SHA256, served

if TYPE_CHECKING:
    from pathlib import Path


async def fetch(artifact: Artifact, path: Path) -> list[int]:
    return [size async for size in download(artifact, path)]


def left_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def artifact(url: str, *, sha256: str = SHA256, size: int = len(CONTENT)) -> Artifact:
    return Artifact(url, size, MD5, sha256)


@pytest.mark.parametrize("ranges", [True, False])
async def test_an_interrupted_download_goes_on(tmp_path: Path, ranges: bool) -> None:
    """Where the server knows no ranges it begins anew."""
    with served(100_000, ranges=ranges) as (url, server):
        sizes = await fetch(artifact(url), tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-"]
    assert sizes[-1] == len(CONTENT)
    assert (sizes == sorted(sizes)) is ranges
    assert left_in(tmp_path) == ["a.bin"]


async def test_another_process_goes_on_too(tmp_path: Path) -> None:
    with served() as (url, server):
        async for size in download(artifact(url), tmp_path / "a.bin"):
            first = size
            break
        await fetch(artifact(url), tmp_path / "a.bin")
    assert server.asked == [None, f"bytes={first}-"]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("wrong", ["sha256", "size"])
async def test_what_is_not_what_was_announced_is_thrown_away(tmp_path: Path, wrong: str) -> None:
    with served() as (url, _):
        told = artifact(url, sha256="0" * 64) if wrong == "sha256" else artifact(url, size=len(CONTENT) - 1)
        with pytest.raises(ChecksumMismatch, match=wrong):
            await fetch(told, tmp_path / "a.bin")
    assert left_in(tmp_path) == []


async def test_what_cannot_be_fetched_is_given_up(tmp_path: Path) -> None:
    with served() as (url, _), pytest.raises(DownloadFailed, match="ended after"):
        await fetch(artifact(url, size=len(CONTENT) + 1), tmp_path / "a.bin")
    with http.server.HTTPServer((HOST, free_port()), http.server.BaseHTTPRequestHandler) as nobody:
        url = f"http://{HOST}:{nobody.server_port}/a.bin"
    with pytest.raises(DownloadFailed, match="refused"):
        await fetch_at_once(artifact(url), tmp_path / "b.bin")


async def fetch_at_once(told: Artifact, path: Path) -> None:
    """Without the pauses between attempts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fleetlog_device.download.PAUSE", 0.001)
        await fetch(told, path)


async def test_an_upgrade_tells_how_far_it_is(tmp_path: Path) -> None:
    told: list[int] = []

    async def tell(payload: bytes) -> None:
        told.append(json.loads(payload)["progress"])

    with served() as (url, _):
        await Upgrade(artifact(url), "1.1", "firmware", tell).download(tmp_path / "a.bin", every=20)
    assert told == sorted(set(told))
    assert told[-1] == 100
    assert 3 <= len(told) <= 6
