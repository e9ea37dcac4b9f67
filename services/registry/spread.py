"""A version of a product on its way into every partition, and who waits for it. Pure.

The home partition broadcasts a version; each partition folds it into its reference data and tells so. Whoever asked for
the version is answered when all have told, so what is asked after the answer, of any device of the product, meets it.
A deletion goes through twice: as ``closing``, from which on no partition registers a device and all count theirs, and
then as the deletion or the reopening that these counts decide.

What partitions tell may come in any order, and again: of each the newest version counts. No acknowledgement is lost,
since it is an output of the broadcast's sweep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from .memory import remember
from .model import Entry, Spread, Waiter
from .verdicts import CONFLICT, GONE

if TYPE_CHECKING:
    from libs.topics.messages.base import Millis, Request
    from libs.topics.messages.registry import ProductTaken

    from .model import SpreadState


class Taken(msgspec.Struct, frozen=True):
    """What comes of an acknowledgement."""

    spread: Spread
    ripe: tuple[Waiter, ...]
    """Those whose version every partition has taken; they are not in the spread any more."""
    complete: bool
    """Every partition has taken the newest version."""


def begin(entry: Entry, version: int, state: SpreadState, by: str) -> Entry:
    """Note that a version is broadcast now. Whoever waits for an earlier one goes on waiting for that."""
    spread = entry.spread or Spread(version, state, by)
    return replace(entry, spread=replace(spread, version=version, state=state, by=by, devices={}))


def reached(spread: Spread, partitions: int) -> int:
    """Return the newest version that every partition has taken; 0: some have told nothing."""
    return min(spread.taken.values()) if len(spread.taken) == partitions else 0


def wait(entry: Entry, spread: Spread, request: Request, version: int, status: int) -> Entry:
    """Let a request wait until every partition has taken the version, unless nobody wants to know of it."""
    idempotency = request.idempotency if status == GONE else None  # remembered when it is decided
    if request.reply_to is None and idempotency is None:
        return entry
    key, fingerprint = ("", "") if idempotency is None else (idempotency.key, idempotency.fingerprint)
    waiter = Waiter(version, status, request.reply_to, key, fingerprint)
    return replace(entry, spread=replace(spread, waiters=(*spread.waiters, waiter)))


def take(spread: Spread, message: ProductTaken, partitions: int) -> Taken | None:
    """Fold an acknowledgement; None: it is no news."""
    known = spread.taken.get(message.partition, 0)
    if not known < message.version <= spread.version:
        return None
    taken = {**spread.taken, message.partition: message.version}
    devices = spread.devices
    if spread.state == "closing" and message.version == spread.version:
        devices = {**devices, message.partition: message.devices}
    after = replace(spread, taken=taken, devices=devices)
    everywhere = reached(after, partitions)
    # Those who asked for the deletion wait for what is decided when all have counted.
    last = spread.version - 1 if spread.state == "closing" else spread.version
    ripe = tuple([waiter for waiter in spread.waiters if waiter.version <= min(everywhere, last)])
    left = tuple([waiter for waiter in spread.waiters if waiter.version > min(everywhere, last)])
    return Taken(replace(after, waiters=left), ripe, everywhere == spread.version)


def decided(entry: Entry, spread: Spread, *, deleted: bool, now: Millis) -> Entry:
    """Begin what the counts of a deletion decided; those who asked for it wait until that has been taken."""
    devices = sum(spread.devices.values())
    version = spread.version + 1
    waiters = []
    for waiter in spread.waiters:  # all others are ripe when the last partition has counted
        if deleted and waiter.key:
            entry = remember(entry, waiter.key, waiter.fingerprint, GONE, now, version=version)
        waiters.append(replace(waiter, version=version, status=GONE if deleted else CONFLICT, devices=devices))
    state: SpreadState = "deleted" if deleted else "open"
    return begin(replace(entry, spread=replace(spread, waiters=tuple(waiters))), version, state, spread.by)
