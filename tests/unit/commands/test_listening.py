"""A device subscribes after it has connected: what is published before that reaches nobody, and is sent again."""

from __future__ import annotations

import pytest

from libs.topics.messages.command_events import CommandQueued
from services.commands.limits import LONGEST_RETRY, NOTICE, RETRY
from services.commands.lives import deadline
from tests.support.commands.asking import T0, call, cancel, published, refused, reply, send, unheard
from tests.support.commands.hub import Hub


def queued(number: int) -> Hub:
    hub = Hub(online=False)
    for n in range(number):
        hub.write(send(f"q{n}"))
    hub.connect()
    return hub


def test_on_a_new_connection_one_command_goes_first_and_the_rest_when_it_was_heard() -> None:
    hub = queued(3)
    assert hub.sent() == ["q0"]
    hub.wait(NOTICE - 1)
    assert hub.sent() == ["q0"]
    hub.write(published("q0"))
    assert hub.sent() == ["q0", "q1", "q2"]


def test_what_nobody_heard_waits_and_is_sent_again_first() -> None:
    hub = queued(2)
    hub.write(unheard("q0"))
    assert (hub.command("q0").state, hub.command("q0").attempts) == ("queued", 0)
    assert hub.outcomes[-1] == ("message_published", "unheard")
    hub.wait(RETRY - 1)
    assert hub.sent() == ["q0"]
    hub.wait(1)
    assert hub.sent() == ["q0", "q0"]
    hub.write(published("q0"))
    assert hub.sent() == ["q0", "q0", "q1"]
    assert (hub.command("q0").state, hub.command("q0").attempts) == ("sent", 1)


def test_what_was_on_its_way_is_told_to_be_queued() -> None:
    hub = Hub(online=True)
    hub.write(send())
    hub.write(unheard())
    event = hub.events()[-1]
    assert isinstance(event, CommandQueued)
    assert event.pending == 1


def test_a_device_that_never_listens_is_tried_ever_more_rarely() -> None:
    hub = queued(1)
    pause = RETRY
    while pause < LONGEST_RETRY:
        hub.write(unheard("q0"))
        assert deadline(hub.row, hub.rules) == hub.time + pause
        hub.wait(pause)
        pause *= 2
    hub.write(unheard("q0"))
    assert deadline(hub.row, hub.rules) == hub.time + LONGEST_RETRY
    tries = len(hub.sent())
    hub.connect()
    assert len(hub.sent()) == tries + 1, "another connection is tried at once"


def test_a_command_that_comes_meanwhile_takes_its_place_behind() -> None:
    hub = Hub(online=True)
    hub.write(send("r1"))
    hub.write(send("r2"))
    assert hub.sent() == ["r1"]
    hub.write(unheard("r1"))
    hub.write(send("r3"))
    hub.wait(RETRY)
    hub.write(published("r1", at=hub.time))
    assert hub.sent() == ["r1", "r1", "r2", "r3"]
    hub.write(send("r4"))
    hub.write(send("r5"))
    assert hub.sent()[4:] == ["r4", "r5"], "who is known to listen gets everything at once"


def test_a_reply_alone_does_not_say_that_the_device_listens() -> None:
    """It may be to what came by an earlier connection, as soon as the device has a new one."""
    hub = queued(2)
    hub.write(reply("q0"))
    assert hub.sent() == ["q0"]
    hub.write(published("q0"))
    assert hub.sent() == ["q0", "q1"]
    assert hub.story("q0") == ["CommandAccepted", "CommandQueued", "CommandReplied"]


def test_nobody_waits_for_the_notice_of_a_command_that_was_cancelled() -> None:
    hub = queued(2)
    hub.write(cancel("q0"))
    assert hub.sent() == ["q0", "q1"]


def test_what_the_broker_refuses_says_nothing_about_the_device() -> None:
    hub = queued(3)
    hub.write(refused("q0"))
    assert hub.command("q0").state == "failed"
    assert hub.sent() == ["q0", "q1"]


def test_a_notice_that_never_comes_does_not_stop_the_queue() -> None:
    hub = queued(2)
    hub.wait(NOTICE)
    assert hub.sent() == ["q0", "q1"]


def test_a_notice_that_comes_too_late_says_all_the_same_that_the_device_listens() -> None:
    """Else a downlink that is more than 30 seconds behind would let one command pass in each 30 seconds."""
    hub = queued(4)
    hub.wait(NOTICE)
    assert hub.sent() == ["q0", "q1"]
    hub.write(published("q0"))
    assert hub.sent() == ["q0", "q1", "q2", "q3"]


