"""The load tells of a broker that hangs up, and dates messages by the schedule they belong to."""

from __future__ import annotations

import socket
import threading
from itertools import pairwise
from typing import Any, cast

import mqtt5
import pytest

from bench.support.mqtt_load import Load
from bench.support.paced import Paced
from devstack.ports import HOST


@pytest.mark.parametrize("accepts", [False, True])
def test_a_broker_that_hangs_up_is_a_failure(accepts: bool) -> None:
    with socket.create_server((HOST, 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                if accepts:
                    connection.sendall(mqtt5.ConnAckPacket().write())
                    connection.recv(1000)

        broker = threading.Thread(target=serve, daemon=True)
        broker.start()
        load = Load(server.getsockname()[1], [("t", b"1")])
        load.start()
        assert isinstance(load.failure(30), ConnectionError)
        broker.join(30)


class Stalling:
    """A connection that takes a while for each send."""

    def sendall(self, _data: bytes) -> None:
        threading.Event().wait(0.02)


def test_a_paced_message_is_dated_by_the_schedule_however_late_it_is_sent() -> None:
    rate, moments = 1_000, list[int]()

    def message(_number: int, due: int) -> tuple[str, bytes]:
        moments.append(due)
        return "t", b"1"

    Paced(0, message, rate, 100)._send(cast("Any", Stalling()))
    assert {later - earlier for earlier, later in pairwise(moments)} == {1_000_000 // rate}
