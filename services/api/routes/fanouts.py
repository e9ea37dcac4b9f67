"""Commands to all devices of a tag, and ``/v1/fanouts``: what became of them."""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import JSONBody, PathParameter
from litestar.response import Stream

from services.api import command_examples as examples
from services.api import command_pages, fanouts, group_calls
from services.api.access import Caller, needs
from services.api.asking import Asker
from services.api.command_calls import ANY, MemberState
from services.api.command_documents import Command, NewCommand
from services.api.commands import GRACE_S, order
from services.api.conditions import next_cursor, position
from services.api.describe import described
from services.api.documents import Page
from services.api.fanout_documents import FanOut, FanOutBegun, FanOutEnded, GroupRpc, NewGroupRpc
from services.api.gate import OWN_DEADLINE, STREAM, ended_after
from services.api.hub import Hub
from services.api.moments import unfit
from services.api.params import NAME, Cursor, Limit, ProductId, TagName
from services.api.products import find
from services.api.serving import answer

SENDING: Final = ("unknown_product", "reserved_name", "invalid_header", "payload_too_large")
FanOutId = Annotated[
    str,
    PathParameter(
        description="`fanout_id` of the answer that began it.",
        examples=[Example(value="f-m2Tq3Jb6QGqk0dUq2mJ0Zg")],
        schema_extra={"pattern": NAME},
    ),
]


@post(
    "/v1/products/{product_id:str}/tags/{tag:str}/commands",
    summary="Send a command to all devices of a tag",
    operation_id="send_to_tag",
    guards=[needs("command")],
    status_code=202,
    opt=described(
        problems=(*SENDING, "invalid_ttl"), request=examples.NEW_COMMAND, answer=examples.FAN_OUT_BEGUN, located=True
    ),
)
async def send_to_tag(
    request: Request[Any, Any, Any],
    data: JSONBody[NewCommand],
    asker: NamedDependency[Asker],
    product_id: ProductId,
    tag: TagName,
) -> Response[FanOutBegun]:
    """Send a command to every device that carries the tag now, each for itself, and count them.

    Who gets the tag later does not get it. Partitions in `missing_partitions` did not answer in time: theirs get it as
    soon as they can; the same request with the same `Idempotency-Key` counts them again, and sends nothing twice.
    """
    find(asker.hub, product_id)
    fanout_id = asker.request_id("f", f"{product_id}/{tag}")
    what = order("cmd", data, await request.body(), data.ttl_s)
    begun = await fanouts.begin(asker, fanout_id, product_id, tag, what)
    return Response(begun, status_code=202, headers=_located(fanout_id))


@post(
    "/v1/products/{product_id:str}/tags/{tag:str}/rpc",
    summary="Call all devices of a tag, and wait for their replies",
    operation_id="call_tag",
    guards=[needs("command")],
    status_code=200,
    opt={
        OWN_DEADLINE: True,
        **described(
            problems=SENDING, request=examples.NEW_GROUP_RPC, answer=examples.GROUP_RPC, accepted=True, located=True
        ),
    },
)
async def call_tag(
    request: Request[Any, Any, Any],
    data: JSONBody[NewGroupRpc],
    asker: NamedDependency[Asker],
    product_id: ProductId,
    tag: TagName,
) -> Response[GroupRpc]:
    """Call every device that carries the tag now, and answer with what they reply.

    Those that are offline are not waited for. 200: what `wait` asks for has come, or no more can come. 202: the time
    was over first; what comes later is in `GET /v1/fanouts`.
    """
    find(asker.hub, product_id)
    async with ended_after(asker.hub.settings.http.deadline_s + data.timeout_s + GRACE_S):
        told, come = await group_calls.call(asker, product_id, tag, data, await request.body())
    return Response(told, status_code=200 if come else 202, headers=_located(told.fanout_id))


