"""Messages for the shadow service, with what a test does not care about filled in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from libs.topics.messages.base import Idempotency
from libs.topics.messages.presence import PresenceChanged, SessionState
from libs.topics.messages.registry import ProductDefaults
from libs.topics.messages.registry_events import DeviceDeleted, DeviceRegistered, ProductChanged, TagsChanged
from libs.topics.messages.shadow import (
    ShadowAcknowledged,
    ShadowMessageReceived,
    ShadowPulled,
    ShadowReported,
    StatusReported,
)
from libs.topics.messages.shadow_changes import ChangeDesired, PatchTagged
from libs.topics.payload import embed

if TYPE_CHECKING:
    from services.shadow.model import Form

T0: Final = 1_760_000_000_000
"""When the tests' time begins: ms."""
KEY: Final = b"p1/d1"
WHO: Final[dict[str, Any]] = {"requested_by": "tester", "requested_at": T0}


def idempotent(key: str = "k1", fingerprint: str = "f1") -> Idempotency:
    return Idempotency(key, fingerprint)


def patch(
    desired: dict[str, Any] | None,
    shadow: str | None = None,
    *,
    expected: int | None = None,
    device: str = "d1",
    product: str = "p1",
    operation: Any = "merge",
    **more: Any,
) -> ChangeDesired:
    return ChangeDesired(product, device, shadow, operation, desired, expected, **{**WHO, **more})


def replace_desired(desired: dict[str, Any], shadow: str | None = None, **more: Any) -> ChangeDesired:
    return patch(desired, shadow, operation="replace", **more)


def clear(shadow: str | None = None, **more: Any) -> ChangeDesired:
    return patch(None, shadow, operation="clear", **more)


def delete(shadow: str | None = None, **more: Any) -> ChangeDesired:
    return patch(None, shadow, operation="delete", **more)


def patch_tagged(
    desired: dict[str, Any], tag: str = "line-3", shadow: str | None = None, *, patch_id: str = "patch", **more: Any
) -> PatchTagged:
    return PatchTagged(patch_id, 0, "p1", tag, shadow, desired, **{**WHO, **more})


def said(kind: type[Any], payload: Any, message_id: str, device: str, product: str) -> Any:
    raw = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    return kind(product, device, message_id, 7, *embed(raw), T0)


def report(
    reported: Any, message_id: str = "m1", *, device: str = "d1", product: str = "p1", **more: Any
) -> ShadowReported:
    """A native report; with ``version`` one of the IoTHub dialect."""
    message = said(ShadowReported, {"state": {"reported": reported}, **more}, message_id, device, product)
    assert isinstance(message, ShadowReported)
    return message


def acknowledge(version: int, message_id: str = "m1") -> ShadowAcknowledged:
    payload = {"state": {"desired": None}, "version": version}
    message = said(ShadowAcknowledged, payload, message_id, "d1", "p1")
    assert isinstance(message, ShadowAcknowledged)
    return message


def pull(shadow: str | None = None, *, native: bool = False) -> ShadowPulled:
    payload = {"shadow": shadow} if native or shadow is not None else {}
    message = said(ShadowPulled, payload, "m1", "d1", "p1")
    assert isinstance(message, ShadowPulled)
    return message


def aliyun(payload: Any, form: Form = "device_first") -> ShadowMessageReceived:
    raw = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    return ShadowMessageReceived("p1", "d1", form, 7, *embed(raw), T0)


def status(payload: Any, message_id: str = "m1", at: int = T0) -> StatusReported:
    raw = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    return StatusReported("p1", "d1", message_id, 7, *embed(raw), at)


def register(
    device: str = "d1", *, version: int = 1, tags: tuple[str, ...] = (), product: str = "p1"
) -> DeviceRegistered:
    return DeviceRegistered(
        f"registry.inbox-0-{version}-0", product, device, version, "application", "c", tags, 1, {}, "tester", T0
    )


def delete_device(device: str = "d1", *, version: int = 2) -> DeviceDeleted:
    return DeviceDeleted(f"registry.inbox-0-{version}-0", "p1", device, version, "tester", T0)


def retag(*tags: str, version: int = 2, device: str = "d1") -> TagsChanged:
    return TagsChanged(f"registry.inbox-0-{version}-0", "p1", device, version, tags, version, "tester", T0)


def product(template: dict[str, Any] | None, *, version: int = 1) -> ProductChanged:
    return ProductChanged("registry.inbox-0-0-0", "p1", version, ProductDefaults(template), "tester", T0)


def presence(new: SessionState, number: int = 1, channel: str | None = "ch1", before: str | None = None) -> Any:
    return PresenceChanged(
        id=f"presence.inbox-0-{number}-0",
        product_id="p1",
        device_id="d1",
        old="offline",
        new=new,
        cause="connected",
        reason=None,
        client_id="c1",
        channel_id=channel,
        previous_channel_id=before,
        source="mosquitto:main",
        at=T0,
        observed_at=T0,
    )
