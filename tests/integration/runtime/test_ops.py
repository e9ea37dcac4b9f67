from __future__ import annotations

import http.client
import json
import logging
import socket
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from devstack.ports import HOST, free_port
from libs.runtime import ops as ops_module
from libs.runtime.ops import Ops
from libs.runtime.settings import OpsSettings
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ops() -> Iterator[Ops]:
    server = Ops(OpsSettings(port=free_port()), live=lambda: True, ready=lambda: False)
    server.start()
    yield server
    server.stop()


def get(port: int, path: str) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection(HOST, port, timeout=10)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()


def send(port: int, request: bytes) -> bytes:
    """What comes back until the server closes."""
    with socket.create_connection((HOST, port), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_health_and_metrics_are_served(ops: Ops) -> None:
    assert get(ops.port, "/health/live?full=1")[0] == 200
    status, body = get(ops.port, "/health/ready")
    assert (status, json.loads(body)["reason"]) == (503, "not ready")
    assert b"process_resident_memory_bytes" in get(ops.port, "/metrics")[1]


def test_port_zero_is_any_free_port() -> None:
    server = Ops(OpsSettings(), live=lambda: True, ready=lambda: True)
    server.start()
    try:
        assert get(server.port, "/health/ready")[0] == 200
    finally:
        server.stop()


def test_only_loopback_listens_by_default(ops: Ops) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.2", ops.port))  # taken, if the server listened on every address


def test_an_address_with_a_colon_is_ipv6() -> None:
    server = Ops(OpsSettings(host="::1"), live=lambda: True, ready=lambda: True)
    server.start()
    try:
        with closing(http.client.HTTPConnection("::1", server.port, timeout=10)) as connection:
            connection.request("GET", "/health/live")
            assert connection.getresponse().status == 200
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (b"", b""),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", b"400"),
        (b"GET " + b"/" * 70_000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"GET / HTTP/9.9\r\n\r\n", b"505"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 11_000 + b"\r\n", b"431"),
        (b"GET /health/live HTTP/1.1\r\nContent-Length: many\r\n\r\n", b"200"),
        (b"GET /\xff\xfe HTTP/1.1\r\nHost: \xff\r\n\r\n", b"404"),
        (b"POST /health/live HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc", b"405"),
    ],
)
def test_a_bad_request_is_answered_and_harms_nothing(ops: Ops, request_: bytes, answer: bytes) -> None:
    assert answer in send(ops.port, request_)[:500]
    assert get(ops.port, "/health/live")[0] == 200


def test_a_client_that_goes_away_harms_nothing(ops: Ops) -> None:
    for _ in range(20):
        with socket.create_connection((HOST, ops.port)) as connection:
            # resets the connection instead of closing it in order
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            connection.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
    assert get(ops.port, "/health/live")[0] == 200


def test_silent_clients_delay_nobody_and_are_shown_out(
    ops: Ops, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ops_module._Handler, "timeout", 0.3)
    silent = [socket.create_connection((HOST, ops.port), timeout=10) for _ in range(30)]
    assert get(ops.port, "/health/live")[0] == 200
    for connection in silent:
        with connection:
            assert connection.recv(1) == b""
    assert "ops request failed" in caplog.text


def test_a_check_that_raises_is_a_500_in_the_log_and_the_server_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> bool:
        raise RuntimeError("no consumer")

    server = Ops(OpsSettings(port=free_port()), live=broken, ready=lambda: True)
    server.start()
    try:
        with caplog.at_level(logging.ERROR):
            assert get(server.port, "/health/live")[0] == 500
        assert "no consumer" in caplog.text
        assert get(server.port, "/health/ready")[0] == 200
    finally:
        server.stop()


def test_a_check_that_hangs_delays_no_other_answer() -> None:
    hang = threading.Event()
    server = Ops(OpsSettings(port=free_port()), live=lambda: True, ready=lambda: hang.wait(60))
    server.start()
    try:
        asked = threading.Thread(target=get, args=(server.port, "/health/ready"))
        asked.start()
        assert get(server.port, "/health/live")[0] == 200
        hang.set()
        asked.join(10)
        assert not asked.is_alive()
    finally:
        hang.set()
        server.stop()


def test_a_taken_port_is_an_error_at_the_start(ops: Ops) -> None:
    with pytest.raises(OSError, match="in use"):
        Ops(OpsSettings(port=ops.port), live=lambda: True, ready=lambda: True).start()


def test_stopped_it_listens_no_more() -> None:
    server = Ops(OpsSettings(port=free_port()), live=lambda: True, ready=lambda: True)
    server.start()
    port = server.port
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, port), timeout=5)
    eventually(lambda: not [thread for thread in threading.enumerate() if thread.name == "ops"])
