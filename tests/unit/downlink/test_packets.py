"""A message on the wire."""

from __future__ import annotations

import mqtt5
import pytest
from msgspec.structs import replace

from services.downlink.model import Publish
from services.downlink.packets import LONGEST_EXPIRY, is_expired, packet

NOW = 1_790_000_000_000
MESSAGE = Publish("cmd/p/d/go/plain/r1", b'{"n":1}', 1, None, "application/json", b"r1")


def written(message: Publish, packet_id: int = 7, *, again: bool = False) -> mqtt5.PublishPacket:
    data = packet(message, packet_id, NOW, again=again)
    found, size = mqtt5.read(memoryview(data))
    assert isinstance(found, mqtt5.PublishPacket)
    assert size == len(data)
    return found


def test_it_carries_what_the_record_says() -> None:
    found = written(MESSAGE)
    assert (found.topic, found.payload, int(found.qos), found.packet_id) == (MESSAGE.topic, b'{"n":1}', 1, 7)
    assert (found.content_type, found.correlation_data) == ("application/json", b"r1")
    assert (found.duplicate, found.retain, found.message_expiry_interval) == (False, False, None)
    assert written(MESSAGE, again=True).duplicate


def test_what_wants_a_stamp_says_when_it_was_sent() -> None:
    assert written(replace(MESSAGE, payload=b'{"n":1,"sent":', stamped=True)).payload == b'{"n":1,"sent":%d}' % NOW


def test_at_qos_0_it_has_no_packet_id_and_is_never_a_duplicate() -> None:
    found = written(replace(MESSAGE, qos=0), 0, again=True)
    assert (int(found.qos), found.packet_id, found.duplicate) == (0, None, False)


@pytest.mark.parametrize(
    ("left", "seconds"), [(1, 1), (999, 1), (1000, 1), (1999, 1), (60_000, 60), (10**15, LONGEST_EXPIRY)]
)
def test_the_broker_is_told_the_whole_seconds_that_are_left(left: int, seconds: int) -> None:
    message = replace(MESSAGE, expires_at=NOW + left)
    assert not is_expired(message, NOW)
    assert written(message).message_expiry_interval == seconds


def test_it_is_expired_from_its_last_moment_on() -> None:
    assert is_expired(replace(MESSAGE, expires_at=NOW), NOW)
    assert is_expired(replace(MESSAGE, expires_at=NOW - 1), NOW)
    assert not is_expired(MESSAGE, NOW)
