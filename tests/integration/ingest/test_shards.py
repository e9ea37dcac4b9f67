"""Shards change hands under load: nothing is lost, doubled or reordered, whoever comes, leaves, dies or sleeps."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Self

import pytest
from msgspec import json

from bench.support.mqtt_load import Load
from devstack.environment import process_environment
from devstack.stack import CHECKOUT, Stack
from tests.support.names import unique
from tests.support.polling import eventually
from tests.support.replicas import Replicas, assert_balanced
from tests.support.uplink import assert_exact, await_stored, messages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENDLESS = 10_000_000
TAKEOVER = 6.0


def shards(*products: str) -> dict[str, str]:
    """A plan with one product in each shard."""
    return {"FLEETLOG_SHARDS": json.encode([[product] for product in products]).decode()}


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Brokers, and the catalog's topics with two shards; no service runs."""
    with Stack(tmp_path_factory.mktemp("shards"), services=()) as stack:
        told = process_environment(stack.env("topics") | shards("a", "b"))
        subprocess.run((sys.executable, "-m", "services.topics"), env=told, cwd=CHECKOUT, check=True, timeout=60)
        yield stack


@pytest.fixture
def products() -> tuple[str, str]:
    """By shard."""
    return unique("bikes"), unique("meters")


@pytest.fixture
def replicas(installation: Stack, products: tuple[str, str], tmp_path: Path) -> Iterator[Replicas]:
    told = shards(*products) | {"FLEETLOG_CLIENT_ID": unique("in"), "FLEETLOG_TAKEOVER": str(TAKEOVER)}
    with Replicas(installation, tmp_path, told) as replicas:
        yield replicas


class Traffic:
    """Messages of the products, in turn, at about 2,000 a second until `end`."""

    def __init__(self, stack: Stack, products: tuple[str, str]) -> None:
        self._enough = threading.Event()
        turns = zip(*(messages(product, ENDLESS) for product in products), strict=True)
        endless = itertools.chain.from_iterable(turns)
        self._load = Load(
            stack.mqtt_internal_port, itertools.takewhile(lambda _: not self._enough.is_set(), endless), pause=0.025
        )

    def __enter__(self) -> Self:
        self._load.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._load.join(60)

    def flows(self) -> None:
        """Returns when some hundred more messages have been published."""
        before = self._load.acknowledged
        eventually(lambda: self._load.acknowledged > before + 500, 30)

    def end(self) -> int:
        """How many were published."""
        self._enough.set()
        return self._load.done()


def await_exact(stack: Stack, products: tuple[str, str], count: int) -> None:
    """Of ``count`` messages of the products in turn, Kafka comes to hold each once, in the order of its device."""
    for at, product in enumerate(products):
        of_product = (count + 1 - at) // 2
        assert_exact(await_stored(stack, product, of_product), of_product)


def has_one_holder(replicas: Replicas, shard: int) -> bool:
    holders = [name for name in "abc" if shard in replicas.held(name)]
    assert len(holders) == 1, holders
    return True


def is_balanced(replicas: Replicas, name: str, shard: int) -> bool:
    assert_balanced(replicas.metrics(name), shard)
    return True


@pytest.mark.timeout(400)
def test_every_way_of_changing_hands_loses_doubles_and_reorders_nothing(
    installation: Stack, replicas: Replicas, products: tuple[str, str]
) -> None:
    replicas.start("a")
    eventually(lambda: replicas.held("a") == {0, 1}, 60)
    with Traffic(installation, products) as traffic:
        traffic.flows()
        replicas.start("b")  # joins: one shard moves, the other is not interrupted
        eventually(lambda: (len(replicas.held("a")), len(replicas.held("b"))) == (1, 1), 60)
        replicas.start("c")
        eventually(lambda: replicas.health("c") == (True, "a standby: other replicas hold every shard"), 60)
        assert replicas.held("c") == set()

        traffic.flows()
        victim = replicas.holder(0, "a", "b")
        replicas.kill(victim, signal.SIGKILL)
        heir = replicas.holder(0, "a", "b", "c")  # which may be the victim, started again

        traffic.flows()
        zombie, process = heir, replicas.pid(heir)
        replicas.kill(zombie, signal.SIGSTOP)
        try:
            heir = replicas.holder(0, *{"a", "b", "c"} - {zombie})
            traffic.flows()
        finally:
            replicas.kill(zombie, signal.SIGCONT)
        eventually(lambda: replicas.health(zombie)[0], 60)
        assert replicas.pid(zombie) == process, "it goes on as a member"
        for shard in (0, 1):
            eventually(partial(has_one_holder, replicas, shard), 60)

        traffic.flows()
        leaver = replicas.holder(0, "a", "b", "c")
        replicas.stop(leaver)
        assert replicas.exit_code(leaver) == 0
        rest = {"a", "b", "c"} - {leaver}
        replicas.holder(0, *rest)
        for name, shard in itertools.product(rest, (0, 1)):
            if shard in replicas.held(name):
                eventually(partial(is_balanced, replicas, name, shard), 30)
        count = traffic.end()
    await_exact(installation, products, count)


def test_a_kafka_that_is_away_for_longer_than_the_tenure_costs_the_connection_and_nothing_else(
    installation: Stack, replicas: Replicas, products: tuple[str, str]
) -> None:
    replicas.start("a")
    eventually(lambda: replicas.held("a") == {0, 1}, 60)
    process = replicas.pid("a")
    with Traffic(installation, products) as traffic:
        traffic.flows()
        installation.kill("kafka", signal.SIGSTOP)
        try:
            eventually(lambda: replicas.held("a") == set(), 60)
            traffic.flows()
        finally:
            installation.kill("kafka", signal.SIGCONT)
        eventually(lambda: replicas.held("a") == {0, 1}, 60)
        traffic.flows()
        count = traffic.end()
    await_exact(installation, products, count)
    for shard in (0, 1):
        eventually(partial(is_balanced, replicas, "a", shard), 30)
    assert replicas.pid("a") == process


def test_a_replica_with_a_lasting_name_is_back_at_once_and_has_it_alone(replicas: Replicas) -> None:
    lasting = {"FLEETLOG_INSTANCE_ID": "ingest-0", "FLEETLOG_TAKEOVER": "1800"}
    replicas.start("a", **lasting)
    eventually(lambda: replicas.held("a") == {0, 1}, 60)
    replicas.kill("a", signal.SIGKILL)
    eventually(lambda: replicas.held("a") == {0, 1}, 60)  # anybody else would wait for half an hour
    replicas.start("b", **lasting)
    eventually(lambda: replicas.exit_code("a") == 2, 60)


def test_a_plan_that_the_topic_does_not_fit_refuses_the_start(replicas: Replicas) -> None:
    replicas.start("a", FLEETLOG_SHARDS="")
    eventually(lambda: replicas.exit_code("a") == 78, 60)
