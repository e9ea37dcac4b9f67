"""``.../devices/{device_id}/commands`` and ``.../rpc``: what a device is told to do."""

from __future__ import annotations

from typing import Any, Final

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from services.api import command_examples as examples
from services.api import command_pages, commands
from services.api.access import needs
from services.api.asking import Asker
from services.api.command_calls import OPEN_STATES, PAST, SENDING, State
from services.api.command_documents import Command, NewCommand, NewRpc
from services.api.conditions import next_cursor, position
from services.api.describe import described
from services.api.documents import Page
from services.api.gate import OWN_DEADLINE, ended_after
from services.api.hub import Hub
from services.api.moments import span, unfit
from services.api.params import Begin, Cursor, DeviceId, End, Limit, ProductId
from services.api.products import find
from services.api.queries import About

NO_REPLY: Final = ("device_offline", "rpc_timed_out", "command_failed", "command_cancelled", "command_expired")
"""Codes of an rpc that ended without a reply."""
MONTH: Final = 30 * 24 * 3600 * 1000


@post(
    "/commands",
    summary="Send a command",
    operation_id="send_command",
    guards=[needs("command")],
    status_code=202,
    opt=described(
        problems=(*SENDING, "invalid_ttl"), request=examples.NEW_COMMAND, answer=examples.QUEUED_COMMAND, located=True
    ),
)
async def send_command(
    request: Request[Any, Any, Any],
    data: JSONBody[NewCommand],
    asker: NamedDependency[Asker],
    product_id: ProductId,
    device_id: DeviceId,
) -> Response[Command]:
    """Send a command to a device: now, or as soon as it is online, never after its time is over.

    The answer is its entry in the ledger; `Location` is where what becomes of it is read. The same `Idempotency-Key`
    sends it once, and is answered with the entry as it is then.
    """
    return located(await commands.send(asker, product_id, device_id, data, await request.body()), 202)


@get(
    "/commands",
    summary="List a device's commands",
    operation_id="list_commands",
    guards=[needs("read")],
    opt=described(
        problems=("unknown_product", "unknown_device", "invalid_cursor", "too_much"),
        answer=Page([examples.QUEUED_COMMAND, examples.REPLIED_COMMAND], None),
    ),
)
async def list_commands(
    hub: NamedDependency[Hub],
    product_id: ProductId,
    device_id: DeviceId,
    which: State = "open",
    begin: Begin = None,
    end: End = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Command]:
    """List a device's commands: those that are open, or those of the past.

    Open ones come whole, on one page. The past is told the newest first, of those that were accepted in the last 30
    days, unless told otherwise, also of devices that were deleted. What has just ended is told by the owner until it is
    stored.
    """
    if which == "open" or which in OPEN_STATES:
        found = (await commands.known(hub, product_id, device_id)).open
        return Page([one for one in found if which in {"open", one.state}], None)
    if which not in PAST:
        raise unfit("state", "known are open, ended, all and the states of commands")
    find(hub, product_id)
    about = About(product_id, device_id, *span(begin, end, hub.clock(), MONTH))
    items, last = await command_pages.past(hub, about, PAST[which], command_pages.read(position(cursor)), limit)
    return Page(items, next_cursor(command_pages.written(last)))


@post(
    "/rpc",
    summary="Call a device, and wait for its reply",
    operation_id="call_device",
    guards=[needs("command")],
    status_code=200,
    opt={
        OWN_DEADLINE: True,
        **described(
            problems=(*SENDING, *NO_REPLY), request=examples.NEW_RPC, answer=examples.REPLIED_RPC, located=True
        ),
    },
)
async def call_device(
    request: Request[Any, Any, Any],
    data: JSONBody[NewRpc],
    asker: NamedDependency[Asker],
    product_id: ProductId,
    device_id: DeviceId,
) -> Response[Command]:
    """Send a command that only counts now, and answer with the device's reply.

    A device that is offline is 409 `device_offline` at once. One that does not reply in time is 504 `rpc_timed_out`;
    a reply that comes later is kept under the request id, which is in `current`.
    """
    async with ended_after(asker.hub.settings.http.deadline_s + data.timeout_s + commands.GRACE_S):
        return located(await commands.call(asker, product_id, device_id, data, await request.body()), 200)


def located(command: Command, status: int) -> Response[Command]:
    """Answer with an entry, and say where it is found later."""
    return Response(command, status_code=status, headers={"Location": commands.location(command)})


router = Router(
    "/v1/products/{product_id:str}/devices/{device_id:str}",
    route_handlers=[send_command, list_commands, call_device],
    tags=["commands"],
)
