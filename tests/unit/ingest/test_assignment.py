"""Whatever the group says in whatever order: one session per shard, and none for a shard that is released."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.ingest.assignment import (
    Abort,
    Action,
    Assigned,
    Assignment,
    End,
    Event,
    Lapsed,
    Lost,
    Over,
    Phase,
    Proved,
    Release,
    Revoked,
    Start,
    Stopping,
)

ALL = frozenset(range(3))
SHARDS = st.frozensets(st.sampled_from(sorted(ALL)))
STEP = st.one_of(
    st.tuples(st.sampled_from(["assign", "revoke", "prove"]), SHARDS),
    st.tuples(st.sampled_from(["over"]), st.sampled_from(sorted(ALL))),
    st.sampled_from([("lose",), ("lapse",), ("stop",)]),
)


class Replica:
    """Carries actions out, and holds them against the laws. The group blocks until a revocation is released."""

    def __init__(self) -> None:
        self.machine = Assignment()
        self.assigned, self.proved = frozenset[int](), frozenset[int]()
        self.sessions: dict[int, Phase] = {}
        self.blocked: frozenset[int] | None = None
        self.stopping = False

    def step(self, step: tuple[object, ...]) -> None:
        match step:
            case ("assign", frozenset() as shards) if self.blocked is None:
                self.assigned |= shards
                self.hear(Assigned(shards))
            case ("prove", frozenset() as shards) if self.blocked is None:
                self.proved = shards & self.assigned
                self.hear(Proved(self.proved))
            case ("revoke", frozenset() as shards) if self.blocked is None:
                self.assigned, self.blocked = self.assigned - shards, shards
                self.hear(Revoked(shards))
            case ("lose",) if self.blocked is None:
                lost, self.assigned = self.assigned, frozenset()
                self.blocked = lost
                self.hear(Lost(lost))
                assert all(self.sessions.get(shard) in {None, Phase.ABORTING} for shard in lost)
            case ("over", int() as shard) if shard in self.sessions:
                del self.sessions[shard]
                self.hear(Over(shard))
            case ("lapse",):
                self.hear(Lapsed())
                assert set(self.sessions.values()) <= {Phase.ABORTING}
            case ("stop",):
                self.stopping = True
                self.hear(Stopping())
                assert Phase.RUNNING not in self.sessions.values()

    def hear(self, event: Event) -> None:
        for action in self.machine.handle(event):
            self.carry_out(action)
        assert self.machine.sessions == self.sessions
        assert self.machine.assigned == self.assigned

    def carry_out(self, action: Action) -> None:
        match action:
            case Start(shard):
                assert shard not in self.sessions, "one session at a time"
                assert shard in self.assigned & self.proved
                assert not self.stopping
                self.sessions[shard] = Phase.RUNNING
            case End(shard):
                assert self.sessions[shard] is Phase.RUNNING
                self.sessions[shard] = Phase.ENDING
            case Abort(shard):
                assert self.sessions[shard] in {Phase.RUNNING, Phase.ENDING}
                self.sessions[shard] = Phase.ABORTING
            case Release(shards):
                assert shards == self.blocked, "once, for what the group asked"
                assert not shards & self.sessions.keys(), "only when nothing of it is under way"
                self.blocked = None


def played(steps: list[tuple[object, ...]]) -> Replica:
    replica = Replica()
    for step in steps:
        replica.step(step)
    return replica


@given(st.lists(STEP, max_size=30))
def test_the_laws_hold_whatever_comes(steps: list[tuple[object, ...]]) -> None:
    played(steps)


@given(st.lists(STEP, max_size=30))
def test_whatever_came_before_sessions_that_end_release_the_shards(steps: list[tuple[object, ...]]) -> None:
    replica = played(steps)
    for shard in ALL:
        replica.step(("over", shard))
    assert replica.blocked is None


@given(st.lists(STEP, max_size=30))
def test_whatever_came_before_what_is_assigned_and_proved_runs_again(steps: list[tuple[object, ...]]) -> None:
    replica = played([step for step in steps if step != ("stop",)])
    for shard in ALL:
        replica.step(("over", shard))
    replica.step(("assign", ALL))
    assert replica.sessions == {}, "not without a proof"
    replica.step(("prove", ALL))
    assert replica.sessions == dict.fromkeys(ALL, Phase.RUNNING)


def test_a_session_that_ends_in_order_is_cut_off_when_the_shard_is_lost_meanwhile() -> None:
    replica = played([("assign", ALL), ("prove", ALL), ("revoke", frozenset({1}))])
    assert replica.sessions == {0: Phase.RUNNING, 1: Phase.ENDING, 2: Phase.RUNNING}
    replica.step(("lapse",))
    assert replica.sessions == dict.fromkeys(ALL, Phase.ABORTING)
    assert replica.blocked == frozenset({1})


def test_a_shard_that_stays_is_not_touched_when_another_goes() -> None:
    replica = played([("assign", ALL), ("prove", ALL), ("revoke", frozenset({1})), ("over", 1)])
    assert replica.sessions == {0: Phase.RUNNING, 2: Phase.RUNNING}
