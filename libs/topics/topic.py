"""What the catalog says about one topic."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

import msgspec

from . import names
from .messages.base import Message

OUTSIDE: Final = frozenset({"applications", "gateways", "operators"})
"""Producers and consumers that are not services of the hub."""

DEVICE_KEY: Final = "product/device"
"""How most topics are keyed; `identity.device_key` makes the bytes."""

DAY: Final = 24 * 60 * 60 * 1000
WEEK: Final = 7 * DAY
MONTH: Final = 30 * DAY
YEAR: Final = 365 * DAY
FOREVER: Final = -1
"""Kafka's word for no limit; also what a compacted topic has, since its keys say what is obsolete."""

SELDOM_READ: Final = MappingProxyType({"max.message.bytes": str(2 * 1024 * 1024)})
"""Dead letters: the largest input that Kafka takes (1 MiB) still fits as base64, with its reason."""

STATE: Final = MappingProxyType(
    {
        "min.cleanable.dirty.ratio": "0.2",
        "max.compaction.lag.ms": str(DAY),  # what was deleted or replaced is gone from the disk after about a day
        "delete.retention.ms": str(WEEK),  # a reader that was away for a week still sees every deletion
    }
)
"""Public state, read from the beginning by whoever starts anew."""

ROWS: Final = MappingProxyType(
    {
        "min.cleanable.dirty.ratio": "0.1",
        "segment.bytes": str(64 * 1024 * 1024),  # the active segment is never compacted: keep it small
        "delete.retention.ms": str(DAY),
    }
)
"""A lane's rows: a restart reads records, not keys, so compaction decides how long it takes."""

Format: TypeAlias = Literal["json", "lane-row", "none"]


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """One Kafka topic. The catalog is data: provisioning, schemas, AsyncAPI and docs are made from it."""

    name: str
    purpose: str
    """One or two sentences for somebody who has never seen the hub."""
    key: str
    """What the record key is, in words; `DEVICE_KEY` for everything about a device."""
    types: tuple[type[Message], ...]
    """Every message class a reader may meet, fed events included. Empty unless the format is ``json``."""
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    """As producers: services by directory name, or one of `OUTSIDE`."""
    feeds: tuple[str, ...] = ()
    """Inboxes to which `catalog.publish` writes the same bytes under the same key, if they take the type."""
    announced: tuple[type[Message], ...] = ()
    """Types that concern all keys: what it feeds gets them as broadcasts, by `catalog.announce`."""
    broadcasts: bool = False
    """Some records are written once per partition, under `identity.BROADCAST_KEY`."""
    cleanup: Literal["delete", "compact"] = "delete"
    retention_ms: int
    partitions: int | None = None
    """None: as many as the installation's keyed topics have, so that one key is in one place everywhere."""
    stage: Literal["live", "planned"]
    """``planned``: created and documented, its service is still to come, its schemas may change."""
    format: Format = "json"
    """``lane-row``: a lane's own binary rows, of no use to anybody else. ``none``: it never holds a record, its
    partitions are what a consumer group assigns."""
    config: Mapping[str, str] = MappingProxyType({})
    """Further Kafka topic settings, in Kafka's own words."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The ``type`` values a reader may meet, in the order of `types`."""
        return tuple(str(kind.__struct_config__.tag) for kind in self.types)


def changelog(service: str, table: str, *, stage: Literal["live", "planned"]) -> Topic:
    return Topic(
        name=names.changelog(service, table),
        purpose=f"Rows of the lane `{table}` of `{service}`, from which a restarted worker recovers. Not for reading.",
        key="key of the inbox; the lane's own keys begin with a zero byte",
        types=(),
        producers=(service,),
        consumers=(service,),
        cleanup="compact",
        retention_ms=FOREVER,
        stage=stage,
        format="lane-row",
        config=ROWS,
    )
