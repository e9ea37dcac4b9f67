"""What calls about commands take, and answer with."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from libs.topics.messages.base import Encoding, Millis
from libs.topics.messages.command_views import CommandState

from .params import NAME

CommandName: TypeAlias = Annotated[str, Meta(pattern=NAME, description="1 to 64 of A-Z a-z 0-9 _ -; not `p2p`.")]
Payload: TypeAlias = Annotated[
    Any, Meta(description="Any JSON: the device gets it as it is written here. At most 64 KiB.")
]
PayloadBase64: TypeAlias = Annotated[
    str, Meta(description="In place of `payload`: any bytes in base64; the device gets the bytes.")
]
MOST_SECONDS: Final = 90 * 24 * 3600
TtlSeconds: TypeAlias = Annotated[
    int,
    Meta(
        ge=1,
        le=MOST_SECONDS,
        description="Seconds after which it is never sent and, unanswered, over; without it, as the product says.",
    ),
]
TimeoutSeconds: TypeAlias = Annotated[
    float,
    Meta(ge=0.1, le=30, description="Seconds that the device has to reply; the answer comes at once when it has."),
]


class Given(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A payload as callers write it: as JSON, in base64, or none, which are no bytes."""

    payload: Payload | UnsetType = UNSET
    payload_base64: PayloadBase64 | None = None


class NewCommand(Given, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A command to be sent."""

    name: CommandName
    ttl_s: TtlSeconds | None = None


class NewRpc(Given, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A call that waits for the device."""

    name: CommandName
    timeout_s: TimeoutSeconds = 5


class PendingCommands(msgspec.Struct, frozen=True):
    """What a device's own page shows of its commands."""

    open: Annotated[int, Meta(description="Not over yet.")]
    queued: Annotated[int, Meta(description="Of these such as wait until the device is online.")]


class Reply(msgspec.Struct, frozen=True):
    """What the device answered."""

    message_id: str
    encoding: Encoding
    payload: Annotated[msgspec.Raw, Meta(description="The device's JSON; with `encoding` base64, its bytes so.")]
    received_at: Millis
    rtt_ms: Annotated[int, Meta(description="From the last sending to the reply's arrival.")]
    late: Annotated[bool, Meta(description="It came when the command was over, which stays as it was.")]


class Command(msgspec.Struct, frozen=True):
    """One entry of the ledger."""

    product_id: str
    device_id: str
    request_id: str
    fanout_id: Annotated[str | None, Meta(description="Of the fan-out that it belongs to: its request id, too.")]
    mode: Literal["cmd", "rpc"]
    command: Annotated[str, Meta(description="Its name.")]
    state: Annotated[
        CommandState,
        Meta(
            description="`accepted`: on its way to the broker; `queued`: waits for the device; `sent`: the broker has "
            "it; `delivered`: the device has it, where the broker tells. The others are ends, and stay."
        ),
    ]
    attempts: Annotated[
        int, Meta(description="Sendings that the broker acknowledged; at least one where the device has replied.")
    ]
    accepted_at: Millis
    expires_at: Millis
    sent_at: Annotated[Millis | None, Meta(description="When the broker acknowledged it last.")]
    ended_at: Millis | None
    reason: Annotated[str | None, Meta(description="Why it came to its end, for people.")]
    reply: Reply | None
    by: Annotated[str, Meta(description="Name of the API key.")]


class Step(msgspec.Struct, frozen=True):
    """One step of a command, as its event tells it."""

    type: Annotated[str, Meta(description="Of the event in `commands.events`, such as `command_sent`.")]
    at: Millis
    event: Annotated[dict[str, Any], Meta(description="The whole event.")]


class CommandDetail(Command, frozen=True):
    """An entry of the ledger with its steps."""

    steps: Annotated[
        list[Step] | None,
        Meta(
            description="The oldest first; one of a moment ago may be missing. null: the store of the past does not "
            "answer now."
        ),
    ]


class CommandId(msgspec.Struct, frozen=True):
    """Under what an rpc's outcome is found later."""

    product_id: str
    device_id: str
    request_id: str


class NewProbe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A probe to be made."""

    mode: Annotated[
        Literal["strict", "normal", "loose"],
        Meta(description="Unreachable after one, two or three misses in a row, of 5 s each."),
    ] = "normal"


class Probed(msgspec.Struct, frozen=True):
    """What a probe came to."""

    probe_id: str
    mode: Literal["strict", "normal", "loose"]
    verdict: Literal["reachable", "unreachable"]
    attempts: int
    rtt_ms: Annotated[int | None, Meta(description="Of the attempt that was answered.")]
    altered: Annotated[bool, Meta(description="It answered, but not with the bytes that it was sent.")]


class Probe(Probed, frozen=True):
    """A probe of the past."""

    at: Millis


class NewMessage(Given, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A message for one device, which needs no subscription of its own."""

    topic: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=256,
            description="The device gets it on `{topic}/p2p/{product}/{device}`. One to four levels, of which "
            "the second is the product, no wildcard, not as the hub's own topics begin.",
        ),
    ]


class MessageTaken(msgspec.Struct, frozen=True):
    """The message is in Kafka."""

    message_id: str
