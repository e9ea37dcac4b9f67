"""Shadows whose history has known answers: two products, three devices and a patch by tag, within two minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.topics.messages.shadow_changes import ShadowChangeRefused, StatusChanged, TaggedPatchApplied
from tests.support.shadow_log import ShadowLog

if TYPE_CHECKING:
    from libs.topics.messages.base import Message
    from libs.topics.messages.shadow_changes import Via

PRODUCT, OTHER = "weather-v2", "lock-a1"
PATCH = "01JT8W6Z0009"


def seattle(base: int) -> ShadowLog:
    """v1 is reported after 4 s, and of v3 one field after 10 s, the other never."""
    log = ShadowLog(PRODUCT, "seattle-017", base)
    log.desire(base, {"interval": 30})
    log.report(base + 4_000, {"interval": 30})
    log.desire(base + 60_000, {"interval": 60, "led": "on"})
    log.report(base + 70_000, {"interval": 60})
    return log


def portland(base: int) -> ShadowLog:
    """A named shadow: converged after 1 s, drifted for 2 s."""
    log = ShadowLog(PRODUCT, "portland-003", base, "night")
    log.desire(base + 5_000, {"dim": 1})
    log.report(base + 6_000, {"dim": 1})
    log.report(base + 7_000, {"dim": 2})
    log.report(base + 9_000, {"dim": 1})
    return log


def tacoma(base: int) -> ShadowLog:
    """Changed by the patch, and reported 5 s later."""
    log = ShadowLog(PRODUCT, "tacoma-001", base)
    log.desire(base + 61_000, {"interval": 90}, patch_id=PATCH)
    log.report(base + 66_000, {"interval": 90})
    return log


def door(base: int) -> ShadowLog:
    """Of the other product; it never reports."""
    log = ShadowLog(OTHER, "door-0042", base)
    log.desire(base + 2_000, {"bolt": "open"})
    return log


def refusals(base: int) -> list[ShadowChangeRefused]:
    """Two of a device's own, and one of the patch."""

    def refused(number: int, device: str, code: str, at: int, patch_id: str | None) -> ShadowChangeRefused:
        via: Via = "tag" if patch_id else "native"
        return ShadowChangeRefused(
            f"shadow.inbox-9-{number}-0", PRODUCT, device, None, via, "ops", code, "because", None, 2, patch_id, at
        )

    return [
        refused(1, "seattle-017", "version_conflict", base + 10_000, None),
        refused(2, "seattle-017", "version_conflict", base + 11_000, None),
        refused(3, "tacoma-002", "document_too_large", base + 62_000, PATCH),
    ]


def status(base: int) -> list[StatusChanged]:
    told = [
        (PRODUCT, "seattle-017", 1_000, 87),
        (PRODUCT, "seattle-017", 2_000, 86),
        (PRODUCT, "seattle-017", 61_000, 85),
    ]
    told.append((OTHER, "door-0042", 3_000, 50))
    return [
        StatusChanged(f"shadow.inbox-8-{number}-0", product, device, {"battery": level}, f"m{number}", base + after)
        for number, (product, device, after, level) in enumerate(told)
    ]


def answers(base: int) -> list[TaggedPatchApplied]:
    """Of two partitions."""
    counts = ((1, 1, 0), (1, 0, 1))
    return [
        TaggedPatchApplied(f"shadow.inbox-{n}-7-0", PATCH, n, PRODUCT, "coast", None, *count, "ops", base + 63_000)
        for n, count in enumerate(counts)
    ]


def events(base: int) -> list[Message]:
    """All of it, in the order of time as far as it matters; ``base``: a whole minute."""
    logs = (seattle(base), portland(base), tacoma(base), door(base))
    return [*(event for log in logs for event in log.events), *refusals(base), *status(base), *answers(base)]
