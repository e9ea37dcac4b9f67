"""Loopback ports for servers: free, below the range that outgoing connections use, and the same at the next start."""

from __future__ import annotations

import os
import random
import socket
from collections import deque
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

HOST = "127.0.0.1"
LOWEST, HIGHEST = 20_000, 32_767
"""Linux gives outgoing connections 32768 and above: a server's port up there is taken sooner or later."""

ATTEMPTS = 200
HELD = 64
"""So many of the ports given away last are kept from others: their servers are still starting."""


class NoFreePort(OSError):
    """None of `ATTEMPTS` random ports was free."""


def is_free(port: int) -> bool:
    """Whether a server could listen there now (connections that linger in TIME_WAIT do not count)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


_held: deque[int] = deque()
"""File descriptors of the sockets that keep ports, oldest first."""


def free_port(taken: frozenset[int] = frozenset()) -> int:
    """A free port outside ``taken``, which no other process on this machine is given meanwhile. Raises `NoFreePort`."""
    choose = random.SystemRandom()
    for _ in range(ATTEMPTS):
        port = choose.randint(LOWEST, HIGHEST)
        if port not in taken and _hold(port):
            return port
    raise NoFreePort(f"no free port between {LOWEST} and {HIGHEST}")


def _hold(port: int) -> bool:
    """Keep a port for the server that is to listen on it; False where somebody has it.

    The socket is bound and never listens. It is bound for itself alone, which fails where anybody is bound, and shares
    the address only then: a server, which asks for SO_REUSEADDR, may listen beside it.
    """
    keeper = socket.socket()
    try:
        keeper.bind((HOST, port))
    except OSError:
        keeper.close()
        return False
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _held.append(keeper.detach())
    if len(_held) > HELD:
        os.close(_held.popleft())
    return True


class Ports:
    """Ports by name, remembered in ``file`` (a JSON object) so that URLs survive a restart."""

    def __init__(self, file: Path, *, in_use: bool = False) -> None:
        """``in_use``: the servers run already, in another process's care, so remembered ports stand as they are."""
        self._file = file
        self._remembered: dict[str, int] = {}
        self._claimed: dict[str, int] = {}
        if file.exists():
            self._remembered = msgspec.json.decode(file.read_bytes(), type=dict[str, int])
        if in_use:
            self._claimed = dict(self._remembered)

    def claim(self, name: str) -> int:
        """The port of ``name``: the remembered one while it is free, else a new one. The same until `release`."""
        if name not in self._claimed:
            port = self._remembered.get(name)
            if port is None or not is_free(port):
                port = free_port(frozenset(self._remembered.values()))
            self._claimed[name] = self._remembered[name] = port
            self._remember()
        return self._claimed[name]

    def _remember(self) -> None:
        whole = self._file.with_suffix(".new")  # a crash leaves the old file or the new one, never half of one
        whole.write_bytes(msgspec.json.format(msgspec.json.encode(self._remembered)) + b"\n")
        whole.replace(self._file)

    def release(self) -> None:
        """Forget what is in use (the servers have stopped), not what it was."""
        self._claimed.clear()
