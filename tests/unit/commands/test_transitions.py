"""A command's way from being accepted to its one end."""

from __future__ import annotations

import msgspec
import pytest

from libs.runtime.lane.verdicts import Misplaced
from libs.topics.messages.command_events import CommandEnded, CommandReplied, LateReplyRecorded
from services.commands.limits import HEARD, REPLIED, REPLY
from tests.support.commands.asking import (
    T0,
    delivered,
    published,
    refused,
    reply,
    send,
)
from tests.support.commands.hub import Hub


def test_a_command_to_a_device_that_is_online_is_sent_at_once() -> None:
    hub = Hub(online=True)
    answer = hub.ask(send(payload={"for": 5}))
    assert answer.status == 202
    assert msgspec.json.decode(answer.body)["state"] == "accepted"
    (message,) = hub.told()
    assert message.topic == f"cmd/p1/d1/unlock/plain/r1/{message.expires_at // 1000 if message.expires_at else 0}"
    assert (message.device_id, message.request_id, message.qos) == ("d1", "r1", 1)
    assert (bytes(message.payload), message.content_type) == (b'{"for":5}', "application/json")
    hub.write(published(at=T0 + 30))
    view = hub.command()
    assert (view.state, view.attempts, view.sent_at) == ("sent", 1, T0 + 30)
    hub.time += 200
    hub.write(reply(at=hub.time))
    assert hub.story() == ["CommandAccepted", "CommandSent", "CommandReplied"]
    view = hub.command()
    assert (view.state, view.ended_at, view.reason) == ("replied", hub.time, None)
    assert view.reply is not None
    assert (bytes(view.reply.payload), view.reply.rtt_ms, view.reply.late) == (b'"done"', 200, False)


def test_bytes_that_are_no_json_leave_as_such() -> None:
    hub = Hub(online=True)
    hub.write(send(payload="b3Blbg==", encoding="base64"))
    (message,) = hub.told()
    assert (message.encoding, message.content_type) == ("base64", "application/octet-stream")
    assert "/plain/" in message.topic, "the downlink decodes it: the device gets the bytes themselves"


def test_the_topic_has_whole_seconds_that_end_no_earlier_than_the_command() -> None:
    hub = Hub(online=True)
    hub.write(send(ttl=1))
    (message,) = hub.told()
    assert message.expires_at == T0 + 1
    assert message.topic.endswith(f"/{T0 // 1000 + 1}")


def test_a_reply_may_come_before_the_notice_that_the_command_was_sent() -> None:
    hub = Hub(online=True)
    hub.write(send())
    hub.write(reply())
    hub.write(published())
    assert hub.story() == ["CommandAccepted", "CommandReplied"]
    assert hub.command().attempts == 1, "nobody replies to what was never sent"


def test_a_notice_that_is_repeated_counts_once() -> None:
    hub = Hub(online=True)
    hub.write(send())
    hub.write(published())
    hub.write(published())
    assert hub.story() == ["CommandAccepted", "CommandSent"]
    assert hub.outcomes[-1] == ("message_published", "again")


def test_what_the_broker_does_not_take_has_failed() -> None:
    hub = Hub(online=True)
    hub.write(send())
    hub.write(refused(why="not authorized"))
    view = hub.command()
    assert (view.state, view.reason) == ("failed", "not authorized")
    assert hub.ends == [("cmd", "failed")]


def test_a_broker_that_tells_makes_it_delivered_once() -> None:
    hub = Hub(online=True)
    hub.write(send())
    hub.write(published())
    hub.write(delivered(at=T0 + 5))
    hub.write(delivered(at=T0 + 5))
    assert hub.story() == ["CommandAccepted", "CommandSent", "CommandDelivered"]
    assert hub.command().state == "delivered"
    hub.write(reply())
    hub.write(delivered())
    assert hub.command().state == "replied"


def test_what_was_delivered_stays_so_when_it_is_sent_on_another_connection() -> None:
    hub = Hub(online=True, tells=True)
    hub.write(send())
    hub.write(delivered())
    hub.connect()
    view = hub.command()
    assert (view.state, view.attempts) == ("delivered", 2)


def test_nothing_happens_before_what_it_follows_whatever_the_clocks_of_ingest_and_downlink_say() -> None:
    hub = Hub(online=True)
    hub.write(send())
    hub.write(published(at=T0 + 50))
    hub.write(reply(at=T0 + 20))
    assert [event.at for event in hub.events()] == [T0, T0 + 50, T0 + 50]
    hub.write(send("r2", ttl=100))
    hub.tick(T0 + 100)
    hub.write(reply("r2", at=T0 + 90))
    assert hub.events()[-1].at == T0 + 100
    hub.write(send("r3"))
    hub.write(reply("r3", at=T0 - 5))
    assert hub.events()[-1].at == hub.command("r3").accepted_at


