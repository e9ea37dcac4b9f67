"""What dashboards and documented questions ask, as the engine is asked it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clickhouse_connect.driver.client import Client

ROOT = Path(__file__).parents[2]
STEP = 60
"""Seconds between the points of a panel."""


def board(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / f"dashboards/{name}.json").read_text(encoding="utf-8"))
    return found


def questions(*pages: str) -> list[str]:
    """All SQL of these pages of the documentation."""
    return [
        sql
        for page in pages
        for sql in re.findall(r"```sql\n(.*?)\n```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    ]


def asked(client: Client, sql: str) -> list[tuple[Any, ...]]:
    """Rows; moments as milliseconds since 1970."""

    def plain(value: Any) -> Any:
        return round(value.replace(tzinfo=UTC).timestamp() * 1000) if isinstance(value, datetime) else value

    return [tuple(map(plain, row)) for row in client.query(sql).result_rows]


def expanded(sql: str, begin: int, end: int, products: Sequence[str]) -> str:
    """Replace what Grafana and its ClickHouse plugin replace; ``begin``, ``end``: the chosen time, in seconds."""
    first, last = f"toDateTime({begin})", f"toDateTime({end})"
    sql = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 >= {first} AND \1 <= {last}", sql)
    sql = re.sub(r"\$__timeInterval\((\w+)\)", rf"toStartOfInterval(toDateTime(\1), INTERVAL {STEP} second)", sql)
    sql = sql.replace("$__interval_s", str(STEP)).replace("${__from:date:seconds}", str(begin))
    sql = sql.replace("${product:sqlstring}", ",".join(f"'{product}'" for product in products))
    assert "$" not in sql
    return sql
