"""What a device may do: exactly the list of the protocol, and a filter is allowed iff all that it matches is."""

from __future__ import annotations

from itertools import product as combinations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from libs.topics.access import (
    DEVICE,
    MAX_LEVELS,
    Action,
    Rule,
    fault,
    filled,
    includes,
    is_filter,
    is_topic,
    may,
    may_join,
    p2p_of,
    rules,
)
from libs.topics.messages.registry import AclRule, ProductDefaults
from tests.support.filters import covers

PLAIN = ProductDefaults()
OPEN = ProductDefaults(
    device_to_device=True,
    acl=(AclRule("publish", "logs/{product}/{device}/#"), AclRule("subscribe", "news/{product}/+")),
)

ALLOWED: list[tuple[Action, str]] = [
    ("publish", "upload_data/p/d/metrics/m1"),
    ("publish", "upload_data/p/d/$shadow_reported/m1"),
    ("publish", "update_status/p/d/m1"),
    ("publish", "cmd_resp/p/d/unlock/r1/m1"),
    ("publish", "rpc_resp/p/d/unlock/r1/m1"),
    ("publish", "get/p/d/$ntp/m1"),
    ("publish", "update_ota_status/p/d/m1"),
    ("publish", "/shadow/p/d/update"),
    ("publish", "/shadow/update/p/d"),
    ("publish", "/sys/p/d/rrpc/response/m1"),
    ("subscribe", "cmd/p/d/+/+/+/#"),
    ("subscribe", "cmd/p/d/unlock/plain/+/#"),
    ("subscribe", "cmd/p/d/+/plain/+"),
    ("subscribe", "rpc/p/d/+/+/+/#"),
    ("subscribe", "tags/p/red/cmd/+/+/+/#"),
    ("subscribe", "/shadow/p/d/get"),
    ("subscribe", "/shadow/get/p/d"),
    ("subscribe", "/sys/p/d/rrpc/request/+"),
    ("subscribe", "any/p2p/p/d"),
    ("subscribe", "+/+/+/+/p2p/p/d"),
]
FORBIDDEN: list[tuple[Action, str]] = [
    ("publish", "upload_data/p/other/metrics/m1"),
    ("publish", "upload_data/q/d/metrics/m1"),
    ("publish", "upload_data/p/d/metrics"),
    ("publish", "upload_data/p/d/metrics/m1/more"),
    ("publish", "upload_data/p/d/+/m1"),
    ("publish", "upload_data/p/d/#"),
    ("publish", "upload_data/p/d/metrics/m\0"),
    ("publish", "upload_data/p\u200b/d/metrics/m1"),
    ("publish", "update_status/p/d"),
    ("publish", "cmd/p/d/unlock/plain/r1"),
    ("publish", "m2m/p/other/d/m1"),
    ("publish", "logs/p/d/x"),
    ("publish", "register/p/d/m1"),
    ("publish", "fleetlog/connections/aliyun/x"),
    ("publish", "$SYS/broker/log/N"),
    ("publish", "$share/g/upload_data/p/d/metrics/m1"),
    ("publish", "x/p2p/p/d"),
    ("publish", "cmd_resp/p/d/p2p/q/e"),  # which q/e may read
    ("publish", "rpc_resp/p/d/p2p/q/e"),
    ("publish", ""),
    ("subscribe", "#"),
    ("subscribe", "+/#"),
    ("subscribe", "/#"),
    ("subscribe", "+"),
    ("subscribe", "cmd/#"),
    ("subscribe", "cmd/p/d/#"),  # more than commands: what may come to be below it
    ("subscribe", "cmd/p/d/unlock/plain/#"),  # ... # means its parent too
    ("subscribe", "cmd/p/+/+/+/+/#"),
    ("subscribe", "cmd/+/d/+/+/+/#"),
    ("subscribe", "cmd/p/other/+/+/+/#"),
    ("subscribe", "tags/p/blue/cmd/+/+/+/#"),
    ("subscribe", "tags/p/+/cmd/+/+/+/#"),
    ("subscribe", "tags/q/red/cmd/+/+/+/#"),
    ("subscribe", "m2m/p/d/+/+"),
    ("subscribe", "news/p/today"),
    ("subscribe", "upload_data/p/d/+/+"),
    ("subscribe", "registered/p/d/m1"),
    ("subscribe", "$SYS/#"),
    ("subscribe", "$share/g/cmd/p/d/+/+/+/#"),
    ("subscribe", "$queue/cmd/p/d/+/+/+/#"),
    ("subscribe", "$exclusive/cmd/p/d/+/+/+/#"),
    ("subscribe", "+/p2p/p/other"),
    ("subscribe", "#/p2p/p/d"),
    ("subscribe", "cmd/p/d/+/+/+/#/x"),
    ("subscribe", "cmd/p/d/a+/+/+/#"),
    ("subscribe", ""),
]


