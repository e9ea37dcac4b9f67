"""What the end-to-end tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fleet.audit import Audit
from fleet.readers.clickhouse import ClickHouseReader
from fleet.readers.kafka import KafkaReader
from libs.runtime.settings import ClickHouseSettings, KafkaSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.stack import Stack


@pytest.fixture
def audit(stack: Stack) -> Iterator[Audit]:
    """Compares a fleet that is played from now on with the stack."""
    kafka = KafkaReader(KafkaSettings(bootstrap=stack.kafka))
    clickhouse = ClickHouseReader(ClickHouseSettings(url=stack.clickhouse_url))
    yield Audit(kafka, clickhouse)
    clickhouse.close()
    kafka.close()
