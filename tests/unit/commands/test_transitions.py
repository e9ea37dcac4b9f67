"""A command's way from being accepted to its one end."""

from __future__ import annotations

from tests.support.commands.asking import call, published, reply, send
from tests.support.commands.hub import Hub


def test_a_command_to_a_device_that_is_online_is_sent_at_once() -> None:
    hub = Hub(online=True)
    answer = hub.ask(send())
    assert answer.status == 202
    (message,) = hub.told()
    assert message.expires_at is not None
    assert message.topic == f"cmd/p1/d1/unlock/plain/r1/{message.expires_at // 1000}"
    hub.write(published())
    assert hub.command().state == "sent"
    hub.write(reply())
    assert hub.story() == ["CommandAccepted", "CommandSent", "CommandReplied"]
    assert hub.command().state == "replied"


def test_an_rpc_is_answered_when_the_device_replies() -> None:
    hub = Hub(online=True)
    assert hub.ask(call()) is None
    hub.wait(1000)
    hub.write(published())
    said = hub.write(reply(at=hub.time + 20))
    assert said
