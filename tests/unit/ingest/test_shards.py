"""Every message belongs to exactly one shard's session, through exactly one filter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.routes import ROUTES
from services.ingest.shards import FILTERS, filters
from tests.support.filters import covers

EVENTS = ("$SYS/broker/log/N",)
TOPICS = [
    "/".join(
        level if "{" not in level else "{product}" if "product_id" in level else "x"
        for level in route.template.replace("{mode:cmd|rpc}", mode).split("/")
    )
    for route in ROUTES
    for mode in ("cmd", "rpc")
]
PRODUCT = st.sampled_from(["bikes", "bikes2", "get", "x", "meters", "Z_-1"])
PLANS = st.lists(PRODUCT, min_size=1, unique=True).flatmap(
    lambda products: st.lists(st.integers(0, 2), min_size=len(products), max_size=len(products)).map(
        lambda shards: tuple(
            found
            for shard in range(3)
            if (found := tuple(p for p, s in zip(products, shards, strict=True) if s == shard))
        )
    )
)


@given(PLANS, PRODUCT, st.sampled_from(TOPICS))
def test_a_topic_has_one_filter_of_its_products_shard_and_none_elsewhere(
    plan: tuple[tuple[str, ...], ...], product: str, topic: str
) -> None:
    found = [
        shard
        for shard in range(len(plan))
        for pattern in filters(plan, shard, EVENTS)
        if covers(pattern, topic.replace("{product}", product))
    ]
    assert found == [shard for shard, products in enumerate(plan) if product in products]


def test_one_shard_of_everything_has_the_wide_filters() -> None:
    assert filters(((),), 0, EVENTS) == (*FILTERS, *EVENTS)


def test_the_first_shard_alone_hears_of_connections() -> None:
    plan = (("a",), ("b",))
    assert filters(plan, 0, EVENTS)[-1:] == EVENTS
    assert not set(filters(plan, 1, EVENTS)) & set(EVENTS)


@pytest.mark.parametrize(
    ("pattern", "narrow"),
    [
        ("upload_data/#", "upload_data/bikes/#"),
        ("/shadow/+/+/update", "/shadow/bikes/+/update"),
        ("/shadow/update/#", "/shadow/update/bikes/#"),
        ("/sys/+/+/rrpc/response/#", "/sys/bikes/+/rrpc/response/#"),
    ],
)
def test_the_first_wildcard_gives_way_to_the_product(pattern: str, narrow: str) -> None:
    assert narrow in filters((("bikes",),), 0, ())
    assert pattern in FILTERS
