from __future__ import annotations

import pytest

from services.presence.model import Device
from services.presence.session import carrier, end_of, session, state, terms
from tests.support.presence.hub import Hub
from tests.support.presence.observations import KEY, observed, renewed, started, tick
from tests.support.presence.world import T0


def device(*events: object) -> Device:
    hub = Hub()
    for event in events:
        hub.apply(event)  # type: ignore[arg-type] # observations and starts
    return hub.rows[KEY]


def test_a_device_that_was_never_connected_is_offline_since_nobody_knows_when() -> None:
    shown = session(Device())
    assert (shown.state, shown.since, shown.channels) == ("offline", None, ())


def test_online_since_the_oldest_open_channel_and_carried_by_the_newest() -> None:
    both = device(observed("connect", 5, "ch2", client="c2"), observed("connect", 0, "ch1", client="c1"))
    shown = session(both)
    assert shown.since == T0
    assert [channel.channel_id for channel in shown.channels] == ["ch1", "ch2"]
    found = carrier(both)
    assert found is not None
    assert (found[0], found[1].id) == ("c2", "ch2")


def test_offline_since_the_last_channel_ended() -> None:
    shown = session(
        device(
            observed("connect", 0, "ch1", client="c1"),
            observed("connect", 1, "ch2", client="c2"),
            observed("tcpclean", 9, "ch1", client="c1"),
            observed("tcpclean", 7, "ch2", client="c2"),
        )
    )
    assert (shown.state, shown.since) == ("offline", T0 + 9000)


def test_terms_name_each_source_of_an_open_channel_once() -> None:
    row = device(
        observed("connect", 0, "ch1", client="c1", source="b"),
        observed("connect", 0, "ch2", client="c2", source="a"),
        observed("connect", 0, "ch3", client="c3", source="a"),
    )
    assert terms(row) == (("source", "a"), ("source", "b"))


def test_a_device_without_an_open_channel_has_no_terms() -> None:
    assert terms(device(observed("connect", 0, "ch1"), started(5))) == ()


def test_a_goodbye_makes_the_end_a_disconnect() -> None:
    row = device(
        observed("connect", 0, "ch1"), observed("disconnect", 1, "ch1"), observed("tcpclean", 1, "ch1", reason="normal")
    )
    assert (end_of(row, "c1").cause, end_of(row, "c1").reason) == ("disconnected", "normal")


def test_a_goodbye_does_not_hide_a_takeover() -> None:
    row = device(
        observed("connect", 0, "ch1"), observed("disconnect", 1, "ch1"), observed("tcpclean", 1, "ch1", takeover=True)
    )
    assert end_of(row, "c1").cause == "taken_over"


def test_an_open_channel_has_no_end() -> None:
    with pytest.raises(LookupError):
        end_of(device(observed("connect", 0, "ch1")), "c1")


def test_unknown_while_all_open_channels_are_in_doubt_since_the_last_that_is_known() -> None:
    """Which is the connect of ch3, after the end of its source's lease."""
    row = device(
        observed("connect", 0, "ch1", source="a"),
        observed("connect", 1, "ch2", client="c2", source="b"),
        observed("connect", 9, "ch3", client="c3", source="b"),
        renewed(1, 5, source="b"),
        renewed(1, 7, source="a"),
        tick(10),
    )
    shown = session(row)
    assert (shown.state, shown.since) == ("unknown", T0 + 9000)
    assert (row.doubts, state(row, carrier(row))) == ((("a", T0 + 7000), ("b", T0 + 5000)), "unknown")


def test_unknown_since_the_end_of_a_channel_that_had_vouched_after_the_lapse() -> None:
    hub = Hub()
    for event in (
        observed("connect", 0, "ch1", source="a"),
        renewed(1, 30, source="a"),
        tick(29),
        tick(31),
        observed("connect", 50, "ch2", client="c2", source="b"),
        observed("tcpclean", 60, "ch2", client="c2", source="b"),
    ):
        hub.apply(event)
    assert (session(hub.rows[KEY]).state, session(hub.rows[KEY]).since) == ("unknown", T0 + 60_000)
    told = [(one.new, one.since) for one in hub.transitions]
    seconds = [("online", 0), ("unknown", 30), ("online", 50), ("unknown", 60)]
    assert told == [(state, T0 + 1000 * second) for state, second in seconds]


def test_a_connect_in_doubt_leaves_the_time_before_it_as_it_was() -> None:
    """The client was online by a watched channel until it connected anew."""
    hub = Hub()
    for event in (
        observed("connect", 0, "ch1", client="c1", source="a"),
        renewed(1, 30, source="a"),
        tick(29),
        tick(31),
        observed("connect", 50, "ch2", client="c2", source="b"),
        observed("connect", 60, "ch3", client="c2", source="a"),
    ):
        hub.apply(event)
    last = hub.transitions[-1]
    assert (last.cause, last.new, last.since) == ("taken_over", "unknown", T0 + 60_000)
    assert session(hub.rows[KEY]).since == T0 + 60_000


def test_a_late_connect_in_doubt_does_not_cover_the_time_of_a_channel_that_has_ended() -> None:
    hub = Hub()
    for event in (
        renewed(1, 30, source="a"),
        tick(29),
        tick(31),
        observed("connect", 10, "ch2", client="c2", source="b"),
        observed("tcpclean", 25, "ch2", client="c2", source="b"),
        observed("connect", 20, "ch1", client="c1", source="a"),
    ):
        hub.apply(event)
    last = hub.transitions[-1]
    assert (last.cause, last.new, last.since) == ("connected", "unknown", T0 + 25_000)


def test_a_row_notes_no_doubt_that_is_not_its_own() -> None:
    row = device(
        observed("connect", 0, "ch1", source="a"), renewed(1, 5, source="b"), tick(10), observed("connect", 11, "ch2")
    )
    assert row.doubts == ()


def test_a_channel_that_is_gone_takes_its_doubt_with_it() -> None:
    row = device(observed("connect", 0, "ch1"), renewed(1, 5), tick(10), observed("tcpclean", 2, "ch1"))
    assert (row.doubts, session(row).state) == ((), "offline")


def test_a_connect_in_doubt_that_takes_over_from_a_watched_channel_leaves_the_session_to_another_one() -> None:
    hub = Hub()
    for event in (
        observed("connect", 0, "ch1", client="c1", source="a"),
        observed("connect", 1, "ch2", client="c2", source="a"),
        renewed(1, 5, source="b"),
        tick(10),
        observed("connect", 11, "ch3", client="c2", source="b"),
    ):
        hub.apply(event)
    last = hub.transitions[-1]
    assert (last.cause, last.client_id, last.source) == ("taken_over", "c2", "b")
    assert (last.old, last.new, last.previous_channel_id, last.channel_id) == ("online", "online", "ch2", "ch1")
