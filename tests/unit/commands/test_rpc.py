"""One call that waits for the device's reply."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from libs.topics.messages.base import ReplyTo
from libs.topics.messages.hub import RequestAnswered, RequestRefused
from services.commands.limits import RPC_LONGEST, WAITERS
from tests.support.commands.asking import (
    T0,
    call,
    cancel,
    delete_device,
    idempotent,
    presence,
    published,
    refused,
    reply,
    send,
)
from tests.support.commands.hub import Hub, answers


def asked(number: int = 1, request_id: str = "r1", **more: Any) -> Any:
    """``number``: tells who asks."""
    return replace(call(request_id, **more), reply_to=ReplyTo(3, f"c{number}"))


def test_it_is_answered_with_the_reply() -> None:
    hub = Hub(online=True)
    assert answers(hub.write(asked())) == []
    (message,) = hub.told()
    assert message.topic.startswith("rpc/p1/d1/unlock/plain/r1/")
    assert message.expires_at == T0 + 5000
    hub.write(published())
    (answer,) = answers(hub.write(reply(at=T0 + 40, mode="rpc")))
    assert isinstance(answer, RequestAnswered)
    assert (answer.correlation_id, answer.status) == ("c1", 200)
    view = msgspec.json.decode(answer.body)
    assert (view["state"], view["reply"]["payload"], view["reply"]["rtt_ms"]) == ("replied", "done", 40)


def test_a_device_that_is_offline_is_no_reason_to_wait() -> None:
    for hub in (Hub(online=False), Hub(online=True)):
        hub.connect("offline")
        (answer,) = answers(hub.write(asked()))
        assert isinstance(answer, RequestRefused)
        assert (answer.status, answer.code, answer.detail) == (409, "device_offline", "the device is offline")
        assert msgspec.json.decode(answer.current)["state"] == "rejected"
        assert hub.story() == ["CommandAccepted", "CommandEnded"]
        assert hub.told() == []


def test_nobody_knows_whether_it_is_online_and_it_may_well_be() -> None:
    hub = Hub(online=True)
    hub.write(presence("unknown", 9))
    assert answers(hub.write(asked())) == []
    assert hub.sent() == ["r1"]


def test_without_a_reply_it_times_out_by_a_tick() -> None:
    hub = Hub(online=True)
    hub.write(asked(ttl=2000))
    hub.time = T0 + 1999
    hub.tick(hub.time)
    assert hub.command().state == "accepted"
    hub.log.clear()
    hub.time = T0 + 2000
    hub.tick(hub.time)
    answer = hub.answered()
    assert (answer.status, answer.code) == (504, "rpc_timed_out")
    assert msgspec.json.decode(answer.current)["request_id"] == "r1"
    assert hub.command().state == "timed_out"
    assert answers(hub.write(reply(mode="rpc"))) == [], "it was answered; the late reply is kept with it"
    view = hub.command()
    assert view.reply is not None
    assert view.reply.late


def test_what_the_broker_does_not_take_is_no_reason_to_wait() -> None:
    hub = Hub(online=True)
    hub.write(asked())
    (answer,) = answers(hub.write(refused()))
    assert (answer.status, answer.code, answer.detail) == (502, "command_failed", "the broker refused it")


def test_it_may_be_cancelled_or_its_device_deleted() -> None:
    hub = Hub(online=True)
    hub.write(asked())
    hub.write(asked(2, "r2"))
    found = answers(hub.write(replace(cancel(), reply_to=ReplyTo(3, "c9"))))
    assert [(one.correlation_id, one.status) for one in found] == [("c1", 409), ("c9", 200)]
    assert found[0].code == "command_cancelled"
    (answer,) = answers(hub.write(delete_device()))
    assert (answer.correlation_id, answer.code) == ("c2", "command_cancelled")
    assert answer.detail == "the device was deleted by tester"


def test_another_connection_is_not_sent_it_again() -> None:
    hub = Hub(online=True)
    hub.write(asked())
    hub.connect()
    hub.wait(1000)
    assert hub.sent() == ["r1"]


def test_it_does_not_wait_behind_commands() -> None:
    hub = Hub(online=False, tells=True)
    for number in range(40):
        hub.write(send(f"q{number}"))
    hub.connect()
    hub.write(asked())
    assert hub.sent()[-1] == "r1"
    assert len(hub.sent()) == 31, "commands are paced"


def test_who_asks_again_with_the_same_key_waits_for_the_same_reply() -> None:
    hub = Hub(online=True)
    for number in range(WAITERS + 2):
        assert answers(hub.write(asked(number, idempotency=idempotent()))) == []
    assert hub.sent() == ["r1"]
    found = answers(hub.write(reply(mode="rpc")))
    assert [one.correlation_id for one in found] == [f"c{number}" for number in range(2, WAITERS + 2)]
    (again,) = answers(hub.write(asked(9, idempotency=idempotent())))
    assert (again.correlation_id, again.status, again.body) == ("c9", 200, found[0].body)


def test_an_end_is_told_again_as_it_was() -> None:
    hub = Hub(online=False)
    (first,) = answers(hub.write(asked(idempotency=idempotent())))
    hub.connect()
    (again,) = answers(hub.write(asked(idempotency=idempotent())))
    assert replace(again, at=first.at) == first, "the same key is the same call, though the device is online by now"
    assert hub.sent() == []


def test_a_large_reply_is_answered_whole() -> None:
    hub = Hub(online=True)
    hub.write(asked())
    (answer,) = answers(hub.write(reply(payload="x" * 100_000, mode="rpc")))
    assert len(msgspec.json.decode(answer.body)["reply"]["payload"]) == 100_000


def test_nobody_waits_for_minutes() -> None:
    hub = Hub(online=True)
    (answer,) = answers(hub.write(asked(ttl=RPC_LONGEST + 1)))
    assert (answer.status, answer.code) == (400, "invalid_ttl")
