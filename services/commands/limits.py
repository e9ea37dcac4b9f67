"""How many commands a device may have, how large they are, how long they wait, and what is remembered of them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from libs.runtime.lane.verdicts import Refused, malformed
from libs.topics.access import P2P
from libs.topics.identity import is_name

from .model import keep

if TYPE_CHECKING:
    from libs.topics.messages.base import Millis
    from libs.topics.messages.command_requests import SendCommand, SendToTag

    from .model import Entry, Kept, Past, Reference

SECOND: Final = 1000
HOUR: Final = 3600 * SECOND
DAY: Final = 24 * HOUR

PAYLOAD: Final = 64 * 1024
"""Bytes of one command's payload, as the device gets it."""
QUEUE: Final = 384 * 1024
"""Bytes of all open commands' payloads of a device, as messages carry them: they are one row."""
RETRY: Final = SECOND
"""How long what nobody has subscribed to waits until it is sent again on the same connection; for commands doubled each
time."""
LONGEST_RETRY: Final = 300 * SECOND
NOTICE: Final = 30 * SECOND
"""For which a queue waits, at most, to hear whether its first command was heard."""
RPC_TTL: Final = 5 * SECOND
"""For which a device may think about an rpc that names no time."""
RPC_LONGEST: Final = 30 * SECOND
WAITERS: Final = 4
"""That wait for one rpc's end: an application that repeats its request is answered, too."""

ENDED: Final = 64
"""Commands of a device that are over, and remembered, the newest of them."""
REPLIED: Final = 8
"""Of these such as were replied to: their further replies matter least."""
AGE: Final = 7 * DAY
"""For which they are remembered."""
REPLY: Final = 16 * 1024
"""Bytes of a reply, as messages carry it, that is remembered with its command. A larger one is in the log alone."""
REPLIES: Final = 64 * 1024
"""Bytes of all remembered replies of a device."""
HEARD: Final = 8
"""Message ids of replies that are remembered with a command."""

FANNED: Final = 8
"""Fan-outs that a device remembers to have been visited by: one that is asked for again sends nothing."""

TO_TAGS: Final = 200
"""Fan-outs of a product that are remembered to have been published to a tag."""


class Rules(msgspec.Struct, frozen=True):
    """What an installation may choose."""

    open: int = 100
    """Commands of a device that are not over."""
    ttl: int = 7 * DAY
    """Milliseconds for which a command waits where neither it nor its product says so."""
    longest_ttl: int = 30 * DAY
    pace: int = 30
    """Commands that waited, and are sent to a device in one window."""
    window: int = 5 * SECOND
    """Milliseconds."""
    tag_topics: bool = False
    """Whether devices may subscribe to the topics of their tags at this installation's broker."""


DEFAULTS: Final = Rules()


def fault(message: SendCommand | SendToTag, request_id: str, rules: Rules) -> Refused | None:
    """Refuse a request that is none, whatever the device is."""
    if not is_name(request_id):
        return malformed("invalid_name", f"{request_id!r} is no request id", "Use 1 to 64 of A-Z a-z 0-9 _ -")
    if not is_name(message.command) or message.command == P2P:
        # `cmd/{p}/{d}/p2p/plain/{request id}` is what the client plain/{request id} may subscribe to
        detail = f"{message.command!r} is no name of a command"
        return malformed("invalid_name", detail, f"Use 1 to 64 of A-Z a-z 0-9 _ -, and not {P2P}.")
    if message.ttl is not None:
        longest = rules.longest_ttl if message.mode == "cmd" else RPC_LONGEST
        if not 0 < message.ttl <= longest:
            kind = "command" if message.mode == "cmd" else "call"
            detail = f"{message.ttl / SECOND:.15g} s is no time for a {kind} to wait"
            return malformed("invalid_ttl", detail, f"Let it wait for {longest // SECOND} s at most, and not for none.")
    size = carried(message.encoding, bytes(message.payload))
    if size > PAYLOAD:
        detail = f"the payload has {size} bytes, and may have {PAYLOAD}"
        return Refused(413, "payload_too_large", detail, "Send a reference to what is large.")
    return None


def ttl(shared: Reference, product_id: str, message: SendCommand | SendToTag, rules: Rules) -> Millis:
    """Return for how long a command waits."""
    if message.ttl is not None:
        return message.ttl
    if message.mode == "rpc":
        return RPC_TTL
    product = shared.cells.get(product_id)
    own = None if product is None else product.command_ttl
    return min(rules.ttl if own is None else own, rules.longest_ttl)


def carried(encoding: str, payload: bytes) -> int:
    """Return how many bytes the device gets, about."""
    return len(payload) if encoding == "json" else (len(payload) - 2) * 3 // 4


def full(entry: Entry, payload: bytes, rules: Rules) -> Refused | None:
    """Refuse another command where there are enough."""
    if len(entry.open) >= rules.open:
        detail = f"the device has {len(entry.open)} commands that are not over"
        return Refused(429, "queue_full", detail, "Wait until some are over, or cancel them.")
    if entry.open and sum([len(command.payload) for command in entry.open]) + len(payload) > QUEUE:
        detail = f"payloads of the device's open commands would have more than {QUEUE} bytes together"
        return Refused(413, "queue_too_large", detail, "Wait until some are over, cancel them, or say less.")
    return None


def remembered(ended: tuple[Kept, ...], new: Past) -> tuple[Kept, ...]:
    """Note that a command is over, and forget what is too old or too much."""
    return trimmed((*fresh(ended, new.ended_at), keep(new))[-ENDED:])


def trimmed(ended: tuple[Kept, ...]) -> tuple[Kept, ...]:
    """Forget what is too much: the oldest of those that were replied to, then the oldest replies of the others."""
    over = sum([past.state == "replied" for past in ended]) - REPLIED
    large = sum([past.reply_size for past in ended]) - REPLIES
    if over <= 0 and large <= 0:
        return ended
    kept = []
    for past in ended:
        size = past.reply_size
        if over > 0 and past.state == "replied":
            over, large = over - 1, large - size
        elif large > 0 and size:
            large -= size
            kept.append(keep(msgspec.structs.replace(past.whole(), reply=None)))
        else:
            kept.append(past)
    return tuple(kept)


def fresh(ended: tuple[Kept, ...], now: int) -> tuple[Kept, ...]:
    """Forget what is too old."""
    if not ended or ended[0].ended_at + AGE > now:
        return ended
    return tuple([past for past in ended if past.ended_at + AGE > now])
