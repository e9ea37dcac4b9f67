"""Which sources may have a lease, and which must be listed first."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from libs.topics.identity import BROADCAST_KEY
from libs.topics.names import PRESENCE_INBOX
from services.ingest import leases
from services.ingest.leases import SLACK, Standing
from services.ingest.model import STAMP

NOW = 1_795_260_069_500
A, B = "emqx:a", "emqx:b"


def complete(standing: Standing, source: str, now: int = NOW) -> None:
    standing.listed(source, now, standing.doubts(source))


def cluster() -> Standing:
    """Two nodes, both running and listed."""
    standing = Standing((A, B), listed=True)
    standing.seen({A: 1000, B: 1000}, NOW)
    complete(standing, A)
    complete(standing, B)
    return standing


def test_a_broker_without_a_list_is_watched_as_long_as_its_session_is() -> None:
    standing = Standing(("mosquitto:main",), listed=False)
    standing.missed()
    assert standing.renewable == ("mosquitto:main",)
    assert standing.due(NOW, 1) == ()


def test_a_new_process_lists_every_running_node_before_it_renews_a_lease() -> None:
    standing = Standing((A, B), listed=True)
    assert (standing.due(NOW, 0), standing.renewable) == ((), ())
    standing.seen({A: 1000}, NOW)
    assert (standing.due(NOW, 0), standing.renewable) == ((A,), ())
    complete(standing, A)
    assert (standing.due(NOW, 0), standing.renewable) == ((), (A,))


def test_a_session_without_its_queue_owes_every_listing_again() -> None:
    standing = cluster()
    standing.missed()
    assert (standing.due(NOW, 0), standing.renewable) == ((A, B), ())


def test_a_node_that_was_away_is_listed_before_its_lease_is_renewed() -> None:
    standing = cluster()
    standing.seen({A: 2000}, NOW + 1000)
    assert standing.renewable == (A,)
    standing.seen({A: 3000, B: 500}, NOW + 2000)
    assert (standing.due(NOW, 0), standing.renewable) == ((B,), (A,))


def test_a_node_that_began_anew_between_two_looks_is_listed() -> None:
    standing = cluster()
    standing.seen({A: 11_000, B: 2000}, NOW + 10_000)
    assert (standing.due(NOW, 0), standing.renewable) == ((B,), (A,))


@given(st.lists(st.tuples(st.integers(0, 60_000), st.integers(0, SLACK)), max_size=10))
def test_an_answer_that_is_late_is_no_start(answers: list[tuple[int, int]]) -> None:
    standing, now = cluster(), NOW
    for pause, late in answers:
        now += pause
        standing.seen({A: now - NOW + 1000 - late, B: None}, now)
    assert standing.renewable == (A, B)


def test_a_node_that_begins_anew_while_it_is_listed_is_listed_again() -> None:
    standing = Standing((A, B), listed=True)
    standing.seen({A: 1000, B: 1000}, NOW)
    doubts = standing.doubts(A)
    standing.seen({A: 2000, B: 11_000}, NOW + 10_000)
    standing.listed(A, NOW + 11_000, doubts)
    assert standing.due(NOW + 11_000, 0) == (A, B)
    complete(standing, A)
    assert standing.renewable == (A,)


def test_a_node_that_does_not_tell_its_uptime_is_trusted_to_run_on() -> None:
    standing = cluster()
    standing.seen({A: None, B: None}, NOW + 60_000)
    assert standing.renewable == (A, B)


def test_a_node_that_nobody_asked_for_has_no_lease() -> None:
    standing = cluster()
    standing.seen({A: None, B: None, "emqx:c": None}, NOW)
    assert standing.renewable == (A, B)


def test_an_interval_makes_a_listing_due_that_is_not_owed() -> None:
    standing = cluster()
    assert standing.due(NOW + 59_999, 60_000) == ()
    assert standing.due(NOW + 60_000, 60_000) == (A, B)
    assert standing.renewable == (A, B)
    complete(standing, A, NOW + 60_000)
    assert standing.due(NOW + 60_001, 60_000) == (B,)


def test_every_broadcast_is_one_record_per_partition_and_ends_in_its_time() -> None:
    for records in (
        leases.renewals((A, B), "me", NOW + 30_000, 3, NOW),
        leases.listed(A, "l1", NOW - 5000, 3, NOW),
        leases.ended(A, "l1", NOW - 5000, 3, NOW),
    ):
        messages: list[dict[str, Any]] = [msgspec.json.decode(record.value) for record in records]
        assert {(record.topic, record.key) for record in records} == {(PRESENCE_INBOX, BROADCAST_KEY)}
        assert [record.partition for record in records] == [message["partition"] for message in messages]
        assert {record.partition for record in records} == {0, 1, 2}
        assert all(record.value[-STAMP:] == b'"ingested_at":%d}' % NOW for record in records)
