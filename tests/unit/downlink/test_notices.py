"""What is told of a command's message."""

from __future__ import annotations

from libs.topics.messages.command_requests import MessagePublished
from services.downlink.model import Receipt, Refusal
from services.downlink.notices import notice, outcome, record

RECEIPT = Receipt("plant-7", "press-1", "r1")


def test_what_the_broker_took_is_told_without_a_reason_and_what_nobody_took_with_that_of_its_dead_letter() -> None:
    assert notice(RECEIPT, None, 7) == MessagePublished("plant-7", "press-1", "r1", None, 7)
    refused = notice(RECEIPT, Refusal("packet_too_large", "9 bytes, the broker allows 8"), 8)
    assert (refused.refused, refused.at) == ("packet_too_large", 8)


def test_it_goes_where_the_device_s_commands_are_kept() -> None:
    key, value = record(notice(RECEIPT, None, 7))
    assert key == b"plant-7/press-1"
    assert value.startswith(b'{"type":"message_published",')


def test_that_nobody_has_subscribed_is_told_too() -> None:
    notices = notice(RECEIPT, None, 7), notice(RECEIPT, None, 7, heard=False), notice(RECEIPT, Refusal("x", "y"), 7)
    assert [told.heard for told in notices] == [True, False, True]
    assert [outcome(told) for told in notices] == ["acknowledged", "unheard", "refused"]
