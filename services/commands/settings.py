"""Settings of the commands service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta

from libs.runtime.lane.settings import LaneSettings, ReadsSettings
from libs.runtime.settings import ServiceSettings, Settings

from .limits import Rules

if TYPE_CHECKING:
    from collections.abc import Iterator

MONTHS: Final = 90 * 24 * 3600


class LedgerSettings(Settings, frozen=True, kw_only=True):
    """``FLEETLOG_COMMANDS_…``: what a device's commands may be."""

    open: Annotated[
        int, Meta(ge=1, le=500, description="Commands of a device that are not over; a further one is refused.")
    ] = 100
    ttl_s: Annotated[
        int,
        Meta(
            ge=1,
            le=MONTHS,
            description="Seconds for which a command waits where neither it nor its product says how long.",
        ),
    ] = 7 * 24 * 3600
    longest_ttl_s: Annotated[
        int, Meta(ge=1, le=MONTHS, description="Seconds for which a command may wait at most.")
    ] = 30 * 24 * 3600
    pace: Annotated[
        int,
        Meta(ge=1, le=1000, description="Commands that waited, and are sent to a device that is back, in each window."),
    ] = 30
    pace_s: Annotated[float, Meta(ge=0.1, le=300, description="Seconds of such a window.")] = 5.0

    def faults(self) -> Iterator[tuple[str, str]]:
        if self.ttl_s > self.longest_ttl_s:
            yield "ttl_s", "must be at most FLEETLOG_COMMANDS_LONGEST_TTL_S"


class CommandsSettings(ServiceSettings, frozen=True, kw_only=True):
    commands: LedgerSettings = LedgerSettings()
    tag_topics: Annotated[
        bool,
        Meta(
            description="Whether a command to a tag reaches the devices that are online by one message on the tag's "
            "topic. Only where the broker lets devices subscribe to their own tags' topics."
        ),
    ] = False
    lane: LaneSettings = LaneSettings()
    reads: ReadsSettings = ReadsSettings()

    def rules(self) -> Rules:
        chosen = self.commands
        return Rules(
            open=chosen.open,
            ttl=chosen.ttl_s * 1000,
            longest_ttl=chosen.longest_ttl_s * 1000,
            pace=chosen.pace,
            window=round(chosen.pace_s * 1000),
            tag_topics=self.tag_topics,
        )
