"""One command's steps, as the ledger writes them: for those who only read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import msgspec

from libs.topics.codec import encode
from libs.topics.messages.command_events import (
    CommandAccepted,
    CommandDelivered,
    CommandEnded,
    CommandQueued,
    CommandReplied,
    CommandSent,
    LateReplyRecorded,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.topics.messages.base import Message

E = TypeVar("E", bound="Message")
Outcome = Literal["failed", "rejected", "expired", "cancelled", "timed_out"]
HOUR = 3_600_000
OUTCOMES: Final[dict[str, Outcome]] = {
    outcome: outcome for outcome in ("failed", "rejected", "expired", "cancelled", "timed_out")
}
STEPS: Final = ("queue", "send", "deliver", "reply", "expired", "timed_out", "late")
"""For lives made by chance."""


class CommandLog:
    """Begins with the acceptance; each call is one step more. ``events`` follow. ``ttl``: in ms."""

    def __init__(
        self,
        product_id: str,
        device_id: str,
        request_id: str,
        at: int,
        command: str = "unlock",
        *,
        mode: Literal["cmd", "rpc"] = "cmd",
        fanout: bool = False,
        ttl: int = HOUR,
        payload: object = None,
    ) -> None:
        self.product_id, self.device_id, self.request_id = product_id, device_id, request_id
        self.events: list[Any] = []
        self._attempts = 0
        self._sent_at = at
        self._say(
            CommandAccepted,
            at,
            fanout_id=request_id if fanout else None,
            mode=mode,
            command=command,
            encoding="json",
            payload=msgspec.Raw(encode(payload)),
            expires_at=at + ttl,
            by="ops",
        )

    @property
    def key(self) -> bytes:
        return f"{self.product_id}/{self.device_id}".encode()

    def queue(self, at: int, pending: int = 1) -> CommandQueued:
        return self._say(CommandQueued, at, pending=pending)

    def send(self, at: int) -> CommandSent:
        self._attempts += 1
        self._sent_at = at
        return self._say(CommandSent, at, attempt=self._attempts)

    def deliver(self, at: int) -> CommandDelivered:
        return self._say(CommandDelivered, at)

    def reply(self, at: int, payload: object = None) -> CommandReplied:
        rtt = at - self._sent_at
        return self._say(CommandReplied, at, **self._said(payload), rtt_ms=rtt)

    def end(self, at: int, outcome: Outcome, reason: str = "because") -> CommandEnded:
        return self._say(CommandEnded, at, outcome=outcome, reason=reason)

    def reply_late(self, at: int, payload: object = None) -> LateReplyRecorded:
        return self._say(LateReplyRecorded, at, **self._said(payload))

    def live(self, steps: Sequence[str], gap: int = 1) -> CommandLog:
        """Take of these steps what the ledger would: one end, only late replies after it. ``gap``: in ms."""
        over = False
        for at, step in enumerate(steps, 1):
            time = self.events[0].at + at * gap
            if step == "late":
                if over:
                    self.reply_late(time, at)
            elif over:
                continue
            elif step in OUTCOMES:
                self.end(time, OUTCOMES[step])
                over = True
            elif step == "reply":
                self.reply(time, {"n": at})
                over = True
            elif step == "send":
                self.send(time)
            elif step == "deliver":
                self.deliver(time)
            elif step == "queue" and len(self.events) == 1:
                self.queue(time)
        return self

    def _said(self, payload: object) -> dict[str, Any]:
        raw = msgspec.Raw(encode(payload))
        return {"message_id": f"m{len(self.events)}", "encoding": "json", "payload": raw}

    def _say(self, kind: type[E], at: int, **fields: Any) -> E:
        say: Any = kind
        event: E = say(
            id=f"{self.product_id}-{self.device_id}-{self.request_id}-{len(self.events)}",
            product_id=self.product_id,
            device_id=self.device_id,
            request_id=self.request_id,
            at=at,
            **fields,
        )
        self.events.append(event)
        return event
