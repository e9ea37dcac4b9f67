"""A call of many devices, followed through the events of its members' commands until it is over. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from libs.topics.messages.command_events import CommandEnded, CommandReplied

from .command_documents import Reply
from .fanout_documents import GroupRpc, MemberReply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .fanout_documents import FanOutBegun
    from .frames import Record

Ended: TypeAlias = CommandReplied | CommandEnded
KINDS: Final = frozenset({"command_replied", "command_ended"})
MOST_REPLIES: Final = 1000
"""That one answer has."""
MOST_BYTES: Final = 4 << 20
"""Of the payloads in it."""


class Group:
    """What is known of the members by now. Events may come before the partitions have told how many there are."""

    def __init__(self, fanout_id: str) -> None:
        self._fanout_id, self._mark = fanout_id, fanout_id.encode()
        self._ends: dict[str, str] = {}
        """The end of each member's command, by device id."""
        self._replies: list[MemberReply] = []
        self._bytes = 0
        self._begun: FanOutBegun | None = None

    def begin(self, begun: FanOutBegun) -> None:
        """Take note of what the partitions have found."""
        self._begun = begun

    def know(self, ends: Mapping[str, str]) -> None:
        """Take note of ends that came before anybody listened, by device id: of a repeated request."""
        self._ends = {**ends, **self._ends}

    def take(self, record: Record) -> None:
        """Fold an event, whosever it is; one that comes again changes nothing."""
        if record.kind not in KINDS or record.device_id in self._ends or self._mark not in record.value:
            return
        event = msgspec.json.decode(record.value, type=Ended)
        if event.request_id != self._fanout_id:
            return
        if isinstance(event, CommandEnded):
            self._ends[event.device_id] = event.outcome
            return
        self._ends[event.device_id] = "replied"
        self._bytes += len(bytes(event.payload))
        if len(self._replies) < MOST_REPLIES and self._bytes <= MOST_BYTES:
            reply = Reply(event.message_id, event.encoding, event.payload, event.at, event.rtt_ms, late=False)
            self._replies.append(MemberReply(event.device_id, reply))

    def over(self) -> bool:
        """Whether every member's call has come to its end; of members that are not known of yet nobody can tell."""
        begun = self._begun
        return begun is not None and not begun.missing_partitions and self._open() <= 0

    def replied(self, share: float) -> bool:
        """Whether that share of the members has replied."""
        begun = self._begun
        if begun is None or begun.missing_partitions:
            return False
        return self._count("replied") >= share * begun.members

    def _open(self) -> int:
        return 0 if self._begun is None else self._begun.members - self._begun.refused - len(self._ends)

    def _count(self, end: str) -> int:
        return Counter(self._ends.values())[end]

    def document(self) -> GroupRpc:
        """Tell what it came to. Only after `begin`."""
        begun = self._begun
        assert begun is not None
        ends = Counter(self._ends.values())
        return GroupRpc(
            fanout_id=begun.fanout_id,
            product_id=begun.product_id,
            tag=begun.tag,
            members=max(begun.members, begun.refused + len(self._ends)),
            replied=ends["replied"],
            rejected=ends["rejected"],
            refused=begun.refused,
            failed=ends["failed"],
            timed_out=ends["timed_out"] + ends["expired"],
            cancelled=ends["cancelled"],
            open=max(0, self._open()),
            replies=self._replies,
            replies_left_out=ends["replied"] - len(self._replies),
            missing_partitions=begun.missing_partitions,
        )
