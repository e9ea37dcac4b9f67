"""What the commands service decides, as far as the API sees it. It passes the suite of the real one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from libs.topics.codec import encode
from libs.topics.messages.command_events import CommandEnded, CommandReplied, FanOutStarted
from libs.topics.messages.command_requests import CancelCommand, CancelFanOut, SendCommand, SendToTag
from libs.topics.messages.command_views import (
    CommandReply,
    CommandView,
    DeviceCommands,
    FanOutCancelled,
    FanOutStates,
    PendingCommands,
)
from libs.topics.names import COMMANDS_EVENTS
from services.api.commands import LEDGER
from services.api.devices import PENDING, REGISTERED
from services.api.fanouts import MEMBERS
from services.api.frames import Record
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
        for view in (LEDGER, PENDING, MEMBERS):
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
        if view == MEMBERS:
            members = [one for one in entries if one.fanout_id is not None]
            late = [one.request_id for one in members if one.reply is not None and one.reply.late]
            return FanOutStates({one.request_id: one.state for one in members}, tuple(late))
        return DeviceCommands(pending, tuple(one for one in entries if one.ended_at is not None))

    def decide(self, request: Any) -> RequestAnswered:
        if isinstance(request, SendToTag):
            return self._fan_out(request)
        if isinstance(request, CancelFanOut):
            return self._end_all(request)
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
        if self._full(key):
            raise refused(429, "queue_full")
        return self._accept(key, asked.request_id, None, asked)

    def _full(self, key: str) -> bool:
        return sum(one.ended_at is None for one in self.entries.get(key, [])) >= OPEN

    def _accept(self, key: str, request_id: str, fanout_id: str | None, asked: SendCommand | SendToTag) -> CommandView:
        product_id, device_id = key.split("/")
        made = CommandView(
            product_id,
            device_id,
            request_id,
            fanout_id,
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
        self.world.reads.listed.setdefault(f"request:{request_id}", []).append(key)
        self._tell(made)
        return made

    def _tell(self, made: CommandView) -> None:
        """Let those hear of an end who listen to the product."""
        event: Any
        ids = "i", made.product_id, made.device_id, made.request_id
        if made.reply is not None:
            reply = made.reply
            event = CommandReplied(*ids, reply.message_id, reply.encoding, reply.payload, reply.rtt_ms, NOW)
        elif made.state in ("rejected", "timed_out"):
            event = CommandEnded(*ids, made.state, "it is so", NOW)
        else:
            return
        if (COMMANDS_EVENTS, made.product_id, None) in self.world.streams.listening:
            kind = str(type(event).__struct_config__.tag)
            place = (COMMANDS_EVENTS, 0)
            self.world.streams.heard.put_nowait(Record(place, 0, ids[1], kind, encode(event), ids[2]))

    def _fan_out(self, asked: SendToTag) -> RequestAnswered:
        """Partition 0 has all devices."""
        if asked.ttl is not None and asked.ttl > LONGEST_TTL:
            raise refused(400, "invalid_ttl")
        term = f"tag:{asked.product_id}/{asked.tag}"
        members = self.world.reads.listed.get(term, ()) if not asked.partition else ()
        counts = {"accepted": 0, "queued": 0, "refused": 0, "rejected": 0}
        for key in members:
            command = self._find(key, asked.fanout_id)
            if command is None and self._full(key):
                counts["refused"] += 1
                continue
            if command is None:
                command = self._accept(key, asked.fanout_id, asked.fanout_id, asked)
            counts[command.state if command.state in counts else "accepted"] += 1
        what = (asked.fanout_id, asked.product_id, asked.tag, asked.partition, len(members))
        return answered(FanOutStarted("i", *what, *_four(counts), NOW), 202)

    def _end_all(self, asked: CancelFanOut) -> RequestAnswered:
        members = self.world.reads.listed.get(f"request:{asked.fanout_id}", ()) if not asked.partition else ()
        open_ones = [
            (key, one) for key in members if (one := self._find(key, asked.fanout_id)) and one.ended_at is None
        ]
        for key, one in open_ones:
            self._cancel(key, one)
        return answered(FanOutCancelled(asked.fanout_id, asked.partition, len(open_ones)))

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


def _four(counts: dict[str, int]) -> tuple[int, int, int, int]:
    return counts["accepted"], counts["queued"], counts["refused"], counts["rejected"]
