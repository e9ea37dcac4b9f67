"""One guarded stack for the tests of the guard: mosquitto on all its listeners, ingest and the guard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.support.documents import Documents
from devstack.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="package")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("guarded"), services=("ingest", "guard"), tls=True) as stack:
        yield stack


@pytest.fixture(scope="package")
def documents(guarded: Stack) -> Documents:
    return Documents(guarded.kafka)
