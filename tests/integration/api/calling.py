"""Calling the API of a stack, with keys that its registry has issued."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
from confluent_kafka import Producer

from devstack import api_key
from libs.runtime import keys
from libs.topics import names
from libs.topics.codec import encode
from libs.topics.messages.registry import IssueApiKey
from tests.support.polling import eventually

if TYPE_CHECKING:
    from devstack.places import Places
    from libs.topics.messages.registry import Scope

TIMEOUT = 60.0


def access(stack: Places) -> api_key.Access:
    return msgspec.json.decode(api_key.file(stack.state).read_bytes(), type=api_key.Access)


def client(stack: Places, key: str | None = None) -> httpx.AsyncClient:
    """A client with the stack's own key, which may do everything, or another one."""
    found = access(stack)
    headers = {"Authorization": f"Bearer {key or found.key}"}
    return httpx.AsyncClient(base_url=found.url, headers=headers, timeout=TIMEOUT)


def issue(stack: Places, *scopes: Scope, products: tuple[str, ...] | None) -> str:
    """Let the registry issue a key, and wait until the API takes it."""
    minted = keys.mint(secrets.token_bytes)
    request = IssueApiKey(
        key_id=minted.key_id,
        name="limited",
        scopes=scopes,
        products=products,
        hash=minted.hash,
        expires_at=None,
        requested_by="test",
        requested_at=time.time_ns() // 1_000_000,
    )
    producer = Producer({"bootstrap.servers": stack.kafka, "partitioner": "murmur2_random"})
    producer.produce(names.REGISTRY_INBOX, encode(request), f"key:{minted.key_id}".encode())
    assert producer.flush(30) == 0
    admitted(access(stack).url, minted.text)
    return minted.text


def ready(stack: Places) -> None:
    """Wait until the API takes the stack's own key."""
    found = access(stack)
    admitted(found.url, found.key)


def admitted(url: str, key: str) -> None:
    def status() -> bool:
        try:
            answer = httpx.get(f"{url}/v1/products", headers={"Authorization": f"Bearer {key}"}, timeout=10)
        except httpx.TransportError as error:
            raise AssertionError("the API does not listen") from error
        return answer.status_code == httpx.codes.OK

    eventually(status, describe="the API takes a key that the registry has issued")


def outcomes(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Results of a bulk registration by device id."""
    return {result["device_id"]: result for result in answer["results"]}
