"""One real mosquitto 2.0: a listener for devices, one for the hub's own clients, and on demand TLS and WebSocket.

The device listeners are open to any user name, or guarded: then the files that the guard keeps say who comes in.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

import msgspec

from devstack.certificates import Certificates
from devstack.errors import StackError
from devstack.ports import HOST
from devstack.supervisor import Program
from services.guard import files
from services.guard.model import Roll

if TYPE_CHECKING:
    from pathlib import Path

MISSING = "mosquitto is not installed: e.g. `apt-get install --no-install-recommends mosquitto`"
BESIDE_PATH = ("/usr/sbin", "/usr/local/sbin")
"""Debian puts the broker into /usr/sbin, which is not on every user's PATH."""

CONNECT = b"\x10\x1a\x00\x04MQTT\x04\x02\x00\x3c\x00\x0edevstack-probe"
"""MQTT 3.1.1: clean session, keepalive 60 s, client id ``devstack-probe``."""
ACCEPTED = b"\x20\x02\x00\x00"
DISCONNECT = b"\xe0\x00"


class Secure(msgspec.Struct, frozen=True, kw_only=True):
    """Further device listeners: ports, and the certificates of those with TLS."""

    tls: int
    websocket: int
    websocket_tls: int
    certificates: Certificates


class Listeners(msgspec.Struct, frozen=True, kw_only=True):
    device: int
    internal: int
    secure: Secure | None = None


def guard_directory(directory: Path) -> Path:
    """Where the guard keeps the files, in the broker's directory."""
    return directory / "guard"


def pid_file(directory: Path) -> Path:
    return directory / "mosquitto.pid"


def configuration(directory: Path, listeners: Listeners, *, guarded: bool) -> str:
    """The text of ``mosquitto.conf``."""
    kept = guard_directory(directory)
    access = f"""\
allow_anonymous false
password_file {kept / "passwords"}
acl_file {kept / "access"}
use_username_as_clientid true
"""
    if not guarded:
        access = f"""\
allow_anonymous true
acl_file {directory / "devices.acl"}
use_username_as_clientid true
"""
    return f"""\
per_listener_settings true

# half of the throughput and more: without it every PUBACK waits for the peer's delayed acknowledgement
set_tcp_nodelay true

# the backlog of an absent bridge is bounded by bytes, not by 1,000 messages
max_queued_messages 0
max_queued_bytes 1073741824
max_inflight_messages 10000
max_packet_size 524288

# a restart keeps sessions and what waits in them
persistence true
persistence_location {directory}
autosave_interval 5

# the lines of these types are the source of connection events
log_dest topic
log_dest stderr
log_type error
log_type warning
log_type notice
log_type information
connection_messages true
log_timestamp true

# started by root it would become another user, and such a change frees it from dying with its parent
user root

# where the guard finds this process
pid_file {pid_file(directory)}

# devices: the client id is the user name, so that neither a log line nor an ACL pattern can be forged
listener {listeners.device} {HOST}
{access}{_secure(listeners.secure, access) if listeners.secure else ""}
# the hub's own clients
listener {listeners.internal} {HOST}
allow_anonymous true
"""


def _secure(secure: Secure, access: str) -> str:
    tls = f"certfile {secure.certificates.chain}\nkeyfile {secure.certificates.key}\n"
    return f"""
listener {secure.tls} {HOST}
{tls}{access}
listener {secure.websocket} {HOST}
protocol websockets
{access}
listener {secure.websocket_tls} {HOST}
protocol websockets
{tls}{access}"""


def prepare(directory: Path, *, guarded: bool) -> None:
    """Write what mosquitto reads at its start. The guard's files let nobody in until the guard has written them."""
    kept = guard_directory(directory)
    kept.mkdir(parents=True, exist_ok=True, mode=0o700)
    access, _ = files.access(Roll())
    if not guarded:
        (directory / "devices.acl").write_bytes(access)
        return
    for name, content in (("passwords", b""), ("access", access)):
        if not (kept / name).exists():
            (kept / name).touch(mode=0o600)
            (kept / name).write_bytes(content)


def find() -> str | None:
    """Where mosquitto is."""
    return shutil.which("mosquitto", path=os.pathsep.join((os.environ.get("PATH", os.defpath), *BESIDE_PATH)))


def ensure() -> None:
    """Install the distribution's package where that is allowed. Raises `StackError` with what to install."""
    if find() is not None:
        return
    installer = shutil.which("apt-get")
    if installer is None or os.geteuid() != 0:
        raise StackError(MISSING)
    print("fleetlog: installing the mosquitto package with apt-get", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (("update",), ("install", "--yes", "--no-install-recommends", "mosquitto")):
        done = subprocess.run(
            (installer, "--quiet", *step), check=False, capture_output=True, text=True, env=environment
        )
        if done.returncode != 0:
            raise StackError(f"apt-get {step[0]} failed, so {MISSING}\n{done.stderr.strip()}")


def program(directory: Path, listeners: Listeners, log: Path, *, guarded: bool = False) -> Program:
    """Raises `StackError` where mosquitto is not installed."""
    executable = find()
    if executable is None:
        raise StackError(MISSING)
    prepare(directory, guarded=guarded)
    config = directory / "mosquitto.conf"
    config.write_text(configuration(directory, listeners, guarded=guarded))
    return Program(
        name="mosquitto",
        command=(executable, "-c", str(config)),
        environment=dict(os.environ),
        directory=directory,
        log=log,
    )


def answers(port: int) -> bool:
    """Whether the broker accepts an MQTT connection."""
    try:
        with socket.create_connection((HOST, port), timeout=2) as connection:
            connection.sendall(CONNECT)
            accepted = connection.recv(len(ACCEPTED)) == ACCEPTED
            connection.sendall(DISCONNECT)
            return accepted
    except OSError:
        return False
