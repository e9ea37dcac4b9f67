"""What happens, as it happens: server-sent events."""

from __future__ import annotations

from typing import Annotated

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import HeaderParameter, QueryParameter
from litestar.response import Stream

from services.api import examples, frames, positions
from services.api.access import Caller, needs, still_valid
from services.api.describe import described
from services.api.gate import STREAM
from services.api.hub import Hub
from services.api.moments import unfit
from services.api.params import ProductId
from services.api.problems import Problem
from services.api.products import find
from services.api.serving import answer

Types = Annotated[
    str | None,
    QueryParameter(
        name="types",
        max_length=1024,
        description="Kinds of events, separated by commas; without it, who is connected and what is registered: "
        "what devices send (`data_uploaded`, `device_message_sent`), what becomes of their shadows "
        "(`shadow_changed`, `shadow_change_refused`, `status_changed`) and of commands (`command_accepted`, "
        "`command_queued`, `command_sent`, `command_delivered`, `command_replied`, `command_ended`, "
        "`late_reply_recorded`, `fan_out_started`, `probe_concluded`) is told to those who ask for it.",
        examples=[Example(value="presence_changed,device_registered")],
    ),
]
LastEventId = Annotated[
    str | None,
    HeaderParameter(
        name="Last-Event-ID",
        description="Id of the last event that was received: the stream goes on behind it.",
        examples=[Example(value="~p2n.0.8c.1~r4.0.0.2")],
    ),
]


@get(
    "/v1/products/{product_id:str}/stream",
    summary="Follow a product's events",
    operation_id="stream_events",
    guards=[needs("read")],
    media_type="text/event-stream",
    opt={
        STREAM: True,
        **described(
            problems=("unknown_product", "invalid_position", "invalid_request", "too_many_streams"),
            answer=examples.STREAM,
        ),
    },
)
async def stream_events(
    hub: NamedDependency[Hub],
    caller: NamedDependency[Caller],
    product_id: ProductId,
    types: Types = None,
    last_event_id: LastEventId = None,
) -> Stream:
    """Follow what happens to a product's devices, as server-sent events, from now on or from `Last-Event-ID` on.

    Each event has the name and the JSON of a message of the hub's topics. An id without an event is how far the stream
    is. `gap` tells of records that were gone before they were read, `ended` why the hub ends the stream.
    """
    find(hub, product_id)
    kinds = _kinds(types)
    try:
        position = {} if last_event_id is None else positions.read(last_event_id, hub.streams.partitions)
    except positions.InvalidPosition as error:
        raise Problem("invalid_position", str(error)) from error
    stream = hub.streams.stream(
        caller.key_id,
        product_id,
        kinds,
        position,
        stopping=hub.stopping,
        allowed=lambda: still_valid(hub, caller),
    )
    first = await anext(stream)  # where it cannot begin, the answer is a problem
    return answer(first, stream)


def _kinds(types: str | None) -> frozenset[str]:
    if types is None:
        return frames.DEFAULT
    kinds = frozenset(types.split(","))
    strange = sorted(kinds - frames.TOPIC_OF.keys())
    if strange:
        raise unfit("types", f"{', '.join(strange)[:200]}: known are {', '.join(sorted(frames.TOPIC_OF))}")
    return kinds


router = Router("/", route_handlers=[stream_events], tags=["stream"])
