"""Settings of the topics job. It serves nothing, but takes the ops variables that all services share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from libs.runtime import shards
from libs.runtime.settings import ServiceSettings

if TYPE_CHECKING:
    from collections.abc import Iterator


class TopicsSettings(ServiceSettings, frozen=True, kw_only=True):
    shards: shards.Shards = ""
    patience: Annotated[float, Meta(gt=0, description="Seconds to wait for each answer of Kafka.")] = 30.0

    def faults(self) -> Iterator[tuple[str, str]]:
        yield from (("shards", reason) for reason in shards.faults(self.shards))
