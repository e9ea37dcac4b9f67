"""What is answered to whoever sent a command and waits. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from libs.runtime.lane.answers import answer
from libs.runtime.lane.verdicts import Refused, refusal
from libs.topics.messages.base import ReplyTo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from libs.runtime.lane.answers import Asking
    from libs.runtime.lane.model import At, Output
    from libs.topics.messages.command_views import CommandView

DONE: Final = 200
ACCEPTED: Final = 202

ENDS: Final[Mapping[str, tuple[int, str, str]]] = {
    "rejected": (409, "device_offline", "Send a command, which waits for the device, or try again when it is online."),
    "timed_out": (504, "rpc_timed_out", "The device may have done it all the same: a late reply is kept with it."),
    "failed": (502, "command_failed", "Look at the reason."),
    "cancelled": (409, "command_cancelled", "The device may have done it all the same."),
    "expired": (504, "command_expired", "The device may have done it all the same: a late reply is kept with it."),
}
"""Of an rpc that ends without a reply: status, code and advice."""


class Waiter(msgspec.Struct, frozen=True, gc=False):
    """Who waits for the end of an rpc."""

    reply_to: ReplyTo | None


def tell_end(asking: Asking, at: At, view: CommandView) -> Sequence[Output]:
    """Answer whoever waits for an rpc with what became of it: its reply, or the refusal with the whole entry."""
    if view.state == "replied":
        return answer(asking, at, DONE, view)
    status, code, advice = ENDS[view.state]
    detail = view.reason or view.state
    return refusal(asking, at, Refused(status, code, detail, advice, view))


def unknown_command(request_id: str) -> Refused:
    detail = f"the device has no command {request_id} that is open, or was until lately"
    return Refused(404, "unknown_command", detail, "Look at the history of its commands.")


def over(view: CommandView) -> Refused:
    detail = f"the command is over: {view.state}"
    return Refused(409, "command_over", detail, "It stays as it is.", view)


def forgotten(request_id: str) -> Refused:
    detail = f"the command {request_id} was sent before, and is over"
    return Refused(409, "command_over", detail, "Look at the history of the device's commands.")
