"""A device's lives, where the vectors and the laws say too little: outputs, memory, clocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from libs.runtime.lane.model import At, retract
from libs.topics import names
from libs.topics.messages.registry_events import DeviceDeleted, DeviceRegistered
from services.presence import forget
from services.presence.model import Device, Sources
from services.presence.step import step
from services.presence.views import show, tally
from tests.support.presence.hub import Hub
from tests.support.presence.laws import assert_changes_nothing
from tests.support.presence.observations import KEY, observed, tick, traffic
from tests.support.presence.world import T0

if TYPE_CHECKING:
    from services.presence.step import Event

AT = At(names.PRESENCE_INBOX, 3, 42, T0 + 90_000, KEY)


def deleted(milliseconds: int, version: int = 4) -> DeviceDeleted:
    return DeviceDeleted("registry.inbox-3-8-0", "p1", "d1", version, "ops", T0 + milliseconds)


def registered(milliseconds: int) -> DeviceRegistered:
    at = T0 + milliseconds
    return DeviceRegistered("registry.inbox-3-9-0", "p1", "d1", 5, "application", "k1", (), 0, {}, "ops", at)


def after(*events: Event) -> Hub:
    hub = Hub()
    for event in events:
        hub.apply(event)
    return hub


def test_a_deletion_is_told_before_the_document_is_withdrawn() -> None:
    row, _ = step(None, observed("connect", 0, "ch1"), AT, Sources())
    _, outputs = step(row, deleted(60_000), AT, Sources())
    assert [topic for topic, *_ in outputs][::4] == [names.PRESENCE_TRANSITIONS, names.PRESENCE_STATE]
    assert outputs[-1] == retract(names.PRESENCE_STATE, KEY)


def test_what_was_never_shown_is_not_withdrawn_but_its_deletion_is_known() -> None:
    hub = Hub()
    assert not hub.apply(deleted(60_000))
    assert not hub.apply(observed("connect", 0, "ch1"))
    assert hub.documents == {}


def test_a_device_that_is_gone_is_neither_shown_nor_counted() -> None:
    row = after(observed("connect", 0, "ch1"), deleted(60_000)).rows[KEY]
    assert show(KEY, row, Sources()) is None
    assert tally(KEY, row) is None


def test_a_device_registered_again_is_shown_once_something_is_heard_of_it() -> None:
    hub = after(observed("connect", 0, "ch1"), deleted(60_000), registered(61_000))
    assert show(KEY, hub.rows[KEY], Sources()) is None
    hub.apply(traffic(62))
    assert show(KEY, hub.rows[KEY], Sources()) == hub.documents[KEY]
    assert tally(KEY, hub.rows[KEY]) == ("p1", "offline")


def test_a_source_whose_clock_is_ahead_does_not_keep_a_deleted_device_online() -> None:
    hub = after(observed("connect", 9, "ch1"), deleted(5000))
    assert hub.documents == {}
    assert hub.transitions[-1].cause == "deleted"
    hub.apply(observed("tcpclean", 10, "ch1"))
    assert len(hub.transitions) == 2


def test_a_channel_of_the_second_of_the_registration_counts_until_it_is_cut() -> None:
    hub = after(observed("connect", 60, "ch1"), deleted(60_500), registered(60_700))
    assert hub.documents[KEY].session.state == "online"
    assert hub.transitions[-1].cause == "connected"
    hub.apply(observed("tcpclean", 60, None, sequence=2))
    hub.apply(observed("connect", 60, "ch2", sequence=3))
    assert [channel.channel_id for channel in hub.documents[KEY].session.channels] == ["ch2"]


def test_versions_order_what_the_registry_says_where_clocks_of_those_that_asked_differ() -> None:
    hub = after(observed("connect", 0, "ch1"), deleted(60_000), registered(59_900))
    assert not hub.rows[KEY].gone
    assert_changes_nothing(hub, deleted(60_000))
    hub.apply(deleted(59_800, version=6))
    assert hub.rows[KEY].gone
    assert_changes_nothing(hub, registered(59_900))


@pytest.mark.parametrize("late", [observed("tcpclean", 62, None), observed("tcpclean", 62, "ch1"), traffic(62)])
def test_what_follows_a_deletion_makes_no_ghost(late: Event) -> None:
    hub = after(observed("connect", 0, "ch1"), deleted(60_000))
    assert not hub.apply(late)
    assert not hub.apply(registered(90_000))
    assert hub.documents == {}


def test_a_deleted_device_is_forgotten_within_an_hour_after_a_week() -> None:
    hub = after(observed("connect", 0, "ch1"), deleted(60_000), observed("tcpclean", 62, "ch1"), traffic(62))
    due = forget.deadline(hub.rows[KEY])
    assert due is not None
    assert 0 < due - (T0 + 60_000 + forget.AGE) <= forget.ROUND
    hub.apply(tick((due - T0) // 1000 - 1))
    assert hub.rows[KEY].gone
    hub.apply(tick((due - T0) // 1000))
    assert hub.rows == {}


def test_a_deleted_device_is_not_forgotten_while_somebody_is_connected_in_its_name() -> None:
    hub = after(deleted(0), observed("connect", 5, "ch1"))
    assert isinstance(forget.prune(hub.rows[KEY], T0 + 2 * forget.AGE), Device)
