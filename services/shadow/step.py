"""The lane's step: decide, fold, and say it: events, documents, what the device is told, the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from libs.topics.messages.hub import TimePassed
from libs.topics.messages.presence import PresenceChanged
from libs.topics.messages.registry_events import (
    AttributesChanged,
    DeviceDeleted,
    DeviceDisabled,
    DeviceEnabled,
    DeviceRegistered,
    OldSecretExpired,
    ProductChanged,
    ProductDeleted,
    SecretRotated,
    TagsChanged,
)
from libs.topics.messages.shadow import (
    ShadowAcknowledged,
    ShadowMessageReceived,
    ShadowPulled,
    ShadowReported,
    StatusReported,
)
from libs.topics.messages.shadow_changes import ChangeDesired, PatchTagged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.runtime.lane.model import At, Output

    from .model import Entry, Reference

FromDevice: TypeAlias = ShadowMessageReceived | ShadowPulled | ShadowReported | ShadowAcknowledged
Life: TypeAlias = DeviceRegistered | DeviceDeleted | TagsChanged
OfNoInterest: TypeAlias = DeviceEnabled | DeviceDisabled | SecretRotated | OldSecretExpired | AttributesChanged
Broadcast: TypeAlias = PatchTagged | TimePassed | ProductChanged | ProductDeleted
Message: TypeAlias = ChangeDesired | FromDevice | StatusReported | PresenceChanged | Life | OfNoInterest | Broadcast


def step(row: Entry | None, message: Message, at: At, shared: Reference) -> tuple[Entry | None, Sequence[Output]]:
    """Fold one message."""
    return row, ()
