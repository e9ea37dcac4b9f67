"""Desired and reported state."""

from __future__ import annotations

from typing import Final

from libs.topics import names
from libs.topics.messages.hub import TimePassed
from libs.topics.messages.shadow import (
    ShadowAcknowledged,
    ShadowMessageReceived,
    ShadowPulled,
    ShadowReported,
    StatusReported,
)
from libs.topics.messages.shadow_changes import (
    ChangeDesired,
    PatchTagged,
    ShadowChanged,
    ShadowChangeRefused,
    ShadowDocument,
    StatusChanged,
    TaggedPatchApplied,
)
from libs.topics.topic import DEVICE_KEY, FOREVER, MONTH, STATE, Topic, changelog

from . import presence, registry

TOPICS: Final = (
    Topic(
        name=names.SHADOW_INBOX,
        purpose="All that the shadow service folds: shadow messages of both dialects, pulls, status reports, changes "
        "by applications, devices coming and going.",
        key=DEVICE_KEY,
        types=(
            ShadowMessageReceived,
            ShadowPulled,
            ShadowReported,
            ShadowAcknowledged,
            StatusReported,
            ChangeDesired,
            PatchTagged,
            TimePassed,
            *presence.TRANSITIONS,
            *registry.EVENTS,
        ),
        producers=("ingest", "api", "presence", "registry", "shadow"),
        consumers=("shadow",),
        broadcasts=True,
        retention_ms=MONTH,
        stage="live",
    ),
    Topic(
        name=names.SHADOW_EVENTS,
        purpose="Every accepted change of a shadow: who changed what, from which version to which, and which fields "
        "became as desired; every refusal that matters; changes of devices' status reports; results of patches by tag.",
        key="product/device; of a patch by tag its id",
        types=(ShadowChanged, ShadowChangeRefused, StatusChanged, TaggedPatchApplied),
        producers=("shadow",),
        consumers=("timeseries", "applications"),
        retention_ms=FOREVER,
        stage="live",
    ),
    Topic(
        name=names.SHADOW_DOCUMENTS,
        purpose="The current shadow documents.",
        key="product/device, for a named shadow product/device/name",
        types=(ShadowDocument,),
        producers=("shadow",),
        consumers=("api", "applications"),
        cleanup="compact",
        retention_ms=FOREVER,
        stage="live",
        config=STATE,
    ),
    changelog("shadow", "documents", stage="live"),
)
