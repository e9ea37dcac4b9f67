"""What the calls about commands share."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from litestar.openapi.spec import Example
from litestar.params import PathParameter, QueryParameter

from .command_documents import ENDS, OPEN_STATES
from .moments import unfit
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

PAST: Final = {"ended": ENDS, "all": (), **{state: (state,) for state in ENDS}}
"""What of the past may be asked for, as states; none: all of them."""
State: TypeAlias = Annotated[
    str,
    QueryParameter(
        name="state",
        description="Commands that are `open` or `ended`, both (`all`), or those in one state. Open ones and their "
        "states are told by the owner, as they are now; the others from the past.",
        examples=[Example(value="ended")],
        schema_extra={"enum": ["open", *OPEN_STATES, *PAST]},
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


def stated(which: str) -> tuple[str, ...]:
    """Return the states that a `State` names; none: all of them. Raises `Problem`."""
    if which == "open":
        return OPEN_STATES
    if which in OPEN_STATES:
        return (which,)
    if which in PAST:
        return PAST[which]
    raise unfit("state", "known are open, ended, all and the states of commands")