def test_what_was_never_sent_is_not_delivered() -> None:
    hub = Hub(online=False)
    hub.write(send())
    hub.write(delivered())
    assert hub.command().state == "queued"


@pytest.mark.parametrize(("later", "state"), [(999, "sent"), (1000, "expired"), (5000, "expired")])
def test_a_command_expires_at_its_very_moment(later: int, state: str) -> None:
    hub = Hub(online=True)
    hub.write(send(ttl=1000))
    hub.write(published())
    hub.tick(T0 + later)
    assert hub.command().state == state


def test_a_reply_at_the_very_end_is_late_although_no_tick_came() -> None:
    hub = Hub(online=True)
    hub.write(send(ttl=1000))
    hub.time += 1000
    hub.write(reply(at=hub.time - 1))
    ended, late = hub.events()[-2:]
    assert isinstance(ended, CommandEnded)
    assert isinstance(late, LateReplyRecorded)
    assert (ended.outcome, ended.reason) == ("expired", "the device did not reply before its time was over")
    view = hub.command()
    assert view.state == "expired", "an end never changes"
    assert view.reply is not None
    assert (view.reply.late, bytes(view.reply.payload), view.attempts) == (True, b'"done"', 1)


def test_the_time_is_that_of_the_inbox_and_never_before_the_newest_tick() -> None:
    hub = Hub(online=True)
    hub.write(send(ttl=1000))
    hub.tick(T0 + 900)
    hub.time = T0 + 200  # the record was written by a process whose clock is behind
    hub.write(send("r2", ttl=1000))
    assert hub.command("r2").expires_at == T0 + 1900


def test_a_reply_that_is_repeated_is_known_by_its_message_id() -> None:
    hub = Hub(online=True)
    hub.write(send())
    hub.write(reply())
    row = hub.row
    hub.write(reply())
    assert hub.row is row
    hub.write(reply(message_id="m2"))
    hub.write(reply(message_id="m2"))
    assert hub.story() == ["CommandAccepted", "CommandReplied", "LateReplyRecorded"]
    view = hub.command()
    assert view.reply is not None
    assert view.reply.message_id == "r1", "the reply in time is the command's"


def test_of_late_replies_the_newest_is_shown_and_some_are_known() -> None:
    hub = Hub(online=True)
    hub.write(send(ttl=1))
    hub.tick(T0 + 1)
    for number in range(HEARD + 2):
        hub.write(reply(payload=number, message_id=f"m{number}"))
    view = hub.command()
    assert view.reply is not None
    assert bytes(view.reply.payload) == b"%d" % (HEARD + 1)
    past = hub.row.recall("r1")
    assert past is not None
    assert past.heard == tuple(f"m{number}" for number in range(2, HEARD + 2))


def test_a_reply_to_what_nobody_asked_is_counted_and_dropped() -> None:
    hub = Hub(online=True)
    row = hub.row
    assert hub.write(reply("unheard-of")) == []
    assert hub.row is row
    assert hub.outcomes[-1] == ("command_answered", "unknown")


def test_a_stranger_s_reply_makes_no_row() -> None:
    hub = Hub(online=None)
    assert hub.write(reply()) == []
    assert hub.rows == {}


def test_a_large_reply_is_told_and_not_kept() -> None:
    hub = Hub(online=True)
    hub.write(send())
    hub.write(reply(payload="x" * REPLY))
    event = hub.events()[-1]
    assert isinstance(event, CommandReplied)
    assert len(event.payload) > REPLY
    assert (hub.command().state, hub.command().reply) == ("replied", None)


def test_the_ledger_remembers_a_few_that_were_replied_to() -> None:
    hub = Hub(online=True)
    for number in range(REPLIED + 3):
        hub.write(send(f"r{number}"))
        hub.write(reply(f"r{number}"))
    assert [view.request_id for view in hub.commands().ended] == [f"r{number}" for number in range(3, REPLIED + 3)]


def test_a_message_under_another_device_s_key_is_misplaced() -> None:
    hub = Hub(online=True)
    with pytest.raises(Misplaced):
        hub.write(send(), key=b"p1/d2")
    with pytest.raises(Misplaced):
        hub.write(send(), key=b"\0broadcast")
