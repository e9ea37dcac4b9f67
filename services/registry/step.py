"""The lane's step: decide, fold, and say it: events, documents, the answer.

An event's id is the position of its cause in the inbox: one that is repeated after a crash is recognised by it, and
identical, since nothing here depends on anything but the row, the message, the position and the reference data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from libs.runtime.lane.answers import address, answer
from libs.runtime.lane.verdicts import Again, Misplaced, Refused, refusal
from libs.topics import catalog, names
from libs.topics.messages.hub import TimePassed
from libs.topics.messages.registry import (
    AddTags,
    Credential,
    DeleteProduct,
    IssueApiKey,
    ProductTaken,
    PutProduct,
    RegisterDevice,
    RemoveTags,
    RevokeApiKey,
    RotateSecret,
    SetTags,
)
from libs.topics.messages.registry_events import ProductChanged, ProductClosing, ProductDeleted

from . import devices, rollout
from .decide import Asked, decide
from .documents import device_view, document, key_view, tags_view
from .fold import UNKNOWN, fold
from .memory import forget, remember
from .model import ApiKey, Device, Entry
from .reference import Broadcast
from .verdicts import CREATED, DONE, GONE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from libs.runtime.lane.model import At, Output

    from .decide import Events
    from .model import Reference

Message: TypeAlias = Asked | ProductTaken | Broadcast

TAGS: Final = (SetTags, AddTags, RemoveTags)


def ignore(_kind: str, _outcome: str) -> None:
    """Whom `step` tells by default: nobody."""


def step(
    row: Entry | None,
    message: Message,
    at: At,
    shared: Reference,
    *,
    partitions: int,
    tell: Callable[[str, str], None] = ignore,
) -> tuple[Entry | None, Sequence[Output]]:
    """Fold one message. ``tell`` hears of every request and what came of it, for counters; it has no say.

    ``partitions``: of the installation. Raises `InvalidMessage`: dead letters.
    """
    if at.swept:
        return _swept(row, message, at)
    if isinstance(message, ProductTaken):
        if at.key != message.product_id.encode() or not 0 <= message.partition < partitions:
            raise Misplaced(f"partition {message.partition} tells of {message.product_id!r} under the key {at.key!r}")
        after, outputs = rollout.acknowledged(row, message, at, partitions)
        return _kept(after), outputs
    if isinstance(message, Broadcast):
        raise Misplaced("what concerns every partition is a broadcast")
    address(message)
    decision = decide(row, message, at, shared)
    kind = str(type(message).__struct_config__.tag)
    if isinstance(decision, Refused):
        tell(kind, decision.code)
        return row, refusal(message, at, decision)
    tell(kind, "again" if isinstance(decision, Again) else "done" if decision else "unchanged")
    if isinstance(message, PutProduct | DeleteProduct):
        after, outputs = rollout.asked(row or UNKNOWN, message, decision, at, partitions)
    else:
        after, outputs = _asked(row or UNKNOWN, message, decision, at)
    return _kept(after), outputs


def _kept(entry: Entry | None) -> Entry | None:
    return None if entry is None or entry.empty else entry


def _asked(entry: Entry, message: Asked, decision: Events | Again, at: At) -> tuple[Entry, Sequence[Output]]:
    """Carry out what was decided about a device or an API key, and answer."""
    if isinstance(decision, Again):
        return entry, answer(
            message, at, decision.answered.status, *_shown(message, decision.answered.status, entry, at)
        )
    outputs: tuple[Output, ...] = ()
    after = entry
    for event in decision:
        assert not isinstance(event, ProductChanged | ProductClosing | ProductDeleted)
        after = fold(after, event, _credential(message))
        outputs += catalog.publish(names.REGISTRY_EVENTS, at.key, event)
    if decision:
        topic = names.REGISTRY_API_KEYS if isinstance(message, IssueApiKey | RevokeApiKey) else names.REGISTRY_DEVICES
        outputs += (document(topic, at.key, after),)
    status = (
        CREATED if isinstance(message, RegisterDevice | IssueApiKey) else DONE if after.subject is not None else GONE
    )
    if message.idempotency is not None:
        known = message.idempotency
        after = remember(after, known.key, known.fingerprint, status, at.timestamp)
    return after, outputs + answer(message, at, status, *_shown(message, status, after, at))


def _credential(message: Asked) -> Credential | None:
    """Return what the fold needs besides the event: the events are public, and hold no hashes."""
    match message:
        case RegisterDevice() | RotateSecret():
            return message.credential
        case IssueApiKey():
            return Credential(message.key_id, message.hash)
        case _:
            return None


def _shown(message: Asked, status: int, entry: Entry, at: At) -> tuple[Any, int | None]:
    """Return body and version of an answer."""
    name = at.key.decode().rpartition("/")[2]
    match entry.subject:
        case Device() as device if status != GONE:
            if isinstance(message, TAGS):
                return tags_view(device), device.tags_version
            return device_view(name, device), device.version
        case ApiKey() as api_key if status != GONE:
            return key_view(name.removeprefix("key:"), api_key), None
        case _:
            return None, None


def _swept(row: Entry | None, message: Message, at: At) -> tuple[Entry | None, Sequence[Output]]:
    """Let time pass: old secrets expire, remembered requests are forgotten. A closing product only counts its rows."""
    if row is None or not isinstance(message, TimePassed):
        return row, ()
    after = row
    outputs: tuple[Output, ...] = ()
    if row.device is not None:
        for event in devices.expire(row.device, at.key.decode().rpartition("/")[2], at, message.at):
            after = fold(after, event)
            outputs += catalog.publish(names.REGISTRY_EVENTS, at.key, event)
            outputs += (document(names.REGISTRY_DEVICES, at.key, after),)
    return _kept(forget(after, message.at)), outputs
