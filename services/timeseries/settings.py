"""Settings of the time series sink."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from libs.runtime.settings import ClickHouseSettings, ServiceSettings


class TimeseriesSettings(ServiceSettings, frozen=True, kw_only=True):
    clickhouse: ClickHouseSettings = ClickHouseSettings()
    group: Annotated[str, Meta(min_length=1, description="Kafka consumer group. Its offsets say what is stored.")] = (
        "timeseries"
    )
    instance_id: Annotated[
        str,
        Meta(
            description="Name of this replica that survives its restarts: it then gets its partitions back at once "
            "after a crash. Unique in the group; empty: none, and a crash is noticed after 10 s."
        ),
    ] = ""
    block_rows: Annotated[int, Meta(ge=1, le=1_000_000, description="Rows, over all tables, that close a block.")] = (
        200_000
    )
    block_bytes: Annotated[int, Meta(ge=1, description="Bytes of Kafka records that close a block.")] = 8 << 20
    block_seconds: Annotated[
        float,
        Meta(
            gt=0,
            le=60,
            description="Age that closes a block, once the one before it is stored: the delay of rows while there are "
            "few. Each partition makes a block of its own and each block a part in each table that it has rows for, so "
            "more partitions want a higher value.",
        ),
    ] = 0.5
    buffer_bytes: Annotated[
        int, Meta(ge=1, description="Bytes of Kafka records that may wait in memory; above it reading stops.")
    ] = 64 << 20
    inserters: Annotated[int, Meta(ge=1, le=16, description="Blocks that are sent to ClickHouse at a time.")] = 2
