"""What calls about fan-outs take, and answer with: commands to all devices of a tag."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from libs.topics.messages.base import Millis

from .command_documents import NewRpc, Reply


class NewGroupRpc(NewRpc, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A call of many devices that waits for them."""

    wait: Annotated[
        Literal["all", "share", "deadline"],
        Meta(
            description="Until every member's call is over; until `share` of them have replied; or for as long as "
            "`timeout_s` says, whoever has replied by then."
        ),
    ] = "all"
    share: Annotated[float, Meta(gt=0, le=1, description="Of the members, with `wait` share.")] | None = None


class FanOutBegun(msgspec.Struct, frozen=True, kw_only=True):
    """What a fan-out found, summed over the partitions that have answered."""

    fanout_id: Annotated[str, Meta(description="Also the request id of each member's command.")]
    product_id: str
    tag: str
    members: Annotated[int, Meta(description="Devices that carried the tag; each is in one of the next four.")]
    accepted: Annotated[int, Meta(description="On their way to the broker.")]
    queued: Annotated[int, Meta(description="They are offline: their commands wait.")]
    refused: Annotated[int, Meta(description="They had as many commands open as they may, and got no other.")]
    rejected: Annotated[int, Meta(description="Of a call: they were offline.")]
    partitions: Annotated[int, Meta(description="Partitions of the hub that have answered.")]
    missing_partitions: Annotated[
        list[int], Meta(description="They did not answer in time; their devices get it later, or have got it.")
    ] = []


class FanOutId(msgspec.Struct, frozen=True):
    """Under what a fan-out is found that may have begun."""

    fanout_id: str
    product_id: str
    tag: str


class FanOut(msgspec.Struct, frozen=True, kw_only=True):
    """How far a fan-out is: each member counts in its command's present state."""

    fanout_id: str
    product_id: str
    tag: Annotated[str | None, Meta(description="null: the beginning is not stored yet.")]
    started_at: Annotated[Millis | None, Meta(description="As `tag`.")]
    partitions: Annotated[int, Meta(description="Partitions of the hub of which the beginning is stored.")]
    members: Annotated[int, Meta(description="Devices that carried the tag, as far as is known; the sum of the next.")]
    refused: int
    accepted: int
    queued: int
    sent: int
    delivered: int
    replied: int
    failed: int
    rejected: int
    expired: int
    cancelled: int
    timed_out: int
    open: Annotated[int, Meta(description="Not over yet: accepted, queued, sent or delivered.")]
    late: Annotated[int, Meta(description="Of those that are over: they have replied since.")]
    missing_partitions: Annotated[
        list[int],
        Meta(description="Only in the stream: they do not answer now, and their members are counted as they were."),
    ] = []


class FanOutEnded(msgspec.Struct, frozen=True, kw_only=True):
    """What the cancelling of a fan-out came to."""

    fanout_id: str
    cancelled: Annotated[int, Meta(description="Commands that were open until now.")]
    partitions: int
    missing_partitions: Annotated[list[int], Meta(description="They did not answer in time: ask again.")] = []


class MemberReply(msgspec.Struct, frozen=True):
    """What one member answered."""

    device_id: str
    reply: Reply


class GroupRpc(msgspec.Struct, frozen=True, kw_only=True):
    """What a call of many devices came to."""

    fanout_id: str
    product_id: str
    tag: str
    members: Annotated[int, Meta(description="Devices that carried the tag; the sum of the next.")]
    replied: int
    rejected: Annotated[int, Meta(description="They were offline.")]
    refused: Annotated[int, Meta(description="They had as many commands open as they may.")]
    failed: int
    timed_out: int
    cancelled: int
    open: Annotated[int, Meta(description="Nothing was heard of them yet.")]
    replies: Annotated[list[MemberReply], Meta(description="In the order of their arrival.")]
    replies_left_out: Annotated[
        int,
        Meta(
            description="Replies beyond 1,000, or beyond 4 MiB, or of before: "
            "GET /v1/fanouts/{fanout_id}/commands?state=replied has them."
        ),
    ]
    missing_partitions: list[int] = []