@get(
    "/v1/fanouts/{fanout_id:str}",
    summary="How far is a fan-out?",
    operation_id="get_fanout",
    guards=[needs("read")],
    opt=described(problems=("unknown_fanout", "too_much"), answer=examples.FAN_OUT),
)
async def get_fanout(hub: NamedDependency[Hub], caller: NamedDependency[Caller], fanout_id: FanOutId) -> FanOut:
    """Count the members by the state of their commands: as it is now while their owners remember all of them.

    Of more than 20,000 members, and of one of long ago, it is told as it is stored, a moment behind.
    """
    return await fanouts.progress(hub, caller, fanout_id)


@get(
    "/v1/fanouts/{fanout_id:str}/stream",
    summary="Follow a fan-out",
    operation_id="stream_fanout",
    guards=[needs("read")],
    media_type="text/event-stream",
    opt={
        STREAM: True,
        **described(problems=("unknown_fanout", "too_much", "too_many_streams"), answer=examples.FAN_OUT_STREAM),
    },
)
async def stream_fanout(hub: NamedDependency[Hub], caller: NamedDependency[Caller], fanout_id: FanOutId) -> Stream:
    """Follow the counts of a fan-out, as server-sent events: at once, whenever they change, and until it is over.

    `counts` has all that `GET /v1/fanouts/{fanout_id}` answers; what changes within a moment is told together.
    `final` has it for the last time, when no member's command is open any more; then the stream ends. Partitions in
    `missing_partitions` do not answer now, and their members are counted as they were. `ended` tells why the hub ends
    the stream otherwise: connect again then, nothing is lost.
    """
    stream = hub.watches.stream(caller, fanout_id)
    async with ended_after(hub.settings.http.deadline_s):
        first = await anext(stream)  # where it cannot begin, the answer is a problem
    return answer(first, stream)


@get(
    "/v1/fanouts/{fanout_id:str}/commands",
    summary="List the commands of a fan-out's members",
    operation_id="list_fanout_commands",
    guards=[needs("read")],
    opt=described(
        problems=("unknown_fanout", "invalid_cursor", "too_much"),
        answer=Page([examples.MEMBERS_COMMAND], "cHJlc3MtMQ"),
    ),
)
async def list_fanout_commands(
    hub: NamedDependency[Hub],
    caller: NamedDependency[Caller],
    fanout_id: FanOutId,
    which: MemberState = "all",
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Command]:
    """List what became of each member, by device: who has not replied, and why.

    As the owners have it while they remember it, else as it is stored, a moment behind. Up to 100 members are looked at
    for a page, so one may be short, or empty, and others follow. Members that were `refused` got no command.
    """
    if which not in ANY:
        raise unfit("state", "known are open, ended, all and the states of commands")
    items, last = await command_pages.members(
        hub, caller, fanout_id, states=ANY[which], after=position(cursor), limit=limit
    )
    return Page(items, next_cursor(last))


@post(
    "/v1/fanouts/{fanout_id:str}/:cancel",
    summary="Cancel a fan-out",
    operation_id="cancel_fanout",
    guards=[needs("command")],
    status_code=200,
    opt=described(problems=("unknown_fanout", "too_much"), answer=examples.FAN_OUT_ENDED, accepted=True),
)
async def cancel_fanout(
    asker: NamedDependency[Asker], caller: NamedDependency[Caller], fanout_id: FanOutId
) -> Response[FanOutEnded]:
    """End all commands of a fan-out that are not over. 202: some partitions did not answer in time; ask again."""
    ended = await fanouts.cancel(asker, caller, fanout_id)
    return Response(ended, status_code=202 if ended.missing_partitions else 200)


def _located(fanout_id: str) -> dict[str, str]:
    return {"Location": f"/v1/fanouts/{fanout_id}"}


HANDLERS: Final = [send_to_tag, call_tag, get_fanout, stream_fanout, list_fanout_commands, cancel_fanout]
router = Router("/", route_handlers=HANDLERS, tags=["commands"])
