"""All shadows of a log, and what others show of them. Pure.

Others are read while changes go on, so what they show is compared at the version that they show: at once where the log
is there, else when it comes there. What they show too early is asked for again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from libs.shadow.document import digest

from .track import Track, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from libs.topics.messages.shadow_changes import ShadowChanged, ShadowDocument

    from .track import Difference

Standing: TypeAlias = Literal["same", "differs", "ahead", "behind", "unfounded"]


Position: TypeAlias = tuple[str, int, int]
"""Of an event's cause: topic and partition, offset, and which of its consequences it is."""


class Shown(msgspec.Struct, frozen=True):
    """What somebody shows of a shadow, without its content."""

    version: int
    created_at: int
    digest: str


def shown(document: ShadowDocument) -> Shown:
    return Shown(document.version, document.created_at, digest(document))


class Side:
    """One place where documents are shown, and what of it is not settled yet."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.open: dict[str, Shown | None] = {}
        """What was shown last, by key of the document; None: nothing."""
        self.alike: set[str] = set()
        """Keys whose documents, or whose absence, are as the log has them."""
        self.differences: dict[str, Difference] = {}
        self.unfounded = 0
        """Documents that the log says too little of."""

    def put(self, track: Track, document: Shown | None) -> None:
        """Take what is shown now, unless it is settled already, and settle it if that can be done."""
        if track.key not in self.alike and track.key not in self.differences:
            self.open[track.key] = document
            self.settle(track)

    def settle(self, track: Track) -> None:
        """Compare with what the log has come to."""
        if track.key not in self.open:
            return
        found = standing(track, self.open[track.key])
        if found == "same":
            self.alike.add(track.key)
        elif found == "differs":
            detail = "the content is another; nothing is known of the versions before it"
            self.differences[track.key] = track.difference(self.name, "content", track.version, detail)
        else:
            return
        del self.open[track.key]

    def moving(self, tracks: dict[str, Track]) -> list[str]:
        """Return the keys that going on with the log, or looking again, may settle."""
        return [key for key, document in self.open.items() if standing(tracks[key], document) != "unfounded"]

    def stale(self, tracks: dict[str, Track]) -> list[str]:
        """Return the keys that must be looked at again: going on with the log alone does not settle them."""
        return [key for key, document in self.open.items() if standing(tracks[key], document) == "behind"]

    def close(self, tracks: dict[str, Track]) -> None:
        """Nothing more is awaited: what is open is a difference, or was never founded."""
        for key, document in self.open.items():
            track = tracks[key]
            match standing(track, document):
                case "unfounded":
                    self.unfounded += 1
                case "ahead":
                    assert document is not None
                    detail = f"shows version {document.version}; the log ends at {track.version}"
                    self.differences[key] = track.difference(self.name, "missing_events", track.version + 1, detail)
                case _:
                    self.differences[key] = self._lagging(track, document)
        self.open.clear()

    def _lagging(self, track: Track, document: Shown | None) -> Difference:
        if document is None:
            return track.difference(self.name, "missing", track.version, f"shows none; the log has {track.version}")
        if not track.exists and not track.version:
            detail = f"shows version {document.version}; the log never told of it"
            return track.difference(self.name, "missing_events", 1, detail)
        if not track.exists:
            detail = f"shows version {document.version}; the log deleted it"
            return track.difference(self.name, "not_deleted", track.version, detail)
        detail = f"shows version {document.version}; the log is at {track.version}"
        return track.difference(self.name, "stale", document.version + 1, detail)


def standing(track: Track, document: Shown | None) -> Standing:
    """Tell how what is shown stands to what the log has come to."""
    if not track.founded:
        return "unfounded"
    if not track.exists:
        return "same" if document is None else "behind"
    if document is None:
        return "behind"
    if document.created_at != track.created_at or document.version < track.version:
        return "behind"
    if document.version > track.version:
        return "ahead"
    return "same" if document.digest == track.digest() else "differs"


class Survey:
    """Takes the log's changes, in order for each device, and settles with each what others show."""

    def __init__(self, sides: Sequence[Side], complete: Callable[[str], bool]) -> None:
        """``complete``: whether the log of a device, ``product/device``, is read from its very first record on."""
        self.tracks: dict[str, Track] = {}
        self.sides = sides
        self.events = self.repeated = 0
        self._complete = complete
        self._positions: dict[str, Position] = {}

    def track(self, key: str) -> Track:
        found = self.tracks.get(key)
        if found is None:
            device = "/".join(key.split("/", 2)[:2])
            found = self.tracks[key] = Track(key, complete=self._complete(device))
        return found

    def take(self, event: ShadowChanged) -> None:
        """Fold one event. One whose cause is not behind the newest of its device's is a repetition."""
        self.events += 1
        key = key_of(event.product_id, event.device_id, event.shadow)
        known = key in self.tracks
        track = self.track(key)
        device = f"{event.product_id}/{event.device_id}"
        newest, cause = self._positions.get(device), position(event.id, device)
        if cause is None:
            track.blame("unreadable_id", event.version, f"{event.id!r} names no cause")
        elif known and newest is not None and newest[0] == cause[0] and newest >= cause:
            self.repeated += 1
            if track.founded and event.created_at == track.created_at and event.version > track.version:
                track.blame("out_of_order", event.version, f"{event.id} comes behind what its successors caused")
            return
        else:
            self._positions[device] = cause
        track.take(event)
        for side in self.sides:
            side.settle(track)

    def faults(self) -> list[Difference]:
        """Return the first of each shadow whose log disagrees with itself."""
        return [track.fault for track in self.tracks.values() if track.fault is not None]


def position(event_id: str, device: str) -> Position | None:
    """Read ``topic-partition-offset-n``, or ``...-device-n`` of what a broadcast did; None: it is no such thing."""
    cause, _, n = event_id.rpartition("-")
    source, _, offset = cause.removesuffix(f"-{device}").rpartition("-")
    return (source, int(offset), int(n)) if source and offset.isdecimal() and n.isdecimal() else None
