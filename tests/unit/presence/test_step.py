"""The step: who is told what, and what is refused. The rules themselves are held by the vectors and the laws."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest

from libs.runtime.lane.model import At, Terms
from libs.topics import names
from libs.topics.codec import Decoder
from libs.topics.examples import values
from libs.topics.identity import BROADCAST_KEY, device_key
from libs.topics.messages.presence import ConnectionObserved, PresenceChanged, SourceListed, SourceListingEnded
from libs.topics.messages.registry_events import DeviceDeleted, DeviceRegistered
from services.presence.fold import NamelessConnect
from services.presence.model import Sources
from services.presence.step import Broadcast, Event, Misplaced, fold_sources, step
from tests.support.presence.hub import Hub
from tests.support.presence.observations import KEY, SOURCE, observed, renewed, started, tick, traffic

if TYPE_CHECKING:
    from libs.topics.messages.base import Message

AT = At(names.PRESENCE_INBOX, 3, 42, 1_790_000_000_000, KEY)


def test_a_transition_goes_to_its_log_and_to_the_inboxes_that_follow_it_before_the_document() -> None:
    _, outputs = step(None, observed("connect", 0, "ch1"), AT, Sources())
    assert [topic for topic, _, _, _ in outputs] == [
        names.PRESENCE_TRANSITIONS,
        names.SHADOW_INBOX,
        names.COMMANDS_INBOX,
        names.OTA_INBOX,
        names.PRESENCE_STATE,
    ]
    assert {key for _, key, _, _ in outputs} == {KEY}
    assert len({value for _, _, value, _ in outputs[:4]}) == 1


def test_counters_hear_of_every_transition_and_of_nothing_else() -> None:
    told: list[PresenceChanged] = []
    row, _ = step(None, observed("connect", 0, "ch1"), AT, Sources(), told.append)
    row, _ = step(row, traffic(1), AT, Sources(), told.append)
    step(row, observed("connect", 0, "ch1"), AT, Sources(), told.append)
    assert [changed.cause for changed in told] == ["connected"]
    assert told[0].id == "presence.inbox-3-42-0"


def test_an_event_without_effect_leaves_no_row() -> None:
    assert step(None, observed("tcpclean", 0, None, takeover=True), AT, Sources()) == (None, ())


def test_an_event_without_effect_returns_the_very_row() -> None:
    row, _ = step(None, observed("connect", 0, "ch1"), AT, Sources())
    again, outputs = step(row, observed("connect", 0, "ch1"), AT, Sources())
    assert again is row
    assert outputs == ()


def test_what_is_only_remembered_changes_the_row_and_publishes_nothing() -> None:
    row, _ = step(None, observed("connect", 0, "ch1"), AT, Sources())
    marked, outputs = step(row, observed("disconnect", 1, "ch1"), AT, Sources())
    assert marked != row
    assert outputs == ()


@pytest.mark.parametrize(
    "event",
    [
        observed("connect", 0, "ch1"),
        observed("tcpclean", 0, None, takeover=True),
        traffic(0),
        started(0),
        tick(0),
        renewed(0, 5),
    ],
    ids=["connect", "no effect", "traffic", "start", "tick", "lease"],
)
def test_an_event_under_another_key_is_refused_even_if_it_had_no_effect(event: Event) -> None:
    elsewhere = At(names.PRESENCE_INBOX, 3, 42, 0, b"p1/d2")
    with pytest.raises(Misplaced):
        step(None, event, elsewhere, Sources())


def test_a_connect_without_a_channel_is_refused() -> None:
    with pytest.raises(NamelessConnect, match="c1"):
        step(None, observed("connect", 0, None), AT, Sources())


def test_an_event_of_one_device_is_refused_as_a_broadcast() -> None:
    with pytest.raises(Misplaced):
        fold_sources(Sources(), traffic(0), At(names.PRESENCE_INBOX, 0, 0, 0, BROADCAST_KEY))


def test_a_start_sweeps_the_devices_of_its_source() -> None:
    sources, targets = fold_sources(Sources(), started(0), AT)
    assert targets == Terms((("source", SOURCE),))
    assert list(sources.starts) == [SOURCE]


def test_an_older_start_is_no_news() -> None:
    sources, _ = fold_sources(Sources(), started(60), AT)
    assert fold_sources(sources, started(59), AT) == (sources, None)


def test_a_swept_row_is_named_in_the_transitions_id() -> None:
    hub = Hub()
    hub.apply(observed("connect", 0, "ch1"))
    hub.apply(started(60))
    assert [changed.id for changed in hub.transitions] == ["presence.inbox-0-0-0", "presence.inbox-0-1-p1/d1-0"]


@pytest.mark.parametrize("kind", get_args(Event))
def test_every_example_of_the_catalog_is_folded(kind: type[Message]) -> None:
    decode: Decoder[Event] = Decoder(Event)
    for value in values(kind).values():
        event, hub = decode(value), Hub()
        if isinstance(event, SourceListingEnded):  # says nothing without its beginning
            hub.apply(SourceListed(event.source, event.id, event.time, event.partition, event.ingested_at))
        known = hub.sources
        hub.apply(event)
        if isinstance(event, Broadcast):
            assert hub.sources != known
            continue
        silent = isinstance(event, DeviceRegistered | DeviceDeleted) or (
            isinstance(event, ConnectionObserved) and event.takeover and event.channel_id is None
        )
        key = device_key(event.product_id, event.device_id)
        assert (key in hub.documents) is not silent
