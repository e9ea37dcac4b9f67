"""What applications ask of the ledger: to send, once, within limits; to cancel."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from libs.runtime.lane.verdicts import Unfit
from libs.topics.codec import InvalidMessage
from libs.topics.messages.base import ReplyTo
from services.commands.limits import DAY, PAYLOAD, QUEUE, REPLIED, Rules
from tests.support.commands.asking import (
    T0,
    cancel,
    idempotent,
    product,
    published,
    register,
    reply,
    send,
)
from tests.support.commands.hub import Hub


def refusal(hub: Hub, message: Any) -> tuple[int, str]:
    row = hub.rows.get(b"p1/d1")
    answer = hub.ask(message)
    assert hub.rows.get(b"p1/d1") is row, "a refusal changes nothing"
    return answer.status, answer.code


# -- how long it waits
def test_it_waits_as_long_as_it_says_or_its_product_or_the_hub() -> None:
    hub = Hub()
    hub.write(send("r1"))
    hub.write(product(DAY))
    hub.write(send("r2"))
    hub.write(send("r3", ttl=1000))
    hub.write(product(None, version=2))
    hub.write(send("r4"))
    found = [view.expires_at - T0 for view in hub.commands().open]
    assert found == [7 * DAY, DAY, 1000, 7 * DAY]


def test_a_product_s_older_version_is_met_again() -> None:
    hub = Hub()
    hub.write(product(1000, version=2))
    hub.write(product(DAY, version=1))
    hub.write(send())
    assert hub.command().expires_at == T0 + 1000


def test_a_product_may_not_say_more_than_the_hub_lets_it() -> None:
    hub = Hub()
    hub.write(product(400 * DAY))
    hub.write(send())
    assert hub.command().expires_at == T0 + 30 * DAY


@pytest.mark.parametrize(("ttl", "said"), [(0, "0"), (-1, "-0.001"), (30 * DAY + 1, "2592000.001")])
def test_no_command_waits_for_no_time_or_for_ever(ttl: int, said: str) -> None:
    assert refusal(Hub(), send(ttl=ttl)) == (400, "invalid_ttl")
    answer = Hub().ask(send(ttl=ttl))
    assert answer.detail == f"{said} s is no time for a command to wait", "in seconds, as applications say it"
    assert "2592000 s" in answer.advice


# -- what is refused
def test_the_device_must_be_registered() -> None:
    hub = Hub(online=None)
    assert refusal(hub, send()) == (404, "unknown_device")
    assert refusal(hub, cancel()) == (404, "unknown_device")
    hub.connect()
    assert refusal(hub, send()) == (404, "unknown_device")


@pytest.mark.parametrize("command", ["$set_ntp", "p2p", "a/b", "", "x" * 65, "two\n"])
def test_some_names_are_no_commands(command: str) -> None:
    assert refusal(Hub(), send(command=command)) == (400, "invalid_name")


@pytest.mark.parametrize("request_id", ["", "a/b", "#"])
def test_some_names_are_no_request_ids(request_id: str) -> None:
    assert refusal(Hub(), send(request_id)) == (400, "invalid_name")


def test_what_is_no_request_and_has_nobody_waiting_is_a_dead_letter() -> None:
    with pytest.raises(Unfit):
        Hub().write(send(command="p2p"))
    with pytest.raises(InvalidMessage):
        Hub().write(replace(send(), reply_to=ReplyTo(100_000, "c")))
    with pytest.raises(InvalidMessage):
        Hub().write(replace(cancel(), reply_to=ReplyTo(100_000, "c")))


def test_a_payload_has_its_limit_in_the_bytes_that_the_device_gets() -> None:
    hub = Hub()
    assert refusal(hub, send(payload="x" * (PAYLOAD - 1))) == (413, "payload_too_large")
    assert hub.ask(send(payload="x" * (PAYLOAD - 2))).status == 202
    assert hub.ask(send("r2", payload="QUFB" * (PAYLOAD // 3), encoding="base64")).status == 202
    assert refusal(hub, send("r3", payload="QUFB" * (PAYLOAD // 3 + 1), encoding="base64")) == (
        413,
        "payload_too_large",
    )


def test_a_device_has_so_many_commands_open_and_no_more() -> None:
    hub = Hub(online=True, rules=Rules(open=2))
    hub.write(send("r1"))
    hub.write(send("r2"))
    hub.write(published("r1"))
    assert refusal(hub, send("r3")) == (429, "queue_full")
    hub.write(reply("r1"))
    assert hub.ask(send("r3")).status == 202


def test_all_payloads_of_a_device_have_their_limit() -> None:
    hub = Hub()
    large = "x" * (PAYLOAD - 2)
    for number in range(QUEUE // PAYLOAD):
        assert hub.ask(send(f"r{number}", payload=large)).status == 202
    assert refusal(hub, send("one-more", payload=1)) == (413, "queue_too_large")


# -- once
def test_the_same_key_sends_once_and_shows_it_as_it_is_by_now() -> None:
    hub = Hub(online=True)
    first = hub.ask(send(idempotency=idempotent()))
    hub.write(published())
    row = hub.row
    again = hub.ask(send(idempotency=idempotent()))
    assert hub.row is row
    assert (first.status, again.status) == (202, 202)
    states = [msgspec.json.decode(answer.body)["state"] for answer in (first, again)]
    assert states == ["accepted", "sent"]
    assert hub.sent() == ["r1"]


def test_the_same_key_for_something_else_is_refused() -> None:
    hub = Hub(online=True)
    hub.ask(send(idempotency=idempotent()))
    assert refusal(hub, send("r2", idempotency=idempotent(fingerprint="f2"))) == (422, "idempotency_key_reused")


def test_the_same_request_id_is_the_same_request() -> None:
    hub = Hub(online=True)
    hub.write(send())
    hub.ask(send())
    assert hub.sent() == ["r1"]


def test_what_is_forgotten_is_not_sent_again_under_its_key() -> None:
    hub = Hub(online=True)
    hub.ask(send("first", idempotency=idempotent()))
    hub.write(reply("first"))
    for number in range(REPLIED):
        hub.write(send(f"r{number}"))
        hub.write(reply(f"r{number}"))
    assert refusal(hub, send("first", idempotency=idempotent())) == (409, "command_over")


def test_a_refusal_is_not_remembered_since_its_reason_may_go() -> None:
    hub = Hub(online=True, rules=Rules(open=1))
    hub.write(send("r1"))
    assert refusal(hub, send("r2", idempotency=idempotent())) == (429, "queue_full")
    hub.write(reply("r1"))
    assert hub.ask(send("r2", idempotency=idempotent())).status == 202


# -- cancel
def test_a_command_that_waits_is_cancelled_and_never_sent() -> None:
    hub = Hub()
    hub.write(send())
    answer = hub.ask(cancel())
    view = msgspec.json.decode(answer.body)
    assert (answer.status, view["state"], view["reason"]) == (200, "cancelled", "cancelled by tester")
    hub.connect()
    assert hub.sent() == []


def test_what_is_over_stays_as_it_is() -> None:
    hub = Hub(online=True)
    hub.write(send())
    hub.write(reply())
    answer = hub.ask(cancel())
    assert (answer.status, answer.code) == (409, "command_over")
    assert msgspec.json.decode(answer.current)["state"] == "replied"


def test_what_was_cancelled_under_a_key_is_shown_under_it() -> None:
    hub = Hub()
    hub.write(send())
    assert hub.ask(cancel(idempotency=idempotent())).status == 200
    assert hub.ask(cancel(idempotency=idempotent())).status == 200
    assert refusal(hub, cancel()) == (409, "command_over")


def test_an_unknown_command_is_not_cancelled() -> None:
    assert refusal(Hub(), cancel()) == (404, "unknown_command")


def test_requests_that_nobody_waits_for_are_carried_out() -> None:
    hub = Hub()
    hub.write(send())
    hub.write(cancel())
    assert hub.story() == ["CommandAccepted", "CommandQueued", "CommandEnded"]
    hub.write(register(version=2))
    assert hub.outcomes[-1] == ("device_registered", "folded")
