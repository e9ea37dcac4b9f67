from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fleet import compare
from fleet.evidence import Arrival
from libs.topics.messages.deadletters import DeadLetter
from libs.topics.messages.presence import PresenceDocument, Session
from tests.unit.fleet import worlds
from tests.unit.fleet.worlds import ABSENT, NORTH, SOUTH

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleet.compare import Finding, Place

seeds = st.integers(0, 2**32)


def kinds(findings: list[Finding]) -> list[str]:
    return [finding.what for finding in findings]


@given(seeds, st.booleans(), st.sampled_from(["Kafka", "ClickHouse"]))
def test_a_faultless_hub_balances_whether_or_not_unacknowledged_messages_arrived(
    seed: int, arrived: bool, place: Place
) -> None:
    world = worlds.truth(seed)
    held = worlds.arrivals(world, stored_only=place == "ClickHouse", every_unacknowledged=arrived)
    assert compare.messages(world, held, place) == []


@given(seeds, st.data())
def test_an_acknowledged_message_that_is_missing_is_named(seed: int, data: st.DataObject) -> None:
    world = worlds.truth(seed)
    held = worlds.arrivals(world)
    missing = held.pop(data.draw(st.integers(0, len(held) - 1)))
    (finding,) = compare.messages(world, held, "Kafka")
    assert finding.what == "lost"
    assert finding.sentence.startswith(f"{missing.message_id} (")
    assert finding.sentence.endswith("was acknowledged but is not in Kafka")


@given(seeds, st.data())
def test_a_second_copy_is_named_even_of_an_unacknowledged_message(seed: int, data: st.DataObject) -> None:
    world = worlds.truth(seed)
    held = worlds.arrivals(world, every_unacknowledged=True)
    twin = data.draw(st.sampled_from(held))
    held.append(replace(twin, offset=1_000_000))
    (finding,) = compare.messages(world, held, "Kafka")
    assert finding.what == "doubled"
    assert f"{twin.topic}-{twin.partition}-1000000" in finding.sentence


@given(seeds, st.data())
def test_two_messages_of_a_device_in_exchanged_places_are_disorder(seed: int, data: st.DataObject) -> None:
    world = worlds.truth(seed, messages=20)
    held = worlds.arrivals(world)
    topic, partition = data.draw(st.sampled_from([("device.telemetry", 0), ("device.telemetry", 1)]))
    of_device = [n for n, a in enumerate(held) if (a.topic, a.partition) == (topic, partition)]
    one, other = data.draw(st.permutations(of_device))[:2]
    held[one], held[other] = (
        replace(held[one], offset=held[other].offset),
        replace(held[other], offset=held[one].offset),
    )
    assert set(kinds(compare.messages(world, held, "Kafka"))) == {"disorder"}


ALTERATIONS: dict[str, Callable[[Arrival], Arrival]] = {
    "another payload": lambda a: replace(a, payload=a.payload + b" "),
    "a message of garden/station-002": lambda a: replace(a, device_id=ABSENT[1]),
    "in ota.inbox, not in": lambda a: replace(a, topic="ota.inbox"),
}


@pytest.mark.parametrize("what", ALTERATIONS)
def test_a_message_that_changed_on_its_way_is_named(what: str) -> None:
    world = worlds.truth()
    held = worlds.arrivals(world)
    held[5] = ALTERATIONS[what](held[5])
    findings = compare.messages(world, held, "Kafka")
    assert kinds(findings) == ["altered"]
    assert what in findings[0].sentence


def test_a_message_that_the_fleet_never_sent_is_named_but_other_fleets_are_passed_over() -> None:
    world = worlds.truth()
    held = worlds.arrivals(world)
    stranger = Arrival("device.telemetry", 0, 10_000, "garden", "station-000", "other-1", b"{}")
    elsewhere = replace(stranger, product_id="elsewhere")
    findings = compare.messages(world, [*held, stranger, elsewhere], "Kafka")
    assert kinds(findings) == ["unknown"]
    assert findings[0].sentence == "Kafka holds other-1 of garden/station-000, which the fleet never sent"


def test_what_is_not_stored_in_clickhouse_is_not_missed_there() -> None:
    world = worlds.truth()
    assert "lost" in kinds(compare.messages(world, worlds.arrivals(world, stored_only=True), "Kafka"))
    assert compare.messages(world, worlds.arrivals(world, stored_only=True), "ClickHouse") == []


def test_presence_that_equals_the_truth_is_no_finding() -> None:
    world = worlds.truth()
    assert compare.presence(world, worlds.documents(world)) == []
    assert compare.transitions(world, worlds.transitions(world), "Kafka") == []


