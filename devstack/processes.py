"""Which processes of a stack exist, told by a mark in their environment that every child inherits."""

from __future__ import annotations

from pathlib import Path

MARK = "DEVSTACK_PROGRAM"
"""``{state directory}:{program}``. Not a FLEETLOG_ variable: services refuse those that they do not know."""


def mark(state: Path, program: str) -> str:
    return f"{state}:{program}"


def find(state: Path) -> dict[int, str]:
    """Process id -> program, of everything that was started for this state directory and has not ended."""
    return {pid: program for pid, of, program in marked() if of == state}


def marked() -> list[tuple[int, Path, str]]:
    """(process id, state directory, program) of every stack on this machine whose processes we may look at."""
    beginning = f"{MARK}=".encode()
    found = []
    for directory in Path("/proc").iterdir():
        if not directory.name.isdecimal():
            continue
        try:
            variables = (directory / "environ").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # ended meanwhile, or another user's
        for variable in variables:
            if variable.startswith(beginning):
                state, _, program = variable.removeprefix(beginning).decode().rpartition(":")
                found.append((int(directory.name), Path(state), program))
    return found
