"""Reads a fleet's rows from ClickHouse."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from fleet.evidence import Arrival, Transition
from libs.runtime.clickhouse import connect

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from libs.runtime.settings import ClickHouseSettings

ARRIVALS = """
SELECT topic, partition, offset, product_id, device_id, message_id, encoding, payload FROM raw_events
WHERE product_id IN {products:Array(String)} AND received_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
ORDER BY topic, partition, offset
"""
TRANSITIONS = """
SELECT id, product_id, device_id, cause FROM presence_transitions
WHERE product_id IN {products:Array(String)} AND observed_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
ORDER BY partition, offset
"""


class ClickHouseReader:
    """Rows of some products that the hub received since ``since``, in Unix seconds.

    Raises clickhouse_connect's ``DatabaseError`` when ClickHouse does not answer. Used by one thread at a time.
    """

    def __init__(self, settings: ClickHouseSettings) -> None:
        self._client = connect(settings, "fleet")

    def arrivals(self, products: Collection[str], since: float) -> list[Arrival]:
        rows = self._client.query(ARRIVALS, _parameters(products, since)).result_rows
        return [_arrival(row) for row in rows]

    def transitions(self, products: Collection[str], since: float) -> list[Transition]:
        return [Transition(*row) for row in self._client.query(TRANSITIONS, _parameters(products, since)).result_rows]

    def close(self) -> None:
        self._client.close()


def _arrival(row: Sequence[Any]) -> Arrival:
    topic, partition, offset, product_id, device_id, message_id, encoding, payload = row
    sent = base64.b64decode(payload) if encoding == "base64" else payload.encode()
    return Arrival(topic, partition, offset, product_id, device_id, message_id, sent)


def _parameters(products: Collection[str], since: float) -> dict[str, object]:
    return {"products": sorted(products), "since": int(since * 1000)}