def test_a_device_in_the_wrong_state_is_named() -> None:
    world = worlds.truth()
    documents = worlds.documents(world)
    documents[SOUTH], documents[NORTH] = (
        replace(documents[SOUTH], session=Session("online", documents[SOUTH].session.since)),
        replace(documents[NORTH], session=Session("unknown", documents[NORTH].session.since)),
    )
    assert [f.sentence for f in compare.presence(world, documents)] == [
        "garden/station-000 is online, the hub says unknown",
        "garden/station-001 is offline, the hub says online",
    ]


def test_devices_without_a_document_are_fine_only_where_they_never_connected() -> None:
    assert [f.sentence for f in compare.presence(worlds.truth(), {})] == [
        "garden/station-000 is online, the hub has no document",
        "garden/station-001 was connected, the hub does not know it",
    ]


def test_a_document_that_calls_a_device_online_which_never_connected_is_a_finding() -> None:
    world = worlds.truth()
    documents = worlds.documents(world)
    documents[ABSENT] = PresenceDocument(*ABSENT, Session("online", 1), None, 1)
    assert kinds(compare.presence(world, documents)) == ["state"]


@pytest.mark.parametrize(("seconds", "found"), [(-4, ["since"]), (-1, []), (0, []), (2, ["since"])])
def test_online_since_may_differ_by_the_brokers_whole_seconds_only(seconds: int, found: list[str]) -> None:
    world = worlds.truth()
    documents = worlds.documents(world)
    session = documents[NORTH].session
    channel = replace(session.channels[0], opened_at=session.channels[0].opened_at + seconds * 1000)
    documents[NORTH] = replace(documents[NORTH], session=replace(session, channels=(channel,)))
    assert kinds(compare.presence(world, documents)) == found


def test_offline_since_must_not_be_before_the_connection_ended() -> None:
    world = worlds.truth()
    documents = worlds.documents(world)
    session = documents[SOUTH].session
    documents[SOUTH] = replace(documents[SOUTH], session=replace(session, since=(session.since or 0) - 3000))
    assert kinds(compare.presence(world, documents)) == ["since"]


def test_an_online_device_has_exactly_one_channel() -> None:
    world = worlds.truth()
    documents = worlds.documents(world)
    session = documents[NORTH].session
    documents[NORTH] = replace(documents[NORTH], session=replace(session, channels=session.channels * 2))
    assert [f.sentence for f in compare.presence(world, documents)] == [
        "garden/station-000 has one connection, the hub lists 2"
    ]


@given(seeds, st.data())
def test_a_transition_too_few_or_too_many_is_a_finding_but_a_repeated_one_is_not(
    seed: int, data: st.DataObject
) -> None:
    world = worlds.truth(seed)
    told = worlds.transitions(world)
    place = data.draw(st.integers(0, len(told) - 1))
    assert compare.transitions(world, [*told, told[place]], "Kafka") == []
    assert kinds(compare.transitions(world, told[:place] + told[place + 1 :], "Kafka")) == ["transitions"]
    assert kinds(compare.transitions(world, [*told, replace(told[place], id="another")], "Kafka")) == ["transitions"]


def test_the_story_of_a_device_is_told_in_the_finding() -> None:
    world = worlds.truth()
    told = [change for change in worlds.transitions(world) if change.device_id != SOUTH[1]]
    assert [f.sentence for f in compare.transitions(world, told, "Kafka")] == [
        "garden/station-001: connected, taken_over, connection_lost; the transitions in Kafka: nothing"
    ]


def test_every_dead_letter_is_a_finding() -> None:
    letter = DeadLetter("ingest", "invalid_topic", "too short", "mqtt:upload_data/garden", None, "", 1, 1)
    assert [f.sentence for f in compare.dead_letters([letter])] == ["ingest refused mqtt:upload_data/garden: too short"]


def test_a_goodbye_must_not_be_called_a_lost_connection_but_a_broker_restart_may() -> None:
    world = worlds.truth()
    told = worlds.transitions(world)
    for cause in ("connection_lost", "disconnected"):  # a goodbye may meet the broker's end
        renamed = [replace(t, cause="source_restarted") if t.cause == cause else t for t in told]
        assert renamed != told
        assert compare.transitions(world, renamed, "Kafka") == []
    renamed = [replace(t, cause="source_restarted") if t.cause == "connected" else t for t in told]
    assert kinds(compare.transitions(world, renamed, "Kafka")) == ["transitions"] * 2
    renamed = [replace(t, cause="connection_lost") if t.cause == "disconnected" else t for t in told]
    assert kinds(compare.transitions(world, renamed, "Kafka")) == ["transitions"]
