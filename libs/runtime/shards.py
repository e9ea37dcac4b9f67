"""The setting that says how many MQTT sessions ingest has and which products each one takes.

Two services read it and must be told the same: ``ingest``, and ``topics``, which makes one partition per shard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta, structs

from libs.topics import catalog
from libs.topics.identity import is_name
from libs.topics.names import INGEST_SHARDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.topics.catalog import Topic

Plan: TypeAlias = tuple[tuple[str, ...], ...]
"""Product ids by shard. No products: the shard takes those of every product, and is the only one."""

WHOLE: Final[Plan] = ((),)
"""One shard that takes everything."""
AMBIGUOUS: Final = "update"
"""A product of this name would share ``/shadow/update/…`` with the other form of every product's shadow topic."""

Shards: TypeAlias = Annotated[
    str,
    Meta(
        description='Product ids by MQTT session (shard) as JSON, such as `[["bikes","scooters"],["meters"]]`; empty: '
        "one session for everything. Messages of a product that is named nowhere are taken by nobody. The same for "
        "`ingest` and `topics`."
    ),
]


def parse(text: str) -> Plan:
    """Raises ValueError (msgspec's errors are one) where it is not a list of lists of texts."""
    return msgspec.json.decode(text, type=Plan) if text.strip() else WHOLE


def topics(text: str) -> list[Topic]:
    """Return the catalog's topics as an installation with this plan wants them: one has a partition per shard.

    Raises as `parse`.
    """
    count = len(parse(text))
    return [
        structs.replace(topic, partitions=count) if topic.name == INGEST_SHARDS else topic for topic in catalog.TOPICS
    ]


def faults(text: str) -> Iterator[str]:
    """What is wrong with a plan, in sentences that go on after the variable's name. Quotes no value."""
    if not text.strip():
        return
    try:
        plan = parse(text)
    except ValueError:
        yield 'must be JSON: a list of lists of product ids, such as [["a","b"],["c"]]'
        return
    if not plan:
        yield "names no shard: leave it empty for one session that takes everything"
    seen = set[str]()
    for number, products in enumerate(plan):
        if not products:
            yield f"has no product in shard {number}: MQTT has no filter for all that the others do not take"
        for at, product in enumerate(products, 1):
            where = f"product {at} of shard {number}"
            if not is_name(product):
                yield f"has as {where} what is no product id: 1 to 64 of A-Z a-z 0-9 _ -"
            elif product == AMBIGUOUS:
                yield f"has as {where} a name that the shadow topics use themselves"
            elif product in seen:
                yield f"names {where} a second time: a product has one shard"
            seen.add(product)
