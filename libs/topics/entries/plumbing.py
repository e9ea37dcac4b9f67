"""Replies, owners and dead letters."""

from __future__ import annotations

from typing import Final, Literal

from libs.topics import names
from libs.topics.messages.deadletters import DeadLetter
from libs.topics.messages.hub import PartitionsOwned, RequestAnswered, RequestRefused
from libs.topics.topic import DAY, FOREVER, MONTH, SELDOM_READ, STATE, Topic


def _dead_letters(service: str, stage: Literal["live", "planned"]) -> Topic:
    return Topic(
        name=names.dead_letters(service),
        purpose=f"What `{service}` could not take, whole, with the reason.",
        key="key of the refused record; from MQTT product/device where the topic names them, else none",
        types=(DeadLetter,),
        producers=(service,),
        consumers=("operators",),
        retention_ms=MONTH,
        partitions=1,
        stage=stage,
        config=SELDOM_READ,
    )


TOPICS: Final = (
    Topic(
        name=names.API_REPLIES,
        purpose="Answers to requests of the HTTP interface. Each of its replicas reads one partition; a request "
        "carries that partition and a correlation id.",
        key="correlation id",
        types=(RequestAnswered, RequestRefused),
        producers=("registry", "shadow", "commands", "ota"),
        consumers=("api",),
        retention_ms=DAY,
        partitions=16,
        stage="live",
    ),
    Topic(
        name=names.HUB_OWNERS,
        purpose="Which worker serves which partitions of a service's table, and at which address it answers reads. "
        "A worker that ends in order deletes its record.",
        key="service/table/worker",
        types=(PartitionsOwned,),
        producers=("registry", "presence", "shadow", "commands", "ota"),
        consumers=("api",),
        cleanup="compact",
        retention_ms=FOREVER,
        partitions=1,
        stage="live",
        config=STATE,
    ),
    Topic(
        name=names.INGEST_SHARDS,
        purpose="Never holds a record: partition i stands for MQTT session i of ingest, and a consumer group decides "
        "which replica holds it. It has one partition per shard of `FLEETLOG_SHARDS`.",
        key="none",
        types=(),
        producers=("ingest",),
        consumers=("ingest",),
        retention_ms=DAY,
        partitions=1,
        stage="live",
        format="none",
    ),
    _dead_letters("ingest", "live"),
    _dead_letters("presence", "live"),
    _dead_letters("timeseries", "live"),
    _dead_letters("registry", "live"),
    _dead_letters("shadow", "live"),
    _dead_letters("commands", "live"),
    _dead_letters("ota", "planned"),
    _dead_letters("downlink", "live"),
)
