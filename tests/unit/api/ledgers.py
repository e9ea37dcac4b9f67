"""What the commands service decides, as far as the API sees it. It passes the suite of the real one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from libs.topics.messages.command_requests import CancelCommand, SendCommand
from libs.topics.messages.command_views import CommandReply, CommandView, DeviceCommands
from services.api.command_documents import PendingCommands
from services.api.commands import LEDGER
from services.api.devices import PENDING, REGISTERED
from tests.unit.api.registry import FakeRegistry
from tests.unit.api.shadows import Shown
from tests.unit.api.world import NOW, answered, refused

if TYPE_CHECKING:
    import msgspec

    from libs.topics.messages.hub import RequestAnswered
    from tests.unit.api.world import World

OPEN = 100
"""Commands of a device that are not over."""
TTL, LONGEST_TTL = 7 * 24 * 3600 * 1000, 30 * 24 * 3600 * 1000


class FakeCommands:
    """Decides about commands of devices that a `FakeRegistry` has registered, which it makes, too.

    ``online``: devices that get what is sent, and what each of them replies to an rpc; None: nothing.
    """

    def __init__(self, world: World) -> None:
        self._registry = FakeRegistry(world)
        self.world = world
        self.entries: dict[str, list[CommandView]] = {}
        self.online: dict[str, msgspec.Raw | None] = {}
        self._remembered: dict[str, tuple[str, str]] = {}
        world.requests.answer = self.decide
        for view in (LEDGER, PENDING):
            world.reads.documents[view] = Shown(self, view)

    def forget(self) -> None:
        """Forget the idempotency keys, as an owner does in time."""
        self._remembered.clear()

    def knows(self, key: str) -> bool:
        return key in self.world.reads.documents[REGISTERED]

    def show(self, view: tuple[str, str, str], key: str) -> Any:
        entries = self.entries.get(key, [])
        pending = tuple(one for one in entries if one.ended_at is None)
        if view == PENDING:
            return PendingCommands(len(pending), sum(one.state == "queued" for one in pending))
        return DeviceCommands(pending, tuple(one for one in entries if one.ended_at is not None))

    def decide(self, request: Any) -> RequestAnswered:
        if not isinstance(request, SendCommand | CancelCommand):
            return self._registry.decide(request)
        key = f"{request.product_id}/{request.device_id}"
        if not self.knows(key):
            raise refused(404, "unknown_device")
        known = request.idempotency
        again = False
        if known is not None and known.key in self._remembered:
            again = True
            if self._remembered[known.key] != (known.fingerprint, request.request_id):
                raise refused(422, "idempotency_key_reused")
        command = self._find(key, request.request_id)
        if isinstance(request, SendCommand) and command is not None:
            again = True
        if not again:
            command = self._send(key, request) if isinstance(request, SendCommand) else self._cancel(key, command)
        if known is not None:
            self._remembered[known.key] = known.fingerprint, request.request_id
        assert command is not None
        return self._told(request, command)

    def _told(self, request: SendCommand | CancelCommand, command: CommandView) -> RequestAnswered:
        if isinstance(request, CancelCommand):
            return answered(command, 200)
        if request.mode == "cmd":
            return answered(command, 202)
        if command.state == "replied":
            return answered(command, 200)
        status, code = (409, "device_offline") if command.state == "rejected" else (504, "rpc_timed_out")
        raise refused(status, code, current=command)

    def _send(self, key: str, asked: SendCommand) -> CommandView:
        if asked.ttl is not None and asked.ttl > LONGEST_TTL:
            raise refused(400, "invalid_ttl")
        if sum(one.ended_at is None for one in self.entries.get(key, [])) >= OPEN:
            raise refused(429, "queue_full")
        made = CommandView(
            asked.product_id,
            asked.device_id,
            asked.request_id,
            None,
            asked.mode,
            asked.command,
            "accepted" if key in self.online else "queued",
            0,
            NOW,
            NOW + (TTL if asked.ttl is None else asked.ttl),
            None,
            None,
            None,
            None,
            asked.requested_by,
        )
        if asked.mode == "rpc":
            made = self._called(key, made)
        self.entries.setdefault(key, []).append(made)
        self.world.reads.listed.setdefault(f"request:{asked.request_id}", []).append(key)
        return made

    def _called(self, key: str, made: CommandView) -> CommandView:
        if key not in self.online:
            return replace(made, state="rejected", ended_at=NOW, reason="the device is offline")
        payload = self.online[key]
        sent = replace(made, attempts=1, sent_at=NOW + 1)
        if payload is None:
            return replace(sent, state="timed_out", ended_at=made.expires_at, reason="it did not reply in time")
        reply = CommandReply("s1", "json", payload, NOW + 9, 8, late=False)
        return replace(sent, state="replied", ended_at=NOW + 9, reply=reply)

    def _cancel(self, key: str, command: CommandView | None) -> CommandView:
        if command is None:
            raise refused(404, "unknown_command")
        if command.ended_at is not None:
            raise refused(409, "command_over", current=command)
        ended = replace(command, state="cancelled", ended_at=NOW, reason="cancelled by ops")
        entries = self.entries[key]
        entries[entries.index(command)] = ended
        return ended

    def _find(self, key: str, request_id: str) -> CommandView | None:
        return next((one for one in self.entries.get(key, []) if one.request_id == request_id), None)
