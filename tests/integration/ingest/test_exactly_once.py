"""Nothing acknowledged is lost, doubled or reordered per device, whatever ends in between."""

from __future__ import annotations

import itertools
import signal
from functools import partial
from typing import TYPE_CHECKING

from bench.support.mqtt_load import Load
from tests.support.names import unique
from tests.support.polling import eventually
from tests.support.uplink import assert_exact, await_stored, is_balanced, messages, metrics

if TYPE_CHECKING:
    from devstack.stack import Stack


def end_repeatedly(stack: Stack, load: Load, number: signal.Signals, times: int, every: int) -> None:
    """Sends the signal whenever ``every`` more messages were published, the process being up."""
    for turn in range(1, times + 1):
        eventually(partial(has_published, load, turn * every), 60)
        process = eventually(lambda: stack.pid("ingest"), 30)
        stack.kill("ingest", number)
        eventually(partial(is_restarted, stack, "ingest", process), 30)


def has_published(load: Load, count: int) -> bool:
    assert load.acknowledged >= count, load.acknowledged
    return True


def is_restarted(stack: Stack, name: str, before: int | None) -> bool:
    return stack.pid(name) not in {None, before}


def test_kill_9_under_load_loses_and_doubles_nothing(stack: Stack) -> None:
    product, count = unique("kill"), 25_000
    before = stack.restarts("ingest")
    with Load(stack.mqtt_internal_port, messages(product, count), pause=0.005) as load:
        end_repeatedly(stack, load, signal.SIGKILL, times=4, every=5_000)
        assert load.done() == count
    assert_exact(await_stored(stack, product, count), count)
    assert stack.restarts("ingest") == before + 4
    eventually(lambda: is_balanced(stack), 30)


def test_an_orderly_end_under_load_loses_and_doubles_nothing(stack: Stack) -> None:
    product, count = unique("term"), 10_000
    with Load(stack.mqtt_internal_port, messages(product, count), pause=0.005) as load:
        end_repeatedly(stack, load, signal.SIGTERM, times=1, every=5_000)
        assert load.done() == count
    assert_exact(await_stored(stack, product, count), count)


def test_identical_messages_survive_a_kill_each_for_itself(stack: Stack) -> None:
    """Only the packet id tells them apart, so a filter that looks at content alone would lose some."""
    product, count = unique("same"), 10_000
    same = itertools.repeat((f"upload_data/{product}/d0/t/m", b'{"n":0}'), count)
    with Load(stack.mqtt_internal_port, same, pause=0.005) as load:
        end_repeatedly(stack, load, signal.SIGKILL, times=2, every=3_000)
        assert load.done() == count
    assert await_stored(stack, product, count) == {"d0": [0] * count}


def test_a_frozen_kafka_holds_messages_up_and_nothing_else(stack: Stack) -> None:
    product, count = unique("frozen"), 4_000
    eventually(lambda: is_balanced(stack), 30)
    before = metrics(stack)
    with Load(stack.mqtt_internal_port, messages(product, count), pause=0.005) as load:
        eventually(lambda: load.acknowledged >= count // 4, 30)
        stack.kill("kafka", signal.SIGSTOP)
        try:
            eventually(lambda: metrics(stack)["ingest_in_flight"] > 100, 30)
            assert load.done() == count  # the broker keeps what ingest does not acknowledge
        finally:
            stack.kill("kafka", signal.SIGCONT)
    assert_exact(await_stored(stack, product, count), count)
    eventually(lambda: is_balanced(stack), 30)
    assert metrics(stack)["ingest_connections_total"] == before["ingest_connections_total"]


def test_a_broker_that_restarts_in_order_keeps_what_it_had_acknowledged(stack: Stack) -> None:
    product, count = unique("broker"), 3_000
    stack.stop_service("ingest")
    with Load(stack.mqtt_internal_port, messages(product, count)) as load:
        assert load.done() == count
    before = stack.pid("mosquitto")
    stack.kill("mosquitto", signal.SIGTERM)
    eventually(partial(is_restarted, stack, "mosquitto", before), 30)
    stack.start_service("ingest")
    assert_exact(await_stored(stack, product, count), count)
    stack.wait_ready()
