"""What applications send to one client is heard by that client alone."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.topics.access import DEVICE, JOINING, may
from libs.topics.messages.registry import ProductDefaults
from libs.topics.p2p import is_client_of, topic_fault, whole

PRODUCTS, DEVICES = ("p", "q"), ("d", "e", "p")
OPEN = msgspec.structs.replace(ProductDefaults(), device_to_device=True)
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
    if topic_fault(topic) is not None:
        return
    full = whole(topic, f"{product}/{device}")
    assert allowed(full, product, device, publish=False)
    for other in ((p, d) for p in PRODUCTS for d in DEVICES):
        assert other == (product, device) or not allowed(full, *other, publish=False)
        assert not allowed(full, *other, publish=True)


@pytest.mark.parametrize("topic", ["notice", "config/units", "a/b/c/d", "a//c", "ä/$b"])
def test_an_application_has_topics_of_its_own(topic: str) -> None:
    assert topic_fault(topic) is None
    assert whole(topic, "p/d") == f"{topic}/p2p/p/d"


@pytest.mark.parametrize(
    "topic",
    [
        *["", "$SYS", "$share/g/a", "a/+", "#", "a/b/c/d/e", "p2p", "a/p2p/q/e", "a/p2p"],
        *["cmd/q/e", "rpc/q/e", "tags/q/t/cmd", "m2m/q", "/sys/q/e/rrpc/request", "/shadow/get"],
        *["upload_data/q", "update_status/q", "cmd_resp/q/e", "get/q", "register/q", "fleetlog/connections"],
    ],
)
def test_those_of_the_hub_and_those_that_nobody_hears_are_refused(topic: str) -> None:
    assert topic_fault(topic) is not None


def test_a_client_is_known_by_its_device() -> None:
    assert is_client_of("plant-7/press-1", "plant-7", "press-1")
    assert is_client_of("GID_X@@@D1", "GID_X", "D1")
    assert not is_client_of("plant-8/press-1", "plant-7", "press-1")
    assert not is_client_of("press-1", "plant-7", "press-1")
