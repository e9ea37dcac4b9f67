from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from devstack.ports import HELD, HIGHEST, HOST, LOWEST, Ports, free_port, is_free
from devstack.stack import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_port_is_free_until_somebody_listens() -> None:
    port = free_port()
    assert LOWEST <= port <= HIGHEST < 32_768
    with socket.create_server((HOST, port)):
        assert not is_free(port)
    assert is_free(port)


def test_a_port_that_was_given_to_one_process_is_given_to_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    program = f"from devstack import ports; ports.LOWEST = ports.HIGHEST = {port}; ports.free_port()"
    other = subprocess.run((sys.executable, "-c", program), cwd=CHECKOUT, check=False, capture_output=True, text=True)
    assert f"NoFreePort: no free port between {port} and {port}" in other.stderr
    with socket.create_server((HOST, port)), socket.create_connection((HOST, port)):
        pass  # the server that it was given for

    for _ in range(HELD):
        free_port()
    monkeypatch.setattr("devstack.ports.LOWEST", port)
    monkeypatch.setattr("devstack.ports.HIGHEST", port)
    assert free_port() == port, "it is kept while its server starts, not for ever"


def test_names_have_ports_of_their_own_and_keep_them(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ports.json")
    first = {name: ports.claim(name) for name in "abc"}
    assert len(set(first.values())) == 3
    assert {name: ports.claim(name) for name in "abc"} == first
    again = Ports(tmp_path / "ports.json")
    assert {name: again.claim(name) for name in "cba"} == first


def test_a_remembered_port_that_was_taken_meanwhile_is_replaced(tmp_path: Path) -> None:
    port = Ports(tmp_path / "ports.json").claim("a")
    with socket.create_server((HOST, port)):
        assert Ports(tmp_path / "ports.json").claim("a") != port


def test_the_ports_of_a_running_stack_stand_although_they_are_taken(tmp_path: Path) -> None:
    port = Ports(tmp_path / "ports.json").claim("a")
    with socket.create_server((HOST, port)):
        assert Ports(tmp_path / "ports.json", in_use=True).claim("a") == port
