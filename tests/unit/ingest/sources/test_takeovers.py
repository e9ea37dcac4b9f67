"""What brokers say about a takeover, in whichever order, ends in the right presence."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import msgspec
import pytest

from libs.topics.codec import Decoder
from services.ingest.parse import Parser
from services.ingest.sources.emqx import Emqx
from services.ingest.sources.relay import Relay
from services.ingest.sources.rmqtt import Rmqtt
from services.presence.step import Event
from tests.support.presence.hub import Hub

T = 1_795_260_000_000
EMQX = Parser(Emqx(("emqx@a",), 1), 10_000, Relay())
RMQTT = Parser(Rmqtt(("1",), 1), 10_000)
decode: Decoder[Any] = Decoder(Event)
Message = tuple[Parser, str, dict[str, Any]]


def emqx(what: str, at: int, **own: Any) -> Message:
    time = {"connected_at" if what == "connected" else "disconnected_at": T + at}
    return EMQX, f"$SYS/brokers/emqx@a/clients/c1/{what}", {"clientid": "c1", "username": "p1/d1"} | time | own


def rule(what: str, at: int, **own: Any) -> Message:
    _, _, fields = emqx(what, at, **own)
    return EMQX, "fleetlog/connections/emqx-rule/x", fields | {"event": f"client.{what}", "node": "emqx@a"}


def rmqtt(what: str, at: int, **own: Any) -> Message:
    _, _, fields = emqx(what, at, **own)
    return RMQTT, f"$SYS/brokers/1/clients/c1/{what}", fields | {"ipaddress": "192.0.2.7:1", "node": 1}


def fold(*messages: Message) -> Hub:
    hub = Hub()
    for packet_id, (parse, topic, fields) in enumerate(messages, 1):
        parsed = parse(topic, msgspec.json.encode(fields), packet_id, T + 10_000 + packet_id)
        assert isinstance(parsed, tuple)
        (record,) = parsed
        hub.apply(decode(record.value), key=record.key)
    return hub


def shown(hub: Hub) -> tuple[str, list[str]]:
    session = hub.documents[b"p1/d1"].session
    return session.state, [channel.channel_id for channel in session.channels]


ENDS = [
    (emqx, "takenover", {}),
    (emqx, "takeovered", {}),
    (emqx, "discarded", {}),
    (rule, "takenover", {"connected_at": T}),
    (rule, "discarded", {}),
    (rmqtt, "Kicked", {}),
    (rmqtt, "ConnectKicked(false)", {}),
]
ends = pytest.mark.parametrize(("told", "reason", "own"), ENDS)


def second(told: Any) -> list[str]:
    return [f"{T + 2000}-1" if told is rmqtt else f"{T + 2000}-emqx@a"]


@ends
@pytest.mark.parametrize("ended_at", [1990, 2000, 2010])
@pytest.mark.parametrize("connect_first", [False, True])
def test_after_a_takeover_the_newer_connection_is_open(
    told: Any, reason: str, own: dict[str, Any], ended_at: int, connect_first: bool
) -> None:
    took = [told("disconnected", ended_at, reason=reason, **own), told("connected", 2000)]
    hub = fold(told("connected", 0), *(reversed(took) if connect_first else took))
    assert shown(hub) == ("online", second(told))
    # A close that names its connection ends it at once, also before the newer one is told.
    between = ["offline"] if own.get("connected_at") and not connect_first else []
    assert [changed.new for changed in hub.transitions] == ["online", *between, "online"]


@ends
def test_messages_that_change_places_change_nothing(told: Any, reason: str, own: dict[str, Any]) -> None:
    story = [
        told("connected", 0),
        told("disconnected", 2005, reason=reason, **own),
        told("connected", 2000),
    ]
    for order in permutations(story):
        assert shown(fold(*order)) == ("online", second(told))
    for order in permutations([*story, told("disconnected", 5000, reason="tcp_closed")]):
        assert shown(fold(*order)) == ("offline", [])


@ends
def test_the_newer_connection_ends_by_itself(told: Any, reason: str, own: dict[str, Any]) -> None:
    lost = told("disconnected", 5000, reason="keepalive_timeout")
    hub = fold(told("connected", 0), told("connected", 2000), told("disconnected", 2005, reason=reason, **own), lost)
    assert shown(hub) == ("offline", [])
    assert hub.transitions[-1].cause == "connection_lost"


@pytest.mark.parametrize(("told", "reason"), [(emqx, "kicked"), (rmqtt, "ByAdminKick")])
def test_an_administrators_kick_ends_the_connection(told: Any, reason: str) -> None:
    hub = fold(told("connected", 0), told("disconnected", 500, reason=reason))
    assert shown(hub) == ("offline", [])


@pytest.mark.parametrize(("told", "reason"), [(emqx, "normal"), (rmqtt, "Disconnect")])
def test_a_goodbye_is_told_from_a_lost_connection(told: Any, reason: str) -> None:
    hub = fold(told("connected", 0), told("disconnected", 500, reason=reason))
    assert hub.transitions[-1].cause == "disconnected"


def test_a_close_that_names_an_older_connection_leaves_the_newer_one_open() -> None:
    """Without ``connected_at``, a close later than the newest connect could only mean that one."""
    hub = fold(rule("connected", 0), rule("connected", 2000), rule("disconnected", 3000, reason="x", connected_at=T))
    assert shown(hub) == ("online", second(rule))


def test_a_reconnect_within_the_second_of_a_close_stays_open() -> None:
    """Early versions give the connect in whole seconds, the close in milliseconds: ``ts`` puts them in order."""
    seconds = {"connected_at": T // 1000}
    story = [
        emqx("connected", 0, **seconds | {"ts": T + 10}),
        emqx("disconnected", 500, reason="tcp_closed"),
        emqx("connected", 0, **seconds | {"ts": T + 510}),
    ]
    for order in permutations(story):
        assert shown(fold(*order)) == ("online", [f"{T + 510}-emqx@a"])


def test_two_forms_of_the_same_connection_are_one_channel() -> None:
    hub = fold(emqx("connected", 0), rule("connected", 0), emqx("disconnected", 500, reason="normal"))
    assert shown(hub) == ("offline", [])
    hub = fold(emqx("connected", 0), rule("connected", 0), rule("connected", 0))
    assert shown(hub) == ("online", [f"{T}-emqx@a"])
