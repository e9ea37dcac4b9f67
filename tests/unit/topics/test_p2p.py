"""What applications send to one client is heard by that client alone."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.topics.access import DEVICE, JOINING, fault, may
from libs.topics.identity import RESERVED_IDS
from libs.topics.messages.registry import AclRule, ProductDefaults
from libs.topics.p2p import is_client_of, topic_fault, whole

PRODUCTS, DEVICES = ("p", "q"), ("d", "e", "p")
OPEN = msgspec.structs.replace(ProductDefaults(), device_to_device=True)
WIDEST = tuple(AclRule("subscribe", f"{name}/{{product}}/#") for name in ("a", "p", "q", "d"))
"""All that a product may open of the topics below."""
LEVELS = st.sampled_from(
    [
        "a",
        "",
        "p2p",
        "p",
        "q",
        "d",
        "$x",
        "é",
        *{level for rule in (*DEVICE, *JOINING) for level in rule.topic.split("/")},
    ]
)


def allowed(topic: str, product: str, device: str, *, publish: bool) -> bool:
    return may("publish" if publish else "subscribe", topic, product, device, tags=("t",), defaults=OPEN)


@given(
    levels=st.lists(LEVELS, min_size=1, max_size=6), product=st.sampled_from(PRODUCTS), device=st.sampled_from(DEVICES)
)
def test_nobody_else_may_hear_it_and_no_device_may_say_it(levels: list[str], product: str, device: str) -> None:
    topic = "/".join(levels)
    if topic_fault(topic, product) is not None:
        return
    full = whole(topic, f"{product}/{device}")
    assert allowed(full, product, device, publish=False)
    for other in ((p, d) for p in PRODUCTS for d in DEVICES):
        assert other == (product, device) or not allowed(full, *other, publish=False)
        assert not allowed(full, *other, publish=True)


@given(levels=st.lists(LEVELS, min_size=1, max_size=4), product=st.sampled_from(PRODUCTS))
def test_no_rules_of_another_product_let_its_devices_hear_it(levels: list[str], product: str) -> None:
    assert [fault(rule) for rule in WIDEST] == [None] * len(WIDEST)
    topic, wide = "/".join(levels), msgspec.structs.replace(OPEN, acl=WIDEST)
    if topic_fault(topic, product) is None:
        full = whole(topic, f"{product}/d")
        for other in {"p", "q", "a", "d"} - {product}:
            assert not may("subscribe", full, other, "e", tags=(), defaults=wide)


def test_a_product_hears_what_it_opens_to_itself_and_no_product_is_called_as_the_level_that_ends_a_topic() -> None:
    wide = msgspec.structs.replace(OPEN, acl=WIDEST)
    assert may("subscribe", whole("a/p", "p/d"), "p", "e", tags=(), defaults=wide)
    assert topic_fault("a", "q") is None
    assert may("subscribe", whole("a", "q/e"), "p2p", "d", tags=(), defaults=wide)
    assert "p2p" in RESERVED_IDS


@pytest.mark.parametrize("topic", ["notice", "config/p", "a/p/c/d", "a/p//d", "ä/p/$b"])
def test_an_application_has_topics_of_its_own(topic: str) -> None:
    assert topic_fault(topic, "p") is None
    assert whole(topic, "p/d") == f"{topic}/p2p/p/d"


@pytest.mark.parametrize(
    "topic",
    [
        *["", "$SYS", "$share/g/a", "a/+", "#", "a/b/c/d/e", "p2p", "a/p2p/q/e", "a/p2p"],
        *["cmd/q/e", "rpc/q/e", "tags/q/t/cmd", "m2m/q", "/sys/q/e/rrpc/request", "/shadow/get"],
        *["a/q", "a/b", "a//c", "ä/$b", "a/q/p", "a/P"],
        *["upload_data/q", "update_status/q", "cmd_resp/q/e", "get/q", "register/q", "fleetlog/connections"],
    ],
)
def test_those_of_the_hub_and_those_that_nobody_hears_are_refused(topic: str) -> None:
    assert topic_fault(topic, "p") is not None


def test_a_client_is_known_by_its_device() -> None:
    assert is_client_of("plant-7/press-1", "plant-7", "press-1")
    assert is_client_of("GID_X@@@D1", "GID_X", "D1")
    assert not is_client_of("plant-8/press-1", "plant-7", "press-1")
    assert not is_client_of("press-1", "plant-7", "press-1")
