"""One command for all devices of a tag."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from libs.runtime.lane.verdicts import Misplaced, Unfit
from libs.topics import names
from libs.topics.messages.base import ReplyTo
from libs.topics.messages.command_events import FanOutStarted
from services.commands.limits import FANNED, REPLIED, Rules
from services.commands.views import show_fanouts
from tests.support.commands.asking import (
    cancel_fanout,
    published,
    register,
    reply,
    retag,
    send,
    send_to_tag,
)
from tests.support.commands.hub import Hub, answers

FANOUT = b"f1"


def fleet(**rules: Any) -> Hub:
    """Five devices: d1 to d4 carry the tag, d1 and d2 are online."""
    hub = Hub(online=None, rules=Rules(**rules))
    for number in range(1, 6):
        hub.write(register(f"d{number}", tags=("line-3", "west") if number < 5 else ("west",)))
    for number in (1, 2):
        hub.connect(device=f"d{number}")
    return hub


def started(hub: Hub) -> FanOutStarted:
    found = hub.events(FANOUT)[-1]
    assert isinstance(found, FanOutStarted)
    return found


def counts(hub: Hub) -> tuple[int, ...]:
    """Return how many members there are, and how many accepted, queued, refused, rejected."""
    told = started(hub)
    return told.members, told.accepted, told.queued, told.refused, told.rejected


def state(hub: Hub, device: str) -> str:
    found = show_fanouts(b"", hub.rows[f"p1/{device}".encode()], hub.shared)
    assert found is not None
    return found.states["f1"]


def test_it_reaches_those_that_are_online_and_waits_for_the_others() -> None:
    hub = fleet()
    (answer,) = answers(hub.write(replace(send_to_tag(), reply_to=ReplyTo(3, "c1"))))
    assert answer.status == 202
    assert msgspec.json.decode(answer.body, type=FanOutStarted) == started(hub)
    assert counts(hub) == (4, 2, 2, 0, 0)
    assert hub.sent() == ["f1"]
    assert [state(hub, device) for device in ("d1", "d3")] == ["accepted", "queued"]
    hub.connect(device="d3")
    hub.write(published("f1", device="d3"))
    hub.write(reply("f1"))
    assert [state(hub, device) for device in ("d1", "d2", "d3", "d4")] == ["replied", "accepted", "sent", "queued"]
    assert show_fanouts(b"", hub.rows[b"p1/d5"], hub.shared) is None


def test_replies_to_what_is_over_are_late() -> None:
    """Also further ones to what was replied to; the same one again is nothing."""
    hub = fleet()

    def late() -> tuple[str, ...]:
        found = show_fanouts(b"", hub.rows[b"p1/d1"], hub.shared)
        assert found is not None
        return found.late

    hub.write(send_to_tag())
    hub.write(send_to_tag("f2", ttl=1000))
    for message_id in ("m1", "m1"):
        hub.write(reply("f1", message_id=message_id))
    hub.wait(1000)
    assert late() == ()
    hub.write(reply("f2", message_id="m2"))
    assert late() == ("f2",)
    hub.write(reply("f1", message_id="m3"))
    assert late() == ("f1", "f2")


def test_a_member_s_command_is_as_any_other_and_names_its_fan_out() -> None:
    hub = fleet()
    hub.write(send_to_tag(ttl=1000))
    view = hub.command("f1")
    assert (view.fanout_id, view.command, view.mode, view.by) == ("f1", "reboot", "cmd", "tester")
    hub.wait(1000)
    assert hub.command("f1").state == "expired"


def test_its_members_are_those_that_carry_the_tag_when_it_comes() -> None:
    hub = fleet()
    hub.write(send_to_tag())
    hub.write(retag("west", device="d1"))
    hub.write(retag("line-3", device="d5"))
    assert state(hub, "d1") == "accepted"
    assert b"p1/d5" in hub.rows
    assert show_fanouts(b"", hub.rows[b"p1/d5"], hub.shared) is None


def test_asked_for_again_it_counts_as_it_did_and_sends_nothing() -> None:
    hub = fleet()
    hub.tells = True
    hub.write(send_to_tag())
    before = counts(hub)
    hub.write(reply("f1"))
    hub.write(send_to_tag("f2"))
    hub.write(send_to_tag())
    assert counts(hub) == before
    assert hub.sent() == ["f1", "f2"]


def test_a_member_that_has_too_many_open_gets_no_other() -> None:
    hub = fleet(open=1)
    hub.write(send())
    hub.write(send_to_tag())
    assert counts(hub) == (4, 1, 2, 1, 0)
    assert hub.sent() == ["r1"]


def test_an_rpc_does_not_wait_for_those_that_are_offline() -> None:
    hub = fleet()
    hub.write(send_to_tag(mode="rpc"))
    assert counts(hub) == (4, 2, 0, 0, 2)
    assert [state(hub, device) for device in ("d1", "d3")] == ["accepted", "rejected"]
    assert hub.told()[0].topic.startswith("rpc/p1/d1/reboot/plain/f1/")


def test_nobody_carries_the_tag() -> None:
    hub = fleet()
    hub.write(send_to_tag(tag="unheard-of"))
    assert counts(hub) == (0, 0, 0, 0, 0)


def test_it_is_cancelled_where_it_is_not_over() -> None:
    hub = fleet()
    hub.write(send_to_tag())
    hub.write(reply("f1"))
    (answer,) = answers(hub.write(replace(cancel_fanout(), reply_to=ReplyTo(3, "c1"))))
    assert (answer.status, msgspec.json.decode(answer.body)) == (
        200,
        {"fanout_id": "f1", "partition": 0, "cancelled": 3},
    )
    assert [state(hub, device) for device in ("d1", "d2", "d3", "d4")] == ["replied", *["cancelled"] * 3]
    (answer,) = answers(hub.write(replace(cancel_fanout(), reply_to=ReplyTo(3, "c2"))))
    assert msgspec.json.decode(answer.body)["cancelled"] == 0
    assert hub.write(cancel_fanout()) == []


def test_what_expires_at_that_moment_is_not_cancelled() -> None:
    hub = fleet()
    hub.write(send_to_tag(ttl=1000))
    hub.time += 1000
    (answer,) = answers(hub.write(replace(cancel_fanout(), reply_to=ReplyTo(3, "c1"))))
    assert msgspec.json.decode(answer.body)["cancelled"] == 0
    assert state(hub, "d1") == "expired"


def test_what_is_no_fan_out_is_a_dead_letter() -> None:
    hub = fleet()
    for wrong in (
        replace(send_to_tag(), command="p2p"),
        send_to_tag("no/name"),
        send_to_tag(ttl=0),
    ):
        with pytest.raises(Unfit):
            hub.write(wrong)
    with pytest.raises(Misplaced):
        hub.write(replace(send_to_tag(), partition=1))
    with pytest.raises(Misplaced):
        hub.write(replace(cancel_fanout(), partition=1))
    with pytest.raises(Misplaced):
        hub.write(send(), key=b"\0broadcast")


def test_who_waits_for_what_is_no_fan_out_is_told_why() -> None:
    hub = fleet()
    before = len(hub.log)
    answer = hub.ask(send_to_tag(ttl=hub.rules.longest_ttl + 1))
    assert (answer.status, answer.code) == (400, "invalid_ttl")
    assert [topic for topic, _, _ in hub.log[before:]] == [names.API_REPLIES]
    assert hub.ask(send_to_tag(ttl=hub.rules.longest_ttl)).status == 202


def test_it_is_known_though_its_commands_are_forgotten() -> None:
    hub = fleet()
    hub.tells = True  # nothing waits: whatever is accepted would be sent
    hub.write(send_to_tag())
    hub.write(reply("f1"))
    for number in range(REPLIED):
        hub.write(send(f"r{number}"))
        hub.write(reply(f"r{number}"))
    before = counts(hub)
    assert "f1" not in [view.request_id for view in hub.commands().ended]
    hub.write(send_to_tag())
    assert counts(hub) == before
    assert hub.sent() == ["f1", *[f"r{number}" for number in range(REPLIED)]]
    assert hub.commands().open == ()
    for number in range(FANNED):
        hub.write(send_to_tag(f"other-{number}", ttl=1))
        hub.tick(hub.time + 1)
    assert [fanned.fanout_id for fanned in hub.row.fanned] == [f"other-{number}" for number in range(FANNED)]
