"""Laws of ownership: whatever order workers' announcements come in, the newest generation holds."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from libs.runtime.owners.claims import RESTARTED, Claims, routes
from libs.topics.messages.hub import PartitionsOwned

PARTITIONS = 6
WORKERS = ("w0", "w1", "w2", "w3")


def claim(worker: str, partitions: set[int], generation: int, at: int, table: str = "channels") -> PartitionsOwned:
    return PartitionsOwned(
        service="presence",
        table=table,
        worker=worker,
        url=f"http://{worker}",
        partitions=tuple(sorted(partitions)),
        generation=generation,
        at=at,
    )


def fold(records: list[tuple[str, PartitionsOwned | None]]) -> dict[int, str]:
    claims = Claims()
    for worker, record in records:
        claims.take(f"presence/channels/{worker}".encode(), record)
    return {number: owner.worker for number, owner in claims.of("presence", "channels").items()}


class Group(msgspec.Struct):
    """What the workers of a group said, each in its own order, and who has what in the end."""

    said: dict[str, list[PartitionsOwned | None]]
    dealt: dict[int, str]
    claimed: dict[tuple[int, str], set[int]]
    """What a worker claimed in a generation."""


@st.composite
def groups(draw: st.DrawFn) -> Group:
    """Generations in which workers join, leave in order, or die without a word; some die before they claim."""
    group = Group({worker: [] for worker in WORKERS}, {}, {})
    members: set[str] = set()
    now = 1_000
    for generation in range(1, draw(st.integers(1, 4)) + 1):
        for worker in sorted(members):
            fate = draw(st.sampled_from(["stays", "stays", "dies", "leaves"]))
            if fate == "dies":
                members.discard(worker)
                continue
            if fate == "leaves":
                members.discard(worker)
            moment = now + draw(st.integers(0, 50))
            ends = fate == "leaves"
            group.said[worker].append(None if ends else claim(worker, set(), generation - 1, moment))
        members |= draw(st.sets(st.sampled_from(WORKERS), min_size=0 if members else 1))
        now += 100
        shares = {number: draw(st.sampled_from(sorted(members))) for number in range(PARTITIONS)}
        group.dealt = shares
        for worker in sorted(members):
            mine = {number for number, owner in shares.items() if owner == worker}
            group.said[worker].append(claim(worker, mine, generation, now + draw(st.integers(0, 50))))
            group.claimed[generation, worker] = mine
        now += 100
    return group


@st.composite
def interleavings(draw: st.DrawFn, group: Group) -> list[tuple[str, PartitionsOwned | None]]:
    """All that was said, each worker's words in their order."""
    turns = draw(st.permutations([worker for worker, words in group.said.items() for _ in words]))
    left = {worker: iter(words) for worker, words in group.said.items()}
    return [(worker, next(left[worker])) for worker in turns]


@given(st.data())
def test_in_the_end_everybody_owns_what_the_last_generation_dealt_out(data: Any) -> None:
    group = data.draw(groups())
    assert fold(data.draw(interleavings(group))) == group.dealt


@given(st.data())
def test_nobody_owns_what_a_newer_generation_that_was_heard_of_gave_away(data: Any) -> None:
    """At any moment: who owns a partition claimed it in the newest generation heard of, of those still told."""
    group = data.draw(groups())
    told = data.draw(interleavings(group))
    for end in range(len(told) + 1):
        last = dict(told[:end])
        heard = [record for record in last.values() if record is not None and record.partitions]
        newest = max((record.generation for record in heard), default=0)
        for number, worker in fold(told[:end]).items():
            assert number in group.claimed[newest, worker]


@given(st.data())
def test_the_order_of_different_workers_does_not_matter(data: Any) -> None:
    group = data.draw(groups())
    assert fold(data.draw(interleavings(group))) == fold(data.draw(interleavings(group)))


def test_who_died_without_a_goodbye_is_overruled_by_the_first_that_claims_anything() -> None:
    dead, successor = claim("w0", {0, 1, 2}, 7, 1_000), claim("w1", {0}, 8, 9_000)
    assert set(routes([dead, successor])) == {0}, "1 and 2 go to nobody until a worker of generation 8 claims them"


def test_a_late_word_of_an_older_generation_changes_nothing() -> None:
    zombie, owner = claim("w0", {0}, 7, 60_000), claim("w1", {0}, 8, 9_000)
    assert routes([zombie, owner])[0].worker == routes([owner, zombie])[0].worker == "w1"


def test_a_worker_that_restarts_in_its_generation_overrules_no_other() -> None:
    """With a fixed name it keeps its place in the group, and nobody else claims anew."""
    others, began = claim("w1", {1}, 7, 1_000), claim("w0", set(), 0, 10 * RESTARTED)
    assert set(routes([others, began])) == {1}
    again = claim("w0", {0}, 7, 10 * RESTARTED + 1)
    assert {number: one.worker for number, one in routes([others, again]).items()} == {0: "w0", 1: "w1"}


def test_a_group_that_kafka_forgot_begins_its_count_anew() -> None:
    killed = [claim("old-0", {0, 1}, 41, 1_000), claim("old-1", {2}, 2, 900)]
    first = claim("w1", {0, 1, 2}, 1, 1_000 + RESTARTED + 1)
    assert {one.worker for one in routes([*killed, first]).values()} == {"w1"}
    second = [claim("w1", {0, 1}, 2, first.at + 5_000)]
    assert {number: one.worker for number, one in routes([*killed, *second]).items()} == {0: "w1", 1: "w1"}


def test_of_two_claims_of_one_generation_the_later_one_holds() -> None:
    before, renamed = claim("w0", {0}, 7, 1_000), claim("w9", {0}, 7, 2_000)
    assert routes([renamed, before])[0].worker == "w9"


def test_tables_are_owned_apart_and_a_deleted_claim_is_gone() -> None:
    claims = Claims()
    claims.take(b"presence/channels/w0", claim("w0", {0}, 9, 1_000))
    claims.take(b"presence/probes/w1", claim("w1", {0, 1}, 3, 1_000, table="probes"))
    assert claims.of("presence", "channels")[0].worker == "w0"
    assert set(claims.of("presence", "probes")) == {0, 1}
    claims.take(b"presence/probes/w1", None)
    claims.take(b"presence/probes/never-heard-of", None)
    assert claims.of("presence", "probes") == {}
    assert claims.of("shadow", "documents") == {}
