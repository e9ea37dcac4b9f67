from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import msgspec
import pytest

from devstack import api_key
from devstack.stack import Stack
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.api_key import Access


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Kafka, ClickHouse and what the reads need: the registry, presence, shadows, the sink, the API."""
    services = ("registry", "presence", "shadow", "commands", "timeseries", "api")
    with Stack(tmp_path_factory.mktemp("reads"), services=services) as running:
        yield running


@pytest.fixture(scope="package")
def access(stack: Stack) -> Access:
    """How to call its API, which knows the key already."""
    found = msgspec.json.decode(api_key.file(stack.state).read_bytes(), type=api_key.Access)
    headers = {"Authorization": f"Bearer {found.key}"}

    def admitted() -> bool:
        return httpx.get(f"{found.url}/v1/products", headers=headers, timeout=10).status_code == httpx.codes.OK

    eventually(admitted, describe="the API takes the stack's key")
    return found


@pytest.fixture
def client(access: Access) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {access.key}"}
    with httpx.Client(base_url=access.url, headers=headers, timeout=30) as calling:
        yield calling
