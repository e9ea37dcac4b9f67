"""Dead letters: whole, with the reason, the same on every replay."""

from __future__ import annotations

from base64 import b64decode
from typing import NoReturn

import msgspec
import pytest

from libs.runtime.lane.letters import MAX_ERROR, BadKey, OutputTooLarge, RowTooLarge, letter, reason_of
from libs.runtime.lane.producer import MAX_MESSAGE
from libs.topics.codec import InvalidMessage
from libs.topics.messages.deadletters import DeadLetter
from tests.unit.runtime.lane.lab import Lab, Record, event


class Misplaced(InvalidMessage):
    reason = "misplaced"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("?"), "poison"),
        (UnicodeDecodeError("utf-8", b"", 0, 1, "has a reason of its own"), "poison"),
        (InvalidMessage("?"), "invalid_message"),
        (Misplaced("?"), "misplaced"),
        (RowTooLarge(2, 1), "row_too_large"),
        (OutputTooLarge(2, 1), "output_too_large"),
        (BadKey("?"), "bad_key"),
    ],
)
def test_the_reason_is_the_failures_stable_code(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason


def test_a_letter_holds_the_whole_record_and_where_it_came_from() -> None:
    lab = Lab()
    record = Record(b"\xff/x", b"{\x00", 7, timestamp=1_234)
    lab.feed(record)
    (found,) = lab.letters()
    assert found == {
        "type": "dead_letter",
        "service": "things",
        "reason": "invalid_message",
        "error": found["error"],
        "origin": "kafka:things.inbox-0-7",
        "key": "/y94",
        "payload": "ewA=",
        "packet_id": 0,
        "received_at": 1_234,
    }
    assert found["error"].startswith("InvalidMessage(")
    (sent,) = lab.producer.sent
    assert sent.key == record.key


def test_a_letter_fits_its_topic_however_the_record_s_megabyte_is_shared_by_key_and_value() -> None:
    for key_size, value_size in ((1_000_000, 40_000), (1_000, 1_040_000), (520_000, 520_000)):
        lab = Lab()
        lab.feed(Record(b"k" * key_size, b"{" * value_size, 0))
        (sent,) = lab.producer.sent
        assert len(sent.key or b"") + len(sent.value) < MAX_MESSAGE


def test_an_error_that_quotes_its_input_is_cut() -> None:
    value = letter(
        service="s",
        topic="t",
        partition=1,
        record=Record(None, None, 5),
        key=None,
        error=ValueError("x" * 10 * MAX_ERROR),
    )
    found = msgspec.json.decode(value, type=DeadLetter)
    assert len(found.error) == MAX_ERROR
    assert (found.key, b64decode(found.payload)) == (None, b"")


def test_the_letter_of_a_swept_row_names_the_row_and_holds_the_broadcast() -> None:
    lab = Lab()
    lab.feed(event(b"k", 0))
    poison = event(b"\0broadcast", 1, "everything")
    lab.lane.step = _fail
    lab.feed(poison)
    (found,) = lab.letters()
    assert (b64decode(found["key"]), b64decode(found["payload"])) == (b"k", poison.value)
    assert found["origin"] == "kafka:things.inbox-0-1"


def _fail(*_: object) -> NoReturn:
    raise ValueError("boom")