def test_a_notice_of_an_earlier_connection_is_not_that_of_what_was_replied_to_on_this_one() -> None:
    hub = queued(3)
    hub.connect()
    hub.write(reply("q0"))
    assert hub.sent() == ["q0", "q0", "q1"], "of two notices that are due nobody knows which one comes: q1 finds out"
    hub.write(published("q0"))
    assert hub.sent() == ["q0", "q0", "q1"]
    hub.write(unheard("q0"))
    hub.write(published("q1"))
    assert hub.sent() == ["q0", "q0", "q1", "q2"]


def test_a_notice_of_an_earlier_connection_is_not_this_one_s() -> None:
    hub = queued(2)
    hub.connect()
    assert hub.sent() == ["q0", "q0"]
    hub.write(unheard("q0"))
    hub.wait(NOTICE - 1)
    assert hub.sent() == ["q0", "q0"]
    hub.write(published("q0"))
    assert hub.sent() == ["q0", "q0", "q1"]
    assert hub.command("q0").attempts == 1


def test_a_notice_that_is_told_again_after_a_crash_hides_nothing() -> None:
    """It is killed while the device changes its connection: the repeated notice counts for the new sending."""
    hub = Hub(online=True)
    hub.write(send("q0"))
    hub.write(published("q0"))
    hub.connect()
    hub.write(published("q0"))
    hub.write(send("q1"))
    hub.write(unheard("q0"))
    hub.write(unheard("q1"))
    assert hub.command("q0").attempts == 2
    hub.wait(RETRY)
    hub.write(published("q0", at=hub.time))
    assert hub.sent() == ["q0", "q0", "q1", "q0", "q1"]
    assert hub.command("q0").attempts == 3, "no more than it was given to the downlink"


def test_a_call_is_not_made_again_on_another_connection_since_its_notice_is_told_again() -> None:
    hub = Hub(online=True)
    hub.write(call("c1", ttl=5000))
    hub.write(published("c1"))
    hub.write(unheard("c1"))
    hub.wait(RETRY)
    assert hub.sent() == ["c1"]


def test_a_device_that_does_not_listen_any_more_is_asked_with_one_command_again() -> None:
    hub = queued(3)
    hub.write(published("q0"))
    hub.write(unheard("q1"))
    hub.write(unheard("q2"))
    hub.wait(RETRY)
    assert hub.sent()[3:] == ["q1"]
    hub.write(published("q1"))
    assert hub.sent()[3:] == ["q1", "q2"]


def test_a_call_that_nobody_heard_is_made_again_while_there_is_time() -> None:
    hub = Hub(online=True)
    hub.write(call(ttl=5000))
    hub.write(unheard())
    assert hub.command().state == "queued"
    hub.wait(RETRY)
    assert hub.sent() == ["r1", "r1"]
    hub.write(published(at=hub.time))
    hub.time += 20
    hub.write(reply(at=hub.time, mode="rpc"))
    assert hub.command().state == "replied"


def test_a_call_that_nobody_ever_hears_times_out() -> None:
    hub = Hub(online=True)
    hub.write(call(ttl=3000))
    for _ in range(3):
        hub.write(unheard())
        hub.wait(1000)
    assert (hub.command().state, hub.command().attempts) == ("timed_out", 0)


@pytest.mark.parametrize("notices", [1, 2])
def test_a_repetition_that_the_broker_refuses_ends_nothing(notices: int) -> None:
    hub = Hub(online=True)
    hub.write(send())
    hub.write(published(at=T0 + 1))
    hub.connect()
    for _ in range(notices):
        hub.write(refused())
    assert (hub.command().state, hub.command().attempts) == ("sent", 1)
    hub.connect()
    assert hub.sent() == ["r1"] * 3
    hub.write(published(at=T0 + 9))
    assert hub.command().attempts == 2


def test_no_command_waits_for_calls_that_nobody_hears() -> None:
    """A device may listen to its commands alone, however often applications call it."""
    hub = Hub(online=True)
    hub.write(send("q1"))
    hub.write(published("q1"))
    for n in range(10):
        hub.write(call(f"c{n}", ttl=5000))
        hub.write(unheard(f"c{n}", at=hub.time))
        hub.wait(20_000 if n < 9 else 0)
    hub.write(send("q2"))
    hub.write(send("q3"))
    assert hub.sent()[-2:] == ["q2", "q3"]


def test_several_calls_that_nobody_heard_are_made_again_together() -> None:
    hub = Hub(online=True)
    for name in ("c1", "c2", "c3"):
        hub.write(call(name))
        hub.write(unheard(name, at=hub.time))
    assert deadline(hub.row, hub.rules) == hub.time + RETRY
    hub.wait(RETRY)
    assert hub.sent() == ["c1", "c2", "c3"] * 2
