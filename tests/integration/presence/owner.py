"""Asking the worker that owns the rows, at the address that it announces."""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING, Any

import msgspec

from libs.topics import names
from libs.topics.codec import Decoder
from libs.topics.messages.hub import PartitionsOwned
from services.presence.app import SERVICE, TABLE
from tests.support.records import read_all

if TYPE_CHECKING:
    from collections.abc import Sequence

decode: Decoder[PartitionsOwned] = Decoder(PartitionsOwned)


def owner(bootstrap: str, partitions: int) -> str:
    """Address of the one worker that serves all partitions. Raises AssertionError where there is none."""
    newest: dict[bytes | None, bytes | None] = {}
    for record in read_all(bootstrap, names.HUB_OWNERS):
        newest[record.key] = record.value
    claims = [decode(value) for value in newest.values() if value is not None]
    mine = [claim for claim in claims if (claim.service, claim.table) == (SERVICE, TABLE)]
    found = [claim for claim in mine if claim.partitions == tuple(range(partitions))]
    assert found, f"nobody announces to serve all {partitions} partitions: {mine}"
    return max(found, key=lambda claim: (claim.generation, claim.at)).url


def ask(url: str, path: str, keys: Sequence[str] | None = None) -> Any:
    """What the owner answers; ``keys``: a batch."""
    body = None if keys is None else msgspec.json.encode({"keys": keys})
    with urllib.request.urlopen(f"{url}/{SERVICE}/{TABLE}/{path}", body, timeout=10) as answer:
        return msgspec.json.decode(answer.read())
