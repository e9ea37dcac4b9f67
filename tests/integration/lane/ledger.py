"""The service under test: accounts with deposits, deadlines, deletes, and broadcasts that sweep them or set cells.

Every output holds all that its step knew, so that a single difference in order or shared state shows in some byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec
from msgspec import Meta

from libs.runtime.lane.answers import answer, refuse
from libs.runtime.lane.model import At, Due, Everything, Folded, Output, Shared, Sweep, Targets, Terms, send
from libs.runtime.lane.rows import Row
from libs.runtime.lane.settings import LaneSettings, ReadsSettings
from libs.runtime.settings import ServiceSettings
from libs.topics.codec import InvalidMessage, UnknownKind
from libs.topics.messages.base import Request
from libs.topics.messages.hub import TimePassed

if TYPE_CHECKING:
    from collections.abc import Sequence

TABLE = "accounts"
TAGS = 10
TICK = b'{"type":"time_passed"'
WITHDRAW = b'{"type":"withdraw"'


class Withdraw(Request, frozen=True, tag="withdraw"):
    """Asked of an account: refused where it does not hold so much."""

    value: int


class Event(msgspec.Struct, frozen=True, gc=False):
    kind: str
    value: int = 0
    at: int = 0
    pad: str = ""
    request: Withdraw | None = None


class Account(Row, kw_only=True):
    deposits: int = 0
    total: int = 0
    visits: int = 0
    deadlines: tuple[int, ...] = ()
    expired: int = 0
    world: int = 0
    pad: str = ""


class Balance(msgspec.Struct, frozen=True):
    """What is shown of an account."""

    deposits: int
    total: int
    broadcasts: int


class World(msgspec.Struct, array_like=True, frozen=True):
    broadcasts: int = 0
    total: int = 0


class Rate(msgspec.Struct, array_like=True, frozen=True):
    """A cell; one for each tag that was rated. It knows how often it was set, so that setting it twice shows."""

    value: int
    writes: int


Reference: TypeAlias = Shared[World, Rate]


class Settings(ServiceSettings, frozen=True, kw_only=True):
    lane: LaneSettings = LaneSettings()
    reads: ReadsSettings = ReadsSettings()
    service: Annotated[str, Meta(description="Name of the app; its topics begin with it.")]
    max_row: Annotated[int, Meta(description="Bytes of a row.")] = 100_000
    breaker: Annotated[int, Meta(description="Dead letters that are borne in 1,000 events.")] = 1000
    tick: Annotated[bool, Meta(description="Workers tell the time.")] = False
    sweep_slice: Annotated[int, Meta(description="Rows visited without a break.")] = 500


def inbox(service: str) -> str:
    return f"{service}.inbox"


def outputs(service: str) -> str:
    return f"{service}.events"


def decode(value: bytes | None) -> Event:
    try:
        if value and value.startswith(TICK):
            return Event("tick", at=msgspec.json.decode(value, type=TimePassed).at)
        if value and value.startswith(WITHDRAW):
            return Event("withdraw", request=msgspec.json.decode(value, type=Withdraw))
        event = msgspec.json.decode(value or b"", type=Event)
    except msgspec.DecodeError as error:
        raise InvalidMessage(str(error)) from error
    if event.kind == "later":
        raise UnknownKind(event.kind)
    return event


class Ledger:
    """The step and the fold of broadcasts for one service name."""

    def __init__(self, service: str) -> None:
        self.topic = outputs(service)

    def step(
        self, row: Account | None, event: Event, at: At, shared: Reference
    ) -> tuple[Account | None, Sequence[Output]]:
        account = row or Account()
        replace = msgspec.structs.replace
        replies: Sequence[Output] = ()
        match event.kind:
            case "deposit":
                new: Account | None = replace(
                    account, deposits=account.deposits + 1, total=account.total + event.value, pad=event.pad
                )
            case "arm":
                new = replace(account, deadlines=tuple(sorted((*account.deadlines, event.at))))
            case "close":
                new = None
            case "ask":
                new = row
            case "withdraw":
                assert event.request is not None
                new, replies = self._withdraw(row, account, event.request, at)
            case "boom":
                raise ValueError("boom")
            case "tick":
                left = tuple(moment for moment in account.deadlines if moment > event.at)
                new = replace(account, deadlines=left, expired=account.expired + len(account.deadlines) - len(left))
            case _:
                new = replace(account, visits=account.visits + 1)
        if new is not None and new is not row:
            new = replace(new, world=shared.state.broadcasts)
        return new, (send(self.topic, at.key, self._say(at, new, shared)), *replies)

    @staticmethod
    def _withdraw(
        row: Account | None, account: Account, request: Withdraw, at: At
    ) -> tuple[Account | None, Sequence[Output]]:
        left = account.total - request.value
        if left < 0:
            said = {"code": "too_little", "detail": f"it holds {account.total}", "advice": "deposit more"}
            return row, refuse(request, at, 409, **said, current={"total": account.total})
        return msgspec.structs.replace(account, total=left), answer(request, at, 200, {"total": left}, version=left)

    @staticmethod
    def _say(at: At, row: Account | None, shared: Reference) -> bytes:
        fields = None if row is None else [row.deposits, row.total, row.visits, row.deadlines, row.expired, row.world]
        rate = None if row is None else shared.cells.get(str(row.total % TAGS))
        return msgspec.json.encode([at.id(), fields, shared.state, rate])

    @staticmethod
    def fold(shared: Reference, event: Event, _at: At) -> Folded[World, Rate]:
        targets: Targets | None = None
        cells: dict[str, Rate | None] = {}
        tag = event.value % TAGS
        match event.kind:
            case "tick":
                targets = Due(event.at)
            case "everything":
                targets = Everything()
            case "tagged":
                targets = Terms((("tag", tag),))
            case "rate":
                targets = Terms((("tag", tag),))
                old = shared.cells.get(str(tag))
                cells[str(tag)] = Rate(event.value, 1 if old is None else old.writes + 1)
            case "unrate":
                cells = dict.fromkeys(map(str, range(tag)))
        return Folded(World(shared.state.broadcasts + 1, shared.state.total + event.value), targets, cells)

    def swept(self, shared: Reference, event: Event, at: At, sweep: Sweep) -> Sequence[Output]:
        left = [None if row is None else (row.total, row.visits, row.expired) for row in sweep.visited]
        sums = [len(left), left.count(None), *map(sum, zip(*filter(None, left), strict=True))]
        fields = [at.id(), event.kind, sweep.matched, sums, shared.state, sorted(shared.cells.items())]
        value = msgspec.json.encode(fields)
        return (send(self.topic, b"partition-%d" % at.partition, value),)


def terms(key_total: Account) -> tuple[tuple[str, int], ...]:
    """Every account carries one tag, which its deposits move it out of."""
    return (("tag", key_total.total % TAGS),)


def deadline(row: Account) -> int | None:
    return row.deadlines[0] if row.deadlines else None


def balance(_key: bytes, row: Account | None, shared: Reference) -> Balance | None:
    return None if row is None else Balance(row.deposits, row.total, shared.state.broadcasts)


def listed(row: Account) -> tuple[tuple[str, str], tuple[str, str]]:
    """With all others, and with those whose total is as even, which a deposit of 1 changes."""
    return ("all", "accounts"), ("total", "even" if row.total % 2 == 0 else "odd")


def tally(_key: bytes, row: Account) -> tuple[str, str]:
    return ("used" if row.deposits else "unused", "even" if row.total % 2 == 0 else "odd")
