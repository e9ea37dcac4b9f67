"""A device's lives: it may be deleted, and another one registered under its name. Pure.

What happened before a deletion is none of the next life's, whenever it is heard of: the close that follows when the
guard cuts the session, a message that the broker delivers again. So a channel belongs to the life in which it was
opened. The fold takes no notice of it and remembers both lives alike; only what belongs to the present one is shown.
Between deletion and registration there is no device, though one may still be connected until the guard has cut it.

The registry's clock tells when a life begins, a source's clock when a channel was opened, and that may have whole
seconds. A channel that was opened in the second in which a life began counts as that life's: if it is the past one's,
it is cut, and its close settles it; the other error nothing would settle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

if TYPE_CHECKING:
    from libs.topics.messages.registry_events import DeviceDeleted, DeviceRegistered

    from .model import Channel, Client, Device

REGISTRY: Final = "registry"
"""The source of a deletion."""

SECOND: Final = 1000


def delete(device: Device, event: DeviceDeleted) -> Device:
    """End the device's life. One that is met again changes nothing."""
    return device if event.version <= device.version else _begin(device, event, gone=True)


def register(device: Device, event: DeviceRegistered) -> Device:
    """Begin the next life of a device that is gone. The first one needs no beginning."""
    return device if not device.gone or event.version <= device.version else _begin(device, event, gone=False)


def _begin(device: Device, event: DeviceRegistered | DeviceDeleted, *, gone: bool) -> Device:
    at = max(event.at, device.born_at)  # clocks of those who asked may differ; versions do not
    traffic, probe = device.last_traffic_at, device.last_probe
    return replace(
        device,
        last_traffic_at=None if traffic is not None and traffic <= at else traffic,
        last_probe=None if probe is not None and probe.at <= at else probe,
        ended_at=None,
        born_at=at,
        version=event.version,
        gone=gone,
    )


def present(device: Device, channel: Channel) -> bool:
    """Tell whether a channel belongs to the device's present life."""
    return device.born_at < 0 or channel.opened_at >= device.born_at - device.born_at % SECOND


def connected(device: Device, client: Client) -> bool:
    """Tell whether a client has an open channel of the present life."""
    return client.newest is not None and client.newest.end is None and present(device, client.newest)
