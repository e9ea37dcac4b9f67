from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from devstack.ports import HIGHEST, HOST, LOWEST, Ports, free_port, is_free

if TYPE_CHECKING:
    from pathlib import Path


def test_a_port_is_free_until_somebody_listens() -> None:
    port = free_port()
    assert LOWEST <= port <= HIGHEST < 32_768
    with socket.create_server((HOST, port)):
        assert not is_free(port)
    assert is_free(port)


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
