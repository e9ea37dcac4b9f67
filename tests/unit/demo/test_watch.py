from __future__ import annotations

import threading

import pytest

from demo.watch import Background

TIMEOUT = 10.0


def test_a_step_is_repeated_until_the_context_ends() -> None:
    steps: list[int] = []
    enough = threading.Event()

    def step() -> None:
        steps.append(len(steps))
        if len(steps) == 3:
            enough.set()

    with Background(step):
        assert enough.wait(TIMEOUT)
    ended = len(steps)
    assert ended >= 3
    assert len(steps) == ended


def test_what_a_step_raises_is_raised_where_the_context_ends() -> None:
    failed = threading.Event()

    def step() -> None:
        failed.set()
        raise ConnectionError("Kafka is gone")

    with pytest.raises(ConnectionError, match="Kafka is gone"), Background(step):
        assert failed.wait(TIMEOUT)


def test_an_error_of_the_block_itself_is_not_hidden() -> None:
    failed = threading.Event()

    def step() -> None:
        failed.set()
        raise ConnectionError("Kafka is gone")

    def block() -> None:
        with Background(step):
            assert failed.wait(TIMEOUT)
            raise KeyError("first")

    with pytest.raises(KeyError, match="first"):
        block()
