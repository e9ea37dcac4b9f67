"""Commands by their request id, whosever they are: of their owners while these remember them, else from ClickHouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from libs.runtime.requests.client import Refused
from libs.topics.identity import split_key

from . import command_queries as queries
from .command_documents import Command, CommandDetail, Reply, Step
from .commands import LEDGER, Known, cancel
from .problems import FieldError, Problem, refusal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .access import Caller
    from .asking import Asker
    from .hub import Hub

HISTORY_IS_SILENT: Final = ("unavailable", "too_much")
"""Codes of a store of the past that does not tell now."""
FORGOTTEN: Final = ("unknown_command", "unknown_device")
"""Codes of an owner that does not remember what was over long ago, perhaps of a device that was deleted."""


async def find(hub: Hub, caller: Caller, request_id: str, device: str | None) -> Command:
    """Find a command. ``device``: ``product/device``, where it is known, or the request id is that of a fan-out.

    Raises `Problem` (``unknown_command``, ``invalid_request`` for a fan-out's without a device, and as `Asked.ask`),
    `Unavailable`, `InvalidName`.
    """
    found = await _remembered(hub, caller, request_id, device)
    if not found:
        found = _only(caller, await hub.history.ask(queries.commands_of(request_id, _split(device))))
    if not found:
        raise Problem("unknown_command", f"there is no command {request_id}" + (f" of {device}" if device else ""))
    if device is None and found[0].fanout_id is not None:
        said = "it is the request id of a fan-out: say of which device the command is meant"
        raise Problem("invalid_request", f"device: {said}", errors=(FieldError("device", "query", said),))
    return found[0]


async def _remembered(hub: Hub, caller: Caller, request_id: str, device: str | None) -> list[Command]:
    if device is None:
        listed = await hub.reads.list(*LEDGER, f"request:{request_id}", limit=1)
        documents = [document for key, document in listed if caller.knows(key.partition("/")[0])]
    else:
        product_id, device_id = split_key(device.encode())
        own = await hub.reads.get(*LEDGER, product_id, device_id) if caller.knows(product_id) else None
        documents = [] if own is None else [own]
    found = [msgspec.json.decode(document, type=Known).find(request_id) for document in documents]
    return [command for command in found if command is not None]


def _split(device: str | None) -> tuple[str, str] | None:
    return None if device is None else split_key(device.encode())


def _only(caller: Caller, rows: Sequence[Sequence[Any]]) -> list[Command]:
    """Read stored commands; one of a product that the caller may not know of is none."""
    return [command for row in rows if caller.knows((command := queries.command(row)).product_id)]


async def detail(hub: Hub, command: Command) -> CommandDetail:
    """Add a command's steps, as far as they are stored. Raises nothing where the store of the past is silent."""
    steps: list[Step] | None = None
    try:
        rows = await hub.history.ask(queries.steps(command))
    except Problem as problem:
        if problem.code not in HISTORY_IS_SILENT:
            raise
    else:
        steps = [_step(event) for (event,) in rows]
    fields = msgspec.structs.asdict(command)
    if command.reply is None and command.state == "replied":
        fields["reply"] = _reply(steps or [])  # too large to be remembered by the owner
    return CommandDetail(**fields, steps=steps)


def _step(event: str) -> Step:
    told = msgspec.json.decode(event, type=dict[str, object])
    return Step(str(told["type"]), int(str(told["at"])), told)


def _reply(steps: list[Step]) -> Reply | None:
    for step in steps:
        if step.type == "command_replied":
            event = step.event
            payload = msgspec.Raw(msgspec.json.encode(event["payload"]))
            return Reply(event["message_id"], event["encoding"], payload, step.at, event["rtt_ms"], late=False)
    return None


async def end(asker: Asker, caller: Caller, request_id: str, device: str | None) -> Command:
    """Cancel a command. Raises as `find`, and `Problem` ``command_over`` with the entry in ``current``.

    The owner is asked also where it is over by all that is known: it knows the repetition of a request that ended it.
    """
    command = await find(asker.hub, caller, request_id, device)
    try:
        return await cancel(asker, command)
    except (Refused, Problem) as error:
        problem = refusal(error) if isinstance(error, Refused) else error
        if problem.code not in FORGOTTEN or command.ended_at is None:
            raise
    over = msgspec.Raw(msgspec.json.encode(command))
    raise Problem("command_over", f"the command is over: {command.state}", current=over)
