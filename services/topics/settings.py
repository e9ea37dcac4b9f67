"""Settings of the topics job. It serves nothing, but takes the ops variables that all services share."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from libs.runtime.settings import ServiceSettings


class TopicsSettings(ServiceSettings, frozen=True, kw_only=True):
    patience: Annotated[float, Meta(gt=0, description="Seconds to wait for each answer of Kafka.")] = 30.0
