"""A device's lives: it may be deleted, and another one registered under its name. Pure.

What happened before a deletion is none of the next life's, whenever it is heard of: the close that follows when the
guard cuts the session, a message that the broker delivers again. So a channel belongs to the life in which it was
opened. Between deletion and registration there is no device, though one may still be connected until the guard has cut
it: events go on to be folded, and nothing is shown.

The registry's clock tells when a life begins, a source's clock when a channel was opened, and that may have whole
seconds. A channel that is first heard of after a deletion and was opened in that very second counts as the next
life's: if it was the past one's, it is cut, and its close settles it; the other error nothing would settle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from .model import Channel, Client, Device, End

if TYPE_CHECKING:
    from libs.topics.messages.base import Millis
    from libs.topics.messages.registry_events import DeviceDeleted, DeviceRegistered

REGISTRY: Final = "registry"
"""The source of a deletion."""

SECOND: Final = 1000


def delete(device: Device, event: DeviceDeleted) -> Device:
    """End all that was open; of the past nothing is shown any more. One that is met again changes nothing."""
    if event.version <= device.version:
        return device
    at = max(event.at, device.born_at)
    return replace(_born(device, at, at), version=event.version, gone=True)


def register(device: Device, event: DeviceRegistered) -> Device:
    """Begin the next life of a device that is gone. The first one needs no beginning."""
    if not device.gone or event.version <= device.version:
        return device
    at = max(event.at, device.born_at)
    return replace(_born(device, at, _second(at) - 1), version=event.version, gone=False)


def _born(device: Device, at: Millis, past: Millis) -> Device:
    """End what was opened until ``past``, and forget the facts from before ``at``."""
    traffic, probe = device.last_traffic_at, device.last_probe
    return replace(
        device,
        clients=tuple([_ended(client, at, past) for client in device.clients]),
        last_traffic_at=None if traffic is not None and traffic <= at else traffic,
        last_probe=None if probe is not None and probe.at <= at else probe,
        ended_at=None,
        born_at=at,
    )


def bury(client: Client, born_at: Millis) -> Client:
    """End the newest channel of a client if it was opened in a past life."""
    return client if born_at < 0 else _ended(client, born_at, _second(born_at) - 1)


def _ended(client: Client, at: Millis, past: Millis) -> Client:
    newest = client.newest
    if newest is None or newest.opened_at > past or (newest.end is not None and newest.end.at <= at):
        return client
    return replace(client, newest=replace(newest, end=End(at, REGISTRY, "deleted")))


def present(device: Device, channel: Channel) -> bool:
    """Tell whether a channel belongs to the device's present life."""
    if device.born_at < 0:
        return True
    return channel.opened_at >= _second(device.born_at) and (channel.end is None or channel.end.cause != "deleted")


def _second(time: Millis) -> Millis:
    return time - time % SECOND
