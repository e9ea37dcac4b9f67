"""What the device publishes is what ingest reads; what the hub publishes is what the device reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetlog_device.errors import InvalidName, ReservedName
from fleetlog_device.names import NAME, check, check_client_id, check_identity
from fleetlog_device.topics import CommandTopic, MessageTopic, PeerTopic, ProbeTopic, ShadowTopic, Topics
from libs.topics import identity
from libs.topics.access import DOWNLINK, filled, may
from libs.topics.messages.registry import ProductDefaults
from services.ingest.routes import ROUTES

TOPICS = Topics("p", "d", "p/d")
NAMES = st.from_regex(NAME, fullmatch=True)


def uplinks() -> list[str]:
    return [
        TOPICS.upload("t", "m"),
        TOPICS.upload("$shadow_updated", "m"),
        TOPICS.upload("$shadow_reported", "m"),
        TOPICS.status("m"),
        TOPICS.reply("cmd", "c", "r", "m"),
        TOPICS.reply("rpc", "c", "r", "m"),
        TOPICS.request("resource", "m"),
        TOPICS.request("$ntp", "m"),
        TOPICS.request("$tags", "m"),
        TOPICS.request("$shadow", "m"),
        TOPICS.upgrade_progress("m"),
        TOPICS.message("other", "m"),
        TOPICS.shadow(),
        TOPICS.probe_answer("m"),
    ]


def test_every_uplink_has_exactly_one_route_and_every_route_but_the_alias_has_an_uplink() -> None:
    used = [[route for route in ROUTES if route.fullmatch(topic)] for topic in uplinks()]
    assert [len(routes) for routes in used] == [1] * len(used)
    unused = {route.template for route in ROUTES} - {routes[0].template for routes in used}
    assert unused == {"/shadow/update/{product_id}/{device_id!update}"}


def test_the_standing_subscriptions_are_what_the_broker_lets_a_device_read() -> None:
    readable = {filled(rule.topic, "p", "d").replace("{tag}", "red") for rule in DOWNLINK}
    subscribed = {*TOPICS.standing(), TOPICS.tag("red")}
    assert readable - subscribed == {"/shadow/get/p/d"}, "the alias of a topic that is subscribed to"
    assert subscribed <= readable


def test_a_device_may_publish_all_that_the_client_publishes() -> None:
    defaults = ProductDefaults(device_to_device=True)
    assert [topic for topic in uplinks() if not may("publish", topic, "p", "d", tags=(), defaults=defaults)] == []


@pytest.mark.parametrize(
    ("topic", "read"),
    [
        ("cmd/p/d/unlock/plain/r1/1560432197", CommandTopic("cmd", None, "unlock", "plain", "r1", 1560432197)),
        ("cmd/p/d/unlock/base64/r1", CommandTopic("cmd", None, "unlock", "base64", "r1", None)),
        ("rpc/p/d/unlock/plain/r1/1", CommandTopic("rpc", None, "unlock", "plain", "r1", 1)),
        ("cmd/p/d/$set_ntp/plain/r1", CommandTopic("cmd", None, "$set_ntp", "plain", "r1", None)),
        ("tags/p/line-3/cmd/reboot/plain/r1", CommandTopic("cmd", "line-3", "reboot", "plain", "r1", None)),
        ("m2m/p/d/other/m1", MessageTopic("other", "m1")),
        ("a/p2p/p/d", PeerTopic("a")),
        ("a/b/c/d/p2p/p/d", PeerTopic("a/b/c/d")),
        ("/shadow/p/d/get", ShadowTopic()),
        ("/shadow/get/p/d", ShadowTopic()),
        ("/sys/p/d/rrpc/request/m1", ProbeTopic("m1")),
    ],
)
def test_what_the_hub_sends_is_read(topic: str, read: object) -> None:
    assert TOPICS.read(topic) == read


@pytest.mark.parametrize(
    "topic",
    [
        "cmd/p/other/unlock/plain/r1",
        "cmd/q/d/unlock/plain/r1",
        "cmd/p/d/unlock/zip/r1",
        "cmd/p/d/unlock/plain",
        "cmd/p/d/unlock/plain/r1/soon",
        "cmd/p/d/unlock/plain/r1/-1",
        "cmd/p/d/unlock/plain/r1/²",
        "cmd/p/d/unlock/plain/r1/1/2",
        "cmd/p/d//plain/r1",
        "cmd/p/d/$$/plain/r1",
        "tags/q/line-3/cmd/reboot/plain/r1",
        "tags/p/line-3/rpc/reboot/plain/r1",
        "m2m/p/d/a b/m1",
        "p2p/p/d",
        "a/p2p/p/other",
        "",
    ],
)
def test_nothing_else_is(topic: str) -> None:
    assert TOPICS.read(topic) is None


@given(st.sampled_from(["cmd", "rpc"]), NAMES, st.sampled_from(["plain", "base64"]), NAMES, st.integers(0, 10**12))
def test_any_command_is_read_back(mode: str, command: str, encoding: str, request: str, expires_at: int) -> None:
    read = TOPICS.read(f"{mode}/p/d/{command}/{encoding}/{request}/{expires_at}")
    assert read == CommandTopic(mode, None, command, encoding, request, expires_at)  # type: ignore[arg-type]


@given(st.text(max_size=80))
def test_no_topic_can_break_the_reader(text: str) -> None:
    TOPICS.read(text)
    TOPICS.read(f"cmd/p/d/{text}")


def test_names_are_the_hub_s() -> None:
    assert NAME.pattern == identity.NAME.pattern


@pytest.mark.parametrize("name", ["", "a/b", "+", "#", "a b", "ä", "а", "a\n", "a" * 65, "a\0"])  # noqa: RUF001 - a look-alike
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidName, match="1 to 64"):
        check(name, "tag")


@pytest.mark.parametrize("name", ["$ntp", "$", "$shadow_reported"])
def test_the_hub_s_names_are_refused_from_applications(name: str) -> None:
    with pytest.raises(ReservedName, match="the hub's own"):
        check(name, "data type")


@pytest.mark.parametrize("client_id", ["", "a/#", "+", "a\0"])
def test_a_client_id_that_is_a_filter_is_refused(client_id: str) -> None:
    with pytest.raises(InvalidName, match="client id"):
        check_client_id(client_id)


@pytest.mark.parametrize("pair", [("update", "d"), ("p", "get")])
def test_levels_of_the_shadow_topics_are_no_devices(pair: tuple[str, str]) -> None:
    with pytest.raises(ReservedName, match="shadow"):
        check_identity(*pair)
