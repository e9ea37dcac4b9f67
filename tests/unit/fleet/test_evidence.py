from __future__ import annotations

import base64

import msgspec
import pytest

from fleet.evidence import Arrival, Evidence, Transition, arrival, concerns
from libs.topics import names
from libs.topics.codec import InvalidMessage, encode
from libs.topics.messages.commands import CommandAnswered, ProbeAnswered
from libs.topics.messages.deadletters import DeadLetter
from libs.topics.messages.presence import PresenceChanged, PresenceDocument, Session, TrafficSeen
from libs.topics.messages.telemetry import DataUploaded
from tests.unit.fleet.worlds import NORTH

CHANGE = PresenceChanged(
    id="presence.inbox-0-4-0",
    product_id=NORTH[0],
    device_id=NORTH[1],
    old="offline",
    new="online",
    cause="connected",
    reason=None,
    client_id="garden/station-000",
    channel_id="1",
    previous_channel_id=None,
    source="mosquitto:main",
    at=1,
    observed_at=2,
)


def uploaded(payload: bytes, encoding: str = "json") -> bytes:
    return encode(DataUploaded("garden", "station-000", "weather", "r-1", 7, encoding, msgspec.Raw(payload), 1))  # type: ignore[arg-type]


def letter(origin: str, key: bytes | None) -> DeadLetter:
    text = None if key is None else base64.b64encode(key).decode()
    return DeadLetter("ingest", "invalid_topic", "too short", origin, text, "", 1, 1)


def test_json_is_taken_as_the_very_bytes_that_were_sent() -> None:
    found = arrival("device.telemetry", 3, 9, uploaded(b'{"a": 1.0}'))
    assert found == Arrival("device.telemetry", 3, 9, "garden", "station-000", "r-1", b'{"a": 1.0}')


def test_other_bytes_are_taken_out_of_their_base64() -> None:
    found = arrival("device.telemetry", 3, 9, uploaded(b'"/wA="', "base64"))
    assert found is not None
    assert found.payload == b"\xff\x00"


def test_records_without_a_message_id_are_no_arrivals() -> None:
    evidence = Evidence()
    evidence.take("shadow.inbox", 0, 0, b"k", encode(TrafficSeen("garden", "station-000", 1)))
    evidence.take("shadow.inbox", 0, 1, b"k", None)
    assert evidence.arrivals == []


def test_replies_are_in_no_script_and_no_arrivals() -> None:
    said = (msgspec.Raw(b"{}"), 1)
    evidence = Evidence()
    answered = CommandAnswered("garden", "station-000", "cmd", "unlock", "r1", "r1", 7, "json", *said)
    probed = ProbeAnswered("garden", "station-000", "m1", 7, "json", *said)
    for offset, message in enumerate((answered, probed)):
        evidence.take(names.COMMANDS_INBOX, 0, offset, b"k", encode(message))
    assert evidence.arrivals == []


def test_records_go_where_their_topic_says() -> None:
    evidence = Evidence()
    evidence.take(names.DEVICE_TELEMETRY, 0, 0, b"k", uploaded(b"1"))
    evidence.take(names.PRESENCE_TRANSITIONS, 0, 0, b"k", encode(CHANGE))
    evidence.take("ingest.dead-letters", 0, 0, None, encode(letter("mqtt:x", None)))
    assert [found.payload for found in evidence.arrivals] == [b"1"]
    assert evidence.transitions == [Transition("presence.inbox-0-4-0", *NORTH, "connected")]
    assert evidence.letters == [letter("mqtt:x", None)]


def test_the_newest_document_of_a_key_counts_and_a_deleted_one_does_not() -> None:
    evidence = Evidence()
    for since in (1, 2):
        document = PresenceDocument(*NORTH, Session("online", since), None, since)
        evidence.take(names.PRESENCE_STATE, 0, since, b"garden/station-000", encode(document))
    assert evidence.documents[NORTH].session.since == 2
    evidence.take(names.PRESENCE_STATE, 0, 3, b"garden/station-000", None)
    assert evidence.documents == {}


def test_a_record_that_does_not_fit_its_topic_is_not_passed_over() -> None:
    with pytest.raises(InvalidMessage):
        Evidence().take(names.PRESENCE_TRANSITIONS, 0, 0, b"k", b'{"type":"presence_changed"}')


@pytest.mark.parametrize(
    ("origin", "key", "ours"),
    [
        ("mqtt:upload_data/garden/station-000", None, True),
        ("mqtt:upload_data/elsewhere/station-000", None, False),
        ("kafka:device.telemetry-0-1", b"garden/station-000", True),
        ("kafka:device.telemetry-0-1", b"elsewhere/station-000", False),
        ("kafka:device.telemetry-0-1", b"\0broadcast", False),
    ],
)
def test_dead_letters_of_the_fleet_are_told_from_others(origin: str, key: bytes | None, ours: bool) -> None:
    assert concerns(letter(origin, key), {"garden"}) is ours
