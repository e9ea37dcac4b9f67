"""What the calls about commands share."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from litestar.openapi.spec import Example
from litestar.params import PathParameter, QueryParameter

from .params import NAME

DEVICE_KEY: Final = r"^[A-Za-z0-9_-]{1,64}/[A-Za-z0-9_-]{1,64}(?!\n)$"
SENDING: Final = (
    "unknown_product",
    "unknown_device",
    "reserved_name",
    "invalid_header",
    "payload_too_large",
    "queue_full",
    "queue_too_large",
    "command_over",
)
"""Codes of calls that send a command to one device."""

OPEN_STATES: Final = ("accepted", "queued", "sent", "delivered")
ENDS: Final = ("replied", "failed", "rejected", "expired", "cancelled", "timed_out")
PAST: Final = {"ended": ENDS, "all": (), **{state: (state,) for state in ENDS}}
"""What of the past may be asked for, as states; none: all of them."""
ANY: Final = {"open": OPEN_STATES, **{state: (state,) for state in OPEN_STATES}, **PAST}
"""What of a fan-out's members may be asked for, in the same way."""
State: TypeAlias = Annotated[
    str,
    QueryParameter(
        name="state",
        description="Commands that are `open` or `ended`, both (`all`), or those in one state. Open ones and their "
        "states are told by the owner, as they are now and in order of acceptance; the others from the past.",
        examples=[Example(value="ended")],
        schema_extra={"enum": ["open", *OPEN_STATES, *PAST]},
    ),
]
MemberState: TypeAlias = Annotated[
    str,
    QueryParameter(
        name="state",
        description="Only commands that are `open` or `ended`, or those in one state.",
        examples=[Example(value="expired")],
        schema_extra={"enum": list(ANY)},
    ),
]
RequestId: TypeAlias = Annotated[
    str,
    PathParameter(
        description="`request_id` of the command.",
        examples=[Example(value="c-m2Tq3Jb6QGqk0dUq2mJ0Zg")],
        schema_extra={"pattern": NAME},
    ),
]
Member: TypeAlias = Annotated[
    str | None,
    QueryParameter(
        name="device",
        pattern=DEVICE_KEY,
        description="`product/device`. Of a fan-out's command, which has the same request id on each device, it must "
        "be said; of others it spares a search.",
        examples=[Example(value="plant-7/press-1")],
    ),
]
