"""The dev stack's own API key: issued over Kafka once the registry is ready, as an operator would."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING

import msgspec

from devstack import secret_files
from devstack.errors import StackError
from libs.runtime import keys
from libs.runtime.requests.client import NoAnswer, NotAsked, Refused, Requests, RequestsSettings
from libs.runtime.settings import KafkaSettings
from libs.topics.messages.registry import IssueApiKey
from libs.topics.names import REGISTRY_INBOX

if TYPE_CHECKING:
    from pathlib import Path

    from devstack.places import Places

NAME = "dev-stack"
GROUP = "devstack-replies"
"""Apart from the API's own: the partitions of answers are dealt out within a group."""
PATIENCE = 30.0


class Access(msgspec.Struct, frozen=True):
    """``api.json``: how tools on this machine reach the API of the stack."""

    url: str
    key: str


def file(state: Path) -> Path:
    return state / "api.json"


def ensure(stack: Places) -> Access:
    """Write ``api.json``, with a new key where there is none yet. Raises `StackError` where the registry refuses."""
    path = file(stack.state)
    key = msgspec.json.decode(path.read_bytes(), type=Access).key if path.exists() else _issue(stack.kafka)
    access = Access(stack.api_url, key)
    secret_files.write(path, msgspec.json.encode(access).decode() + "\n")
    return access


def _issue(bootstrap: str) -> str:
    try:
        return asyncio.run(_ask(KafkaSettings(bootstrap=bootstrap)))
    except (Refused, NoAnswer, NotAsked) as error:
        raise StackError(f"the registry did not issue an API key: {error}") from error


async def _ask(kafka: KafkaSettings) -> str:
    minted = keys.mint(secrets.token_bytes)
    request = IssueApiKey(
        key_id=minted.key_id,
        name=NAME,
        scopes=("read", "command", "admin"),
        products=None,
        hash=minted.hash,
        expires_at=None,
        requested_by=NAME,
        requested_at=time.time_ns() // 1_000_000,
    )
    requests = Requests(kafka, RequestsSettings(group=GROUP))
    await requests.start()
    try:
        await requests.ask(REGISTRY_INBOX, f"key:{minted.key_id}".encode(), request, PATIENCE)
    finally:
        await requests.stop()
    return minted.text
