"""Which processes of a stack exist, told by a mark in their environment that every child inherits."""

from __future__ import annotations

from pathlib import Path

MARK = "DEVSTACK_PROGRAM"
"""``{state directory}:{program}``. Not a FLEETLOG_ variable: services refuse those that they do not know."""


def mark(state: Path, program: str) -> str:
    return f"{state}:{program}"


def find(state: Path) -> dict[int, str]:
    """Process id -> program, of everything that was started for this state directory and has not ended."""
    beginning = f"{MARK}={state}:".encode()
    found = {}
    for directory in Path("/proc").iterdir():
        if not directory.name.isdecimal():
            continue
        try:
            variables = (directory / "environ").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # ended meanwhile, or another user's
        for variable in variables:
            if variable.startswith(beginning):
                found[int(directory.name)] = variable.removeprefix(beginning).decode()
    return found
