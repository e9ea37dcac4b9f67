"""Which shard's session this replica runs, as a machine of events and actions. Pure.

The order that matters: a shard is taken up only when the group has assigned it and has since accepted a proof of
membership; it is released to the group only when its session has ended; and it has at most one session here, whatever
comes in between.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

import msgspec

Shards: TypeAlias = frozenset[int]


class Assigned(msgspec.Struct, frozen=True):
    """The group gave these shards to this replica, beside those that it has."""

    shards: Shards


class Proved(msgspec.Struct, frozen=True):
    """The group accepted a proof, asked for since the last change, that this replica has these shards."""

    shards: Shards


class Revoked(msgspec.Struct, frozen=True):
    """The group wants these shards back and waits for their release."""

    shards: Shards


class Lost(msgspec.Struct, frozen=True):
    """The group has given these shards away already, or may have."""

    shards: Shards


class Lapsed(msgspec.Struct, frozen=True):
    """No proof came for so long that any shard may have another holder; the group may not know of it yet."""


class Over(msgspec.Struct, frozen=True):
    """The session of this shard has ended, and nothing of it is under way."""

    shard: int


class Stopping(msgspec.Struct, frozen=True):
    """Every session ends in order, and none begins any more."""


Event: TypeAlias = Assigned | Proved | Revoked | Lost | Lapsed | Over | Stopping


class Start(msgspec.Struct, frozen=True):
    shard: int


class End(msgspec.Struct, frozen=True):
    """In order: what is under way is acknowledged, the broker is told, the note is moved."""

    shard: int


class Abort(msgspec.Struct, frozen=True):
    """At once: nothing more is sent to anybody."""

    shard: int


class Release(msgspec.Struct, frozen=True):
    """The group may give these shards to others: an answer to `Revoked` or `Lost`."""

    shards: Shards


Action: TypeAlias = Start | End | Abort | Release


class Phase(Enum):
    RUNNING = 0
    ENDING = 1
    ABORTING = 2


class Assignment:
    """`handle` every event, in order; carry out its actions, in order."""

    def __init__(self) -> None:
        self.assigned: Shards = frozenset()
        self.sessions: dict[int, Phase] = {}
        """Shards with a session here, those that are ending included."""
        self._leaving: list[Shards] = []
        self._stopping = False

    def handle(self, event: Event) -> list[Action]:  # noqa: PLR0911  (one match, one answer for each kind of event)
        match event:
            case Assigned(shards):
                self.assigned |= shards
                return []
            case Proved(shards):
                return self._start(shards)
            case Revoked(shards):
                self._leave(shards)
                return [*self._end(shards), *self._released()]
            case Lost(shards):
                self._leave(shards)
                return [*self._abort(shards), *self._released()]
            case Lapsed():
                return self._abort(frozenset(self.sessions))
            case Over(shard):
                self.sessions.pop(shard, None)
                return self._released()
            case Stopping():
                self._stopping = True
                return self._end(frozenset(self.sessions))

    def _start(self, shards: Shards) -> list[Action]:
        if self._stopping:
            return []
        fresh = sorted((shards & self.assigned) - self.sessions.keys())
        self.sessions |= dict.fromkeys(fresh, Phase.RUNNING)
        return [Start(shard) for shard in fresh]

    def _leave(self, shards: Shards) -> None:
        self.assigned -= shards
        self._leaving.append(shards)

    def _end(self, shards: Shards) -> list[Action]:
        running = sorted(shard for shard in shards if self.sessions.get(shard) is Phase.RUNNING)
        self.sessions |= dict.fromkeys(running, Phase.ENDING)
        return [End(shard) for shard in running]

    def _abort(self, shards: Shards) -> list[Action]:
        alive = sorted(shard for shard in shards if self.sessions.get(shard) in {Phase.RUNNING, Phase.ENDING})
        self.sessions |= dict.fromkeys(alive, Phase.ABORTING)
        return [Abort(shard) for shard in alive]

    def _released(self) -> list[Action]:
        done = [shards for shards in self._leaving if not shards & self.sessions.keys()]
        self._leaving = [shards for shards in self._leaving if shards & self.sessions.keys()]
        return [Release(shards) for shards in done]