@pytest.mark.parametrize(("action", "topic"), ALLOWED)
def test_the_protocol_s_list_is_allowed(action: Action, topic: str) -> None:
    assert may(action, topic, "p", "d", tags=("red",), defaults=PLAIN)


@pytest.mark.parametrize(("action", "topic"), FORBIDDEN, ids=ascii)
def test_nothing_else_is_allowed(action: Action, topic: str) -> None:
    assert not may(action, topic, "p", "d", tags=("red",), defaults=PLAIN)


@pytest.mark.parametrize(
    ("action", "topic"),
    [
        ("publish", "m2m/p/other/d/m1"),
        ("subscribe", "m2m/p/d/+/+"),
        ("publish", "logs/p/d"),
        ("publish", "logs/p/d/x/y"),
        ("subscribe", "news/p/today"),
        ("subscribe", "news/p/+"),
    ],
)
def test_what_a_product_says_besides_is_allowed(action: Action, topic: str) -> None:
    assert may(action, topic, "p", "d", tags=(), defaults=OPEN)


@pytest.mark.parametrize(
    ("action", "topic"),
    [
        ("publish", "m2m/p/other/third/m1"),  # the sender is who it is
        ("subscribe", "m2m/p/other/+/+"),
        ("publish", "logs/p/other/x"),
        ("publish", "logs/q/d/x"),
        ("subscribe", "news/q/today"),
        ("subscribe", "news/p/#"),
        ("publish", "news/p/today"),
    ],
)
def test_and_no_more_than_it_says(action: Action, topic: str) -> None:
    assert not may(action, topic, "p", "d", tags=(), defaults=OPEN)


def test_a_rule_of_the_list_allows_itself() -> None:
    for rule in DEVICE:
        topic = rule.topic.format(product="p", device="d", tag="red")
        if rule.action == "subscribe":
            assert may("subscribe", topic, "p", "d", tags=("red",), defaults=OPEN)
        for defaults, conditional in ((OPEN, False), (PLAIN, rule.when == "device_to_device")):
            concrete = topic.replace("/#", "").replace("+", "x")
            assert may(rule.action, concrete, "p", "d", tags=("red",), defaults=defaults) is not conditional


def test_a_joining_device_may_ask_and_wait_for_its_own_answer() -> None:
    assert may_join("publish", "register/p/d/m1", "p")
    assert may_join("subscribe", "registered/p/d/m1", "p")
    others: list[tuple[Action, str]] = [
        ("publish", "register/q/d/m1"),
        ("publish", "registered/p/d/m1"),
        ("publish", "upload_data/p/$register/metrics/m1"),
        ("subscribe", "registered/p/+/+"),
        ("subscribe", "registered/p/d/+"),
        ("subscribe", "registered/p/d/#"),
        ("subscribe", "registered/q/d/m1"),
        ("subscribe", "register/p/d/m1"),
        ("subscribe", "$share/g/registered/p/d/m1"),
    ]
    for action, topic in others:
        assert not may_join(action, topic, "p")


@pytest.mark.parametrize(
    "topic",
    ["logs/{product}/{device}/#", "news/{product}/+", "a/{product}/b/c", "cmd/{product}/+/+/+/+/#", "x/{product}"],
)
def test_an_extra_rule_stays_within_its_product(topic: str) -> None:
    assert fault(AclRule("subscribe", topic)) is None


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "#",
        "+/{product}/#",
        "cmd/other/#",
        "cmd/+/{product}/#",
        "cmd/{device}/{product}/#",
        "$SYS/{product}/#",
        "$share/{product}/#",
        "registered/{product}/#",
        "register/{product}/x/y",
        "fleetlog/{product}/aliyun/x",
        "news/{product}/#/more",
        "news/{product}/a+",
        "news/{product}/{tag}",
        "news/{product}/x{device}",
        "news/{product}/\ntopic readwrite #",
        "news/{product}/a b",
        "news/{product}/\0",
        "news/{product}/",
        "news/{product}x/a",
        "news/{product}" + "/a" * (MAX_LEVELS - 1),
    ],
)
def test_an_extra_rule_that_reaches_further_is_faulty(topic: str) -> None:
    assert fault(AclRule("publish", topic)) is not None


