"""Upgrades as the hub offers them and as it hears of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fleetlog_device import ota
from fleetlog_device.download import Artifact, download
from fleetlog_device.errors import ChecksumMismatch, DownloadFailed, InstallFailed
from fleetlog_device.ota import Upgrade, UpgradeFailure
from fleetlog_device.payload import BadPayload

OFFER: dict[str, Any] = {
    "url": "https://hub/a.bin",
    "version": "1.1",
    "size": 1024,
    "md5": "AB",
    "sha256": "CD",
    "type": "firmware",
}


class Told:
    def __init__(self) -> None:
        self.payloads: list[bytes] = []

    async def __call__(self, payload: bytes) -> None:
        self.payloads.append(payload)


async def test_an_offer_is_read_and_reported_on_as_the_protocol_says() -> None:
    told = Told()
    upgrade = ota.read(OFFER, told)
    assert upgrade == Upgrade(Artifact("https://hub/a.bin", 1024, "ab", "cd"), "1.1", "firmware", told)
    await upgrade.progress(70, "downloading")
    await upgrade.fail(UpgradeFailure.SIGNATURE)
    assert told.payloads[0] == b'{"type":"firmware","version":"1.1","progress":70,"desc":"downloading"}'
    assert json.loads(told.payloads[1])["progress"] == -2


@pytest.mark.parametrize("progress", [0, 101, -5])
async def test_what_is_no_progress_is_refused(progress: int) -> None:
    with pytest.raises(ValueError, match="percentage"):
        await ota.read(OFFER, Told()).progress(progress)


@pytest.mark.parametrize("wrong", [{"url": None}, {"size": "1"}, {"version": 1}, {"md5": 7}])
def test_other_offers_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadPayload):
        ota.read({**OFFER, **wrong}, Told())


@pytest.mark.parametrize(
    ("error", "failure"),
    [(DownloadFailed(""), -1), (ChecksumMismatch(""), -2), (InstallFailed(""), -3), (OSError(), -4)],
)
def test_errors_are_the_protocol_s_failures(error: Exception, failure: int) -> None:
    assert ota.failure_of(error) == failure


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://hub/a", "/a"])
async def test_only_http_is_fetched(url: str, tmp_path: Any) -> None:
    with pytest.raises(DownloadFailed, match="neither"):
        async for _ in download(Artifact(url, 1), tmp_path / "a"):
            pass
