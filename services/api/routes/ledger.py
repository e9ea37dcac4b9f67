"""``/v1/commands/{request_id}``: what became of a command."""

from __future__ import annotations

from litestar import Router, get, post
from litestar.di import NamedDependency

from services.api import command_examples as examples
from services.api import ledger
from services.api.access import Caller, needs
from services.api.asking import Asker
from services.api.command_calls import Member, RequestId
from services.api.command_documents import Command, CommandDetail
from services.api.describe import described
from services.api.hub import Hub


@get(
    "/{request_id:str}",
    summary="What became of a command?",
    operation_id="get_command",
    guards=[needs("read")],
    opt=described(problems=("unknown_command",), answer=examples.COMMAND_DETAIL),
)
async def get_command(
    hub: NamedDependency[Hub], caller: NamedDependency[Caller], request_id: RequestId, device: Member = None
) -> CommandDetail:
    """Read a command's entry as it is now, with all its steps: also long after its end, of a device that was deleted.

    A step of a moment ago may be missing from `steps`; the entry itself is up to date while its owner remembers it.
    """
    return await ledger.detail(hub, await ledger.find(hub, caller, request_id, device))


@post(
    "/{request_id:str}/:cancel",
    summary="Cancel a command",
    operation_id="cancel_command",
    guards=[needs("command")],
    status_code=200,
    opt=described(problems=("unknown_command", "command_over", "unknown_device"), answer=examples.CANCELLED_COMMAND),
)
async def cancel_command(
    asker: NamedDependency[Asker], caller: NamedDependency[Caller], request_id: RequestId, device: Member = None
) -> Command:
    """End a command that is not over: it is sent no more. A device that has it already may still carry it out."""
    return await ledger.end(asker, caller, request_id, device)


router = Router("/v1/commands", route_handlers=[get_command, cancel_command], tags=["commands"])
