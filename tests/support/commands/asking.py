"""Messages for the commands service, with what a test does not care about filled in."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from libs.topics.messages.base import Idempotency
from libs.topics.messages.command_requests import (
    CancelCommand,
    CancelFanOut,
    DeliveryObserved,
    MessagePublished,
    ProbeDevice,
    SendCommand,
    SendToTag,
)
from libs.topics.messages.commands import CommandAnswered, ProbeAnswered, ResourceRequested
from libs.topics.messages.presence import PresenceChanged, SessionState
from libs.topics.messages.registry import ProductDefaults
from libs.topics.messages.registry_events import DeviceDeleted, DeviceRegistered, ProductChanged, TagsChanged
from libs.topics.payload import embed

T0: Final = 1_760_000_000_000
"""When the tests' time begins: ms."""
KEY: Final = b"p1/d1"
WHO: Final[dict[str, Any]] = {"requested_by": "tester", "requested_at": T0}


def raw(payload: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(payload))


def idempotent(key: str = "k1", fingerprint: str = "f1") -> Idempotency:
    return Idempotency(key, fingerprint)


def send(request_id: str = "r1", payload: Any = None, *, ttl: int | None = None, **more: Any) -> SendCommand:
    """``more``: ``mode``, ``command``, ``device``, ``idempotency`` and so on."""
    given = {"mode": "cmd", "command": "unlock", "encoding": "json", "device_id": "d1", **WHO, **more}
    return SendCommand(product_id="p1", request_id=request_id, payload=raw(payload), ttl=ttl, **given)


def call(request_id: str = "r1", payload: Any = None, **more: Any) -> SendCommand:
    """An rpc."""
    return send(request_id, payload, mode="rpc", **more)


def cancel(request_id: str = "r1", **more: Any) -> CancelCommand:
    return CancelCommand("p1", "d1", request_id, **{**WHO, **more})


def send_to_tag(
    fanout_id: str = "f1", *, tag: str = "line-3", mode: Any = "cmd", ttl: int | None = None, **more: Any
) -> SendToTag:
    return SendToTag(fanout_id, "p1", tag, mode, "reboot", "json", raw({"now": True}), ttl, 0, **{**WHO, **more})


def cancel_fanout(fanout_id: str = "f1") -> CancelFanOut:
    return CancelFanOut(fanout_id, "p1", 0, **WHO)


def reply(
    request_id: str = "r1",
    payload: Any = "done",
    *,
    message_id: str | None = None,
    at: int = T0,
    mode: Any = "cmd",
    device: str = "d1",
) -> CommandAnswered:
    told = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    named = message_id or request_id
    return CommandAnswered("p1", device, mode, "unlock", request_id, named, 7, *embed(told), at)


def published(request_id: str = "r1", *, at: int = T0, device: str = "d1") -> MessagePublished:
    return MessagePublished("p1", device, request_id, None, at)


def unheard(request_id: str = "r1", *, at: int = T0) -> MessagePublished:
    """The broker took it, and nobody has subscribed."""
    return MessagePublished("p1", "d1", request_id, None, at, heard=False)


def refused(request_id: str = "r1", why: str = "the broker refused it") -> MessagePublished:
    return MessagePublished("p1", "d1", request_id, why, T0)


def delivered(request_id: str = "r1", *, at: int = T0) -> DeliveryObserved:
    return DeliveryObserved("p1", "d1", request_id, at, "emqx:main", at)


def register(device: str = "d1", *, version: int = 1, tags: tuple[str, ...] = ()) -> DeviceRegistered:
    return DeviceRegistered(
        f"registry.inbox-0-{version}-0", "p1", device, version, "application", "c", tags, version, {}, "tester", T0
    )


def delete_device(device: str = "d1", *, version: int = 2) -> DeviceDeleted:
    return DeviceDeleted(f"registry.inbox-0-{version}-0", "p1", device, version, "tester", T0)


def retag(*tags: str, version: int = 2, device: str = "d1") -> TagsChanged:
    return TagsChanged(f"registry.inbox-0-{version}-0", "p1", device, version, tags, version, "tester", T0)


def probe(probe_id: str = "q1", mode: Any = "strict", *, device: str = "d1", **more: Any) -> ProbeDevice:
    return ProbeDevice("p1", device, probe_id, mode, **{**WHO, **more})


def echo(message_id: str, payload: bytes, *, at: int = T0, device: str = "d1") -> ProbeAnswered:
    return ProbeAnswered("p1", device, message_id, 7, *embed(payload), at)


def pull(resource: Any = "$ntp", payload: bytes = b"{}", *, at: int = T0, device: str = "d1") -> ResourceRequested:
    return ResourceRequested("p1", device, resource, "m1", 7, *embed(payload), at)


def follow(version: int = 1, *, subscribed: bool = True, device: str = "d1") -> ResourceRequested:
    """A device asks for its tags, and says which it has, and whether it has subscribed to them."""
    had = {"tags_version": version, "subscribed": subscribed}
    return pull("$tags", msgspec.json.encode(had), device=device)


def product(command_ttl: int | None, *, version: int = 1, probe_interval: int | None = None) -> ProductChanged:
    defaults = ProductDefaults(command_ttl=command_ttl, probe_interval=probe_interval)
    return ProductChanged("registry.inbox-0-0-0", "p1", version, defaults, "tester", T0)


def presence(new: SessionState, number: int = 1, channel: str | None = "ch1", *, device: str = "d1") -> PresenceChanged:
    """``number``: of the event, for its id."""
    return PresenceChanged(
        id=f"presence.inbox-0-{number}-0",
        product_id="p1",
        device_id=device,
        old="offline",
        new=new,
        cause="connected",
        reason=None,
        client_id="c1",
        channel_id=None if new == "offline" else channel,
        previous_channel_id=None,
        source="mosquitto:main",
        at=T0,
        observed_at=T0,
    )
