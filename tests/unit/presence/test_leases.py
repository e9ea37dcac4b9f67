"""Ticks, leases and lists of clients in the shared data. What comes of them is held by the vectors and the laws."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.runtime.lane.model import At, Due, Targets, Terms
from libs.topics import names
from libs.topics.identity import BROADCAST_KEY
from libs.topics.messages.hub import LeaseRenewed, TimePassed
from services.presence import leases
from services.presence.model import Sources
from services.presence.step import fold_sources
from tests.support.presence.hearing import lapsed_at
from tests.support.presence.laws import LAW, RANDOM
from tests.support.presence.observations import SOURCE, listed, listing_ended, renewed, started, tick
from tests.support.presence.world import T0

if TYPE_CHECKING:
    from random import Random

    from services.presence.step import Event

AT = At(names.PRESENCE_INBOX, 0, 0, T0, BROADCAST_KEY)
OF_SOURCE = Terms((("source", SOURCE),))


def after(*events: Event) -> tuple[Sources, list[Targets | None]]:
    sources, swept = Sources(), list[Targets | None]()
    for event in events:
        sources, targets = fold_sources(sources, event, AT)
        swept.append(targets)
    return sources, swept


def test_a_tick_sweeps_what_is_due() -> None:
    assert after(tick(1), tick(2), tick(1), tick(2))[1] == [Due(T0 + 1000), Due(T0 + 2000), None, None]


def test_the_tick_at_which_a_source_lapses_sweeps_its_devices_instead() -> None:
    _, swept = after(renewed(0, 5), tick(4), tick(6), tick(7))
    assert swept == [None, Due(T0 + 4000), OF_SOURCE, Due(T0 + 7000)]


def test_a_renewal_sweeps_only_if_the_source_was_in_doubt() -> None:
    _, swept = after(renewed(0, 5), tick(4), renewed(4, 9), tick(8), tick(10), renewed(11, 20), renewed(11, 20))
    assert swept[2] is None
    assert swept[4:] == [OF_SOURCE, OF_SOURCE, None]


def test_a_first_lease_that_is_long_over_is_a_lapse() -> None:
    sources, swept = after(tick(60), renewed(0, 5))
    assert sources.doubts == {SOURCE: T0 + 5000}
    assert swept[1] == OF_SOURCE


def test_a_list_sweeps_at_its_end_once() -> None:
    assert after(listed(5), listing_ended(5), listed(5), listing_ended(5))[1] == [None, OF_SOURCE, None, None]
    assert after(listing_ended(5))[1] == [None], "its beginning was never written"
    assert after(listed(5), listed(6, "list-2"), listing_ended(5))[1] == [None, None, None], "it was given up"


def test_what_is_known_of_a_source_outlives_what_comes_after_it() -> None:
    sources, _ = after(renewed(0, 5), started(1), listed(2), listing_ended(2), tick(4), tick(60), started(61))
    assert sources.leases.keys() == sources.starts.keys() == sources.listings.keys() == {SOURCE}
    assert sources.gaps == ((T0 + 4000, T0 + 60_000),)


def test_gaps_are_forgotten_after_a_day_and_are_bounded() -> None:
    sources, _ = after(tick(0), tick(10), tick(10 + 24 * 3600))
    assert sources.gaps == ((T0 + 10_000, T0 + 10_000 + 24 * 3_600_000),)
    sources, _ = after(*(tick(10 * n) for n in range(100)))
    assert sources.gaps == tuple((T0 + 10_000 * n, T0 + 10_000 * (n + 1)) for n in range(99 - leases.GAPS, 99))


@pytest.mark.parametrize(("limit", "value"), [("DEAF", 20_000), ("GAPS", 1)])
def test_a_lapse_stands_though_the_gap_is_forgotten_that_had_put_it_off(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(leases, limit, value)
    until_lapsed: list[Event] = [renewed(0, 5), tick(4), tick(10), tick(12)]
    later: list[TimePassed] = [*(tick(12 + 4 * n) for n in range(1, 6)), tick(40)]
    sources, swept = after(*until_lapsed, *later)
    assert (T0 + 4000, T0 + 10_000) not in sources.gaps
    assert sources.doubts == {SOURCE: T0 + 11_000}
    assert swept[4:] == [Due(one.at) for one in later], "nothing is new about the source"


def test_a_newer_lease_ends_the_doubt_or_moves_it() -> None:
    lapsed: list[Event] = [renewed(0, 5), renewed(0, 6, source="other"), tick(4), tick(8)]
    assert after(*lapsed, renewed(6, 7))[0].doubts == {SOURCE: T0 + 7000, "other": T0 + 6000}
    assert after(*lapsed, renewed(6, 8))[0].doubts == {"other": T0 + 6000}


MOMENTS = st.lists(st.integers(0, 60_000), max_size=12, unique=True).map(sorted)
RENEWALS = st.lists(st.tuples(st.integers(0, 60_000), st.integers(0, 15_000)), max_size=4)


@given(moments=MOMENTS, renewals=RENEWALS, random=RANDOM)
@LAW
def test_a_lease_lapses_when_the_patience_of_who_could_hear_ends(
    moments: list[int], renewals: list[tuple[int, int]], random: Random
) -> None:
    ticks = [TimePassed(0, T0 + moment) for moment in moments]
    mine = [LeaseRenewed(SOURCE, "ingest-0", T0 + said + patience, 0, T0 + said) for said, patience in renewals]
    left: list[list[Event]] = [[*ticks], [*mine]]
    order: list[Event] = []
    while any(left):
        order.append(random.choice([log for log in left if log]).pop(0))
    lapse = lapsed_at(mine, ticks)
    assert after(*order)[0].doubts == ({} if lapse is None else {SOURCE: lapse})


@given(moments=MOMENTS, renewal=st.tuples(st.integers(0, 60_000), st.integers(0, 15_000)))
@LAW
def test_a_lapse_stands_until_a_renewal(moments: list[int], renewal: tuple[int, int]) -> None:
    said, patience = renewal
    sources, _ = after(LeaseRenewed(SOURCE, "ingest-0", T0 + said + patience, 0, T0 + said))
    found = []
    for moment in moments:
        sources, _ = fold_sources(sources, TimePassed(0, T0 + moment), AT)
        found.append(sources.doubts)
    assert all(not before or before == now for before, now in pairwise(found))
