"""The commands service under its benchmark: what is asked of it, its topics, and what events and rows must be then."""

from __future__ import annotations

import random
import time
from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

from bench.support.kafka import COMPACT
from libs.runtime.lane.rows import Codec
from libs.topics import names
from libs.topics.codec import encode
from libs.topics.messages.command_requests import MessagePublished, SendCommand
from libs.topics.messages.commands import CommandAnswered
from libs.topics.messages.presence import PresenceChanged
from libs.topics.messages.registry_events import DeviceRegistered
from services.commands.app import TABLE
from services.commands.limits import REPLIED
from services.commands.model import Entry, Product

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.support.kafka import Cluster

STEPS: Final = ("command_accepted", "command_sent", "command_replied")
"""Events of one command to a device that is online."""
WAITING: Final = ("command_accepted", "command_queued")
"""Of one to a device that is not."""
LAG: Final = 50
"""Commands that are sent until the broker has taken one, and as many again until its device has replied."""
EACH: Final = 10
"""Commands that wait for one device."""
TAGS: Final = 50
PRODUCTS: Final = 10

codec: Final = Codec(Entry, int, Product)


class Work(msgspec.Struct, frozen=True):
    """A backlog: devices are registered, and ``pending`` commands begin to wait for those that are offline.

    Each of the others hears and answers one; then ``commands`` are sent to, taken for and answered by some of those,
    chosen at random.
    """

    online: int
    offline: int
    pending: int
    commands: int

    @property
    def before(self) -> int:
        """Count the events before the first one that is measured."""
        return self.pending * len(WAITING) + self.online * len(STEPS)

    @property
    def events(self) -> int:
        """Count those that are measured."""
        return self.commands * len(STEPS)

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        now = time.time_ns() // 1_000_000
        for n in range(self.online + self.offline):
            yield key(n), encode(registered(n, now))
            if n < self.online:
                yield key(n), encode(connected(n, now))
                yield from first(n, now)
        for number in range(self.pending):
            device = self.online + number % self.offline
            yield key(device), encode(sent(f"w-{number}", device, now))
        yield from self._lives(now)

    def _lives(self, now: int) -> Iterator[tuple[bytes, bytes]]:
        """What happens to one command lies among what happens to others."""
        choose = random.Random(self.online)
        published, answered = deque[tuple[str, int]](), deque[tuple[str, int]]()
        for number in range(self.commands + 2 * LAG):
            if number < self.commands:
                device = choose.randrange(self.online)
                yield key(device), encode(sent(f"c-{number}", device, now))
                published.append((f"c-{number}", device))
            if number >= LAG and published:
                request_id, device = published.popleft()
                yield key(device), encode(MessagePublished(*name(device), request_id, None, now))
                answered.append((request_id, device))
            if number >= 2 * LAG and answered:
                request_id, device = answered.popleft()
                yield key(device), encode(replied(request_id, device, now))

    def mismatches(self, cluster: Cluster, app: str) -> int:
        """Count commands whose events are not those that they must have, and rows that do not hold what they must."""
        steps: dict[str, list[str]] = {f"w-{number}": list(WAITING) for number in range(self.pending)}
        steps |= {f"h-{n}": list(STEPS) for n in range(self.online)}
        steps |= {f"c-{number}": list(STEPS) for number in range(self.commands)}
        told: dict[str, list[str]] = {}
        for record in cluster.read(names.COMMANDS_EVENTS):
            event = _event(record.value())
            told.setdefault(event.request_id, []).append(event.type)
        wrong = sum(told.get(one) != steps.get(one) for one in told.keys() | steps.keys())
        choose, counts = random.Random(self.online), [1] * self.online
        for _ in range(self.commands):
            counts[choose.randrange(self.online)] += 1
        rows = {record.key(): record.value() for record in cluster.read(names.changelog(app, TABLE)) if record.key()}
        for n in range(self.online + self.offline):
            row = codec.thaw(rows[key(n)]) if rows.get(key(n)) else None
            wanted = (0, min(counts[n], REPLIED)) if n < self.online else (self.pending // self.offline, 0)
            wrong += not isinstance(row, Entry) or (len(row.open), len(row.ended)) != wanted
        return wrong


class _Event(msgspec.Struct):
    type: str
    request_id: str


_event: Final = msgspec.json.Decoder(_Event).decode


def topics(app: str) -> dict[str, dict[str, str]]:
    own = {names.dead_letters(app): {}, names.changelog(app, TABLE): COMPACT}
    return {names.COMMANDS_EVENTS: {}, names.DOWNLINK_MESSAGES: {}, **own}


def name(n: int) -> tuple[str, str]:
    return f"product-{n % PRODUCTS}", f"device-{n}"


def key(n: int) -> bytes:
    return "/".join(name(n)).encode()


def registered(n: int, now: int) -> DeviceRegistered:
    tags = f"hall-{n // PRODUCTS % TAGS}", f"line-{n % 7}"
    return DeviceRegistered(f"r-{n}", *name(n), 1, "bulk", "c", tags, 1, {}, "bench", now)


def connected(n: int, now: int) -> PresenceChanged:
    ids = f"presence.inbox-0-{n}-0", *name(n)
    return PresenceChanged(*ids, "offline", "online", "connected", None, "client", "channel", None, "bench", now, now)


def sent(request_id: str, n: int, now: int) -> SendCommand:
    payload = msgspec.Raw(b'{"relay":2,"on":true,"for_s":30}')
    return SendCommand(
        *name(n), request_id, "cmd", "switch", "json", payload, None, requested_by="bench", requested_at=now
    )


def replied(request_id: str, n: int, now: int) -> CommandAnswered:
    payload = msgspec.Raw(b'{"done":true,"took_ms":12}')
    return CommandAnswered(*name(n), "cmd", "switch", request_id, request_id, 1, "json", payload, now)


def first(n: int, now: int) -> Iterator[tuple[bytes, bytes]]:
    """A command by which the hub learns that the device listens."""
    yield key(n), encode(sent(f"h-{n}", n, now))
    yield key(n), encode(MessagePublished(*name(n), f"h-{n}", None, now))
    yield key(n), encode(replied(f"h-{n}", n, now))
