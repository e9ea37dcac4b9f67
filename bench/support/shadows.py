"""The shadow service under its benchmark: what is asked of it, its topics, and what rows and documents must be then."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bench.lane_apps.shadow_lane import TABLE
from bench.support.kafka import COMPACT
from libs.runtime.lane.rows import GENERATION_SHIFT, Codec, prefix
from libs.shadow import document, trees
from libs.topics import names
from libs.topics.codec import encode
from libs.topics.identity import BROADCAST_KEY
from libs.topics.messages.registry_events import DeviceRegistered
from libs.topics.messages.shadow import ShadowReported
from libs.topics.messages.shadow_changes import (
    ChangeDesired,
    PatchTagged,
    ShadowDocument,
    ShadowSections,
    TaggedPatchApplied,
)
from services.shadow.model import Entry, Head, Product, Speech, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bench.support.kafka import Cluster

BEGUN: Final = 1_700_000_000_000
TAGS: Final = 50
"""Halls, over which devices are dealt out."""
PRODUCTS: Final = 10
OUTPUTS: Final = (names.SHADOW_EVENTS, names.SHADOW_DOCUMENTS, names.DOWNLINK_MESSAGES)

codec: Final = Codec(Entry, int, Product, Head)


class Work(msgspec.Struct, frozen=True):
    """A backlog: ``devices`` are registered, then ``changes`` are asked for, of devices chosen at random."""

    inbox: str
    devices: int
    changes: int
    reported: bool
    """By the devices, in the native form; else desired by an application, and the devices are not there."""

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        for n in range(self.devices):
            yield key(n), encode(registered(n))
        for number, device, patch in self._patches():
            yield key(device), encode(self._change(number, device, patch))

    def _patches(self) -> Iterator[tuple[int, int, dict[str, Any]]]:
        choose = random.Random(self.devices)
        for number in range(self.changes):
            lamp = {"on": bool(number & 1), "brightness": number % 101}
            yield number, choose.randrange(self.devices), {"led": lamp, "interval_s": 10 + number % 50, "mode": "eco"}

    def _change(self, number: int, device: int, patch: dict[str, Any]) -> ShadowReported | ChangeDesired:
        product_id, device_id = name(device)
        if self.reported:
            payload = msgspec.Raw(msgspec.json.encode({"state": {"reported": patch}}))
            return ShadowReported(product_id, device_id, str(number), number & 0x7FFF, "json", payload, BEGUN)
        return ChangeDesired(
            product_id, device_id, None, "merge", patch, None, requested_by="bench", requested_at=BEGUN
        )

    def expected(self) -> dict[bytes, tuple[int, ShadowSections]]:
        """Fold the same changes, without the service: version and state of each device that was changed."""
        versions: Counter[bytes] = Counter()
        found: dict[bytes, tuple[trees.Tree, trees.Times]] = {}
        for _, device, patch in self._patches():
            versions[key(device)] += 1
            found[key(device)] = trees.merge(*found.get(key(device), ({}, {})), patch, 0)
        sections = {
            one: (ShadowSections({}, it) if self.reported else ShadowSections(it, {})) for one, (it, _) in found.items()
        }
        return {one: (versions[one], state) for one, state in sections.items()}

    def mismatches(self, cluster: Cluster, app: str) -> int:
        """Count the rows and the documents that are not as expected, either way."""
        wanted = self.expected()
        rows = {}
        for one_key, frame in latest(cluster, names.changelog(app, TABLE)).items():
            row = codec.thaw(frame)
            if isinstance(row, Entry) and row.classic is not None:
                rows[one_key] = row.classic.version, ShadowSections(row.classic.desired, row.classic.reported)
        decode = msgspec.json.Decoder(ShadowDocument).decode
        shown = {one: decode(value) for one, value in latest(cluster, names.SHADOW_DOCUMENTS).items()}
        documents = {one: (it.version, it.state) for one, it in shown.items()}
        return differences(rows, wanted) + differences(documents, wanted)


def differences(found: dict[bytes, Any], wanted: dict[bytes, Any]) -> int:
    return sum(found.get(one) != wanted.get(one) for one in found.keys() | wanted.keys())


def latest(cluster: Cluster, topic: str) -> dict[bytes, bytes]:
    """Return what a compacted topic keeps of its devices."""
    found = {record.key(): record.value() for record in cluster.read(topic)}
    return {one: value for one, value in found.items() if one[0] and value is not None}


def topics(app: str) -> dict[str, dict[str, str]]:
    own = {names.dead_letters(app): {}, names.changelog(app, TABLE): COMPACT}
    return {**{topic: {} for topic in OUTPUTS}, **own}


def name(n: int) -> tuple[str, str]:
    return f"product-{n % PRODUCTS}", f"device-{n}"


def key(n: int) -> bytes:
    return "/".join(name(n)).encode()


def tags(n: int) -> tuple[str, ...]:
    return f"hall-{n // PRODUCTS % TAGS}", f"line-{n % 7}"


def registered(n: int) -> DeviceRegistered:
    return DeviceRegistered(f"r-{n}", *name(n), 1, "bulk", "c", tags(n), 1, {}, "bench", BEGUN)


# -- recovery


def frames(rows: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield a changelog of registered devices that have two versions of a shadow, a status and a session."""
    revision = 1 << GENERATION_SHIFT
    for n in range(rows):
        yield key(n), prefix(revision) + codec.encode(entry(n, revision))


def entry(n: int, revision: int) -> Entry:
    limits = {"low": 1.5, "high": 80.25}
    desired = {"led": {"on": True, "brightness": n % 101}, "interval_s": 30, "mode": "eco", "limits": limits}
    reported = {**desired, "led": {"on": True, "brightness": 10}, "firmware": "1.2.3"}
    made, _ = document.change(document.empty(BEGUN), BEGUN + 1, desired=desired, reported=None)
    made, _ = document.change(made, BEGUN + 2, desired=None, reported=reported)
    return Entry(
        revision=revision,
        offset=-1,
        product_id=name(n)[0],
        registered=True,
        tags=tags(n),
        since=BEGUN,
        registry_version=1,
        session="online",
        presence_id=f"presence.inbox-0-{n}-0",
        speech=Speech("iothub"),
        classic=made,
        status=Status({"battery": 80, "rssi": -60}, "m1", BEGUN),
    )


def tagged(rows: int) -> int:
    """Count the devices of `patch`."""
    return sum(name(n)[0] == "product-0" and "hall-0" in tags(n) for n in range(0, rows, PRODUCTS))


def patch(partition: int) -> tuple[bytes, bytes]:
    """Ask a partition to change the devices of one tag of one product: it finds them by its index."""
    asked = PatchTagged(
        "patch", partition, "product-0", "hall-0", None, {"mode": "day"}, requested_by="bench", requested_at=BEGUN
    )
    return BROADCAST_KEY, encode(asked)


def patched(values: Iterable[bytes]) -> dict[int, TaggedPatchApplied]:
    """Return the summaries among the events, by partition."""
    found = {}
    for value in values:
        if b'"tagged_patch_applied"' in value[:40]:
            one = msgspec.json.decode(value, type=TaggedPatchApplied)
            found[one.partition] = one
    return found
