"""The presence service under the lane's benchmark: its events, its topics, and what its rows must be in the end."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import msgspec

from bench.lane_apps.presence_lane import TABLE
from bench.support.kafka import COMPACT
from libs.runtime.lane.rows import PREFIX
from libs.topics import catalog, names
from libs.topics.codec import encode
from libs.topics.messages.presence import ConnectionObserved
from services.presence.model import Device
from services.presence.session import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.support.kafka import Cluster

STATE: Final = names.PRESENCE_STATE
OUTPUTS: Final = (STATE, names.PRESENCE_TRANSITIONS, *catalog.get(names.PRESENCE_TRANSITIONS).feeds)
"""Each event below makes one record in every one of these, and one in the changelog."""
BEGUN = 1_700_000_000_000


def connections(count: int, keys: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield connects and closes of random devices, of each in turn; the same whenever asked."""
    choose, met = random.Random(keys), dict[str, int]()
    for n in range(count):
        device = f"device-{choose.randrange(keys)}"
        number = met.get(device, 0)
        met[device] = number + 1
        closed = bool(number % 2)
        seen = ConnectionObserved(
            product_id="product",
            device_id=device,
            client_id=f"{device}|securemode=2",
            channel_id=f"{device}-{number // 2}",
            event="tcpclean" if closed else "connect",
            time=BEGUN + n,
            source="mosquitto:main",
            sequence=n & 0xFFFF,
            client_ip=None if closed else "10.11.12.13",
            protocol=None if closed else 4,
            keepalive=None if closed else 60,
            reason="closed its connection" if closed else None,
            ingested_at=BEGUN + n,
        )
        yield f"product/{device}".encode(), encode(seen)


def topics(app: str) -> dict[str, dict[str, str]]:
    own = {names.dead_letters(app): {}, names.changelog(app, TABLE): COMPACT}
    return {**{topic: {} for topic in OUTPUTS}, **own}


def mismatches(cluster: Cluster, app: str, count: int, keys: int) -> int:
    """Count the devices whose row says another session than their last event, either way."""
    wanted: dict[bytes, bool] = {}
    for key, _ in connections(count, keys):
        wanted[key] = not wanted.get(key, False)
    latest = {record.key(): record.value() for record in cluster.read(names.changelog(app, TABLE))}
    thaw = msgspec.msgpack.Decoder(Device).decode
    rows = {key: thaw(frame[PREFIX:]) for key, frame in latest.items() if key[0]}
    found = {key: bool(opened(row)) for key, row in rows.items()}
    return sum(found.get(key) != wanted.get(key) for key in found.keys() | wanted.keys())