levels = st.sampled_from(["a", "b", "+"])
filters = st.builds(
    lambda body, rest: "/".join([*body, *rest]),
    st.lists(levels, min_size=1, max_size=3),
    st.sampled_from([[], ["#"]]),
) | st.just("#")
TOPICS = ["/".join(topic) for depth in (1, 2, 3, 4, 5) for topic in combinations("abc", repeat=depth)]
"""All there are, as far as filters of up to four levels and two names can tell: ``c`` stands for any other name."""


@given(st.lists(filters, max_size=6), filters)
def test_a_filter_is_included_iff_all_that_it_matches_is(allowed: list[str], wanted: str) -> None:
    matched = [topic for topic in TOPICS if covers(wanted, topic)]
    brute = all(any(covers(each, topic) for each in allowed) for topic in matched)
    assert includes([each.split("/") for each in allowed], wanted.split("/")) is brute


@given(st.text(st.sampled_from("ab/+#$\0"), max_size=8))
def test_what_is_a_topic_is_a_filter_that_matches_itself_alone(text: str) -> None:
    if is_topic(text):
        assert is_filter(text)
        assert includes([text.split("/")], text.split("/"))
    if is_filter(text):
        levels = text.split("/")
        assert all(level in {"+", "#"} or not set(level) & {"+", "#"} for level in levels)
        assert "#" not in levels[:-1]
        assert "\0" not in text
        assert is_topic(text) is not bool({"+", "#"} & set(text))


words = st.sampled_from(["a", "b", "cmd", "plain", "upload_data", "x"])
pairs = st.tuples(words, words)
levels = words | st.just("p2p")
TALK = ProductDefaults(
    device_to_device=True,
    acl=(
        AclRule("publish", "logs/{product}/#"),
        AclRule("publish", "x/{product}/+/+/+"),
        AclRule("publish", "y/{product}/{device}/p2p/+/+"),
    ),
)


@given(pairs, pairs, st.lists(levels, min_size=1, max_size=4), st.data())
def test_no_device_publishes_to_the_client_id_of_another(
    one: tuple[str, str], other: tuple[str, str], ahead: list[str], data: st.DataObject
) -> None:
    """Neither by `may` nor, where a broker has the list, by a rule without its denials."""
    rule = data.draw(st.sampled_from([rule for rule in rules((), TALK) if rule.action == "publish"]))
    own = filled(rule.topic, *one).split("/")
    topic = [
        *(a if b in {"+", "#"} else b for a, b in zip(ahead, own, strict=False)),
        *ahead[len(own) :],
        "p2p",
        *other,
    ]
    assert not may("publish", "/".join(topic), *one, tags=(), defaults=TALK)
    if covers("/".join(own), "/".join(topic)):
        assert any(covers(filled(denied, *one), "/".join(topic)) for denied in p2p_of(rule))


@given(pairs, pairs, st.lists(words, min_size=4, max_size=4), st.sampled_from(DEVICE))
def test_no_device_hears_what_another_says_or_is_told(
    one: tuple[str, str], other: tuple[str, str], rest: list[str], rule: Rule
) -> None:
    """Whatever they and their messages are called; unless it is meant for it: m2m, p2p and common tags."""
    assume(one != other and rule.when is None and "/p2p/" not in rule.topic)
    filling = iter(rest)
    topic = rule.topic.format(product=other[0], device=other[1]).replace("/#", "")
    concrete = "/".join(next(filling) if level == "+" else level for level in topic.split("/"))
    assert not may("subscribe", concrete, *one, tags=("a",), defaults=PLAIN)
    if rule.action == "publish":
        assert not may("publish", concrete, *one, tags=("a",), defaults=PLAIN)
