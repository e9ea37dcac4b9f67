"""Small files with a secret in them, for the owner's eyes only."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write(file: Path, content: str) -> None:
    """Replace the file as a whole; nobody else may read it at any time."""
    new = file.with_suffix(".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(content)
    new.replace(file)


def ensure(file: Path) -> str:
    """Return the secret in the file, which is made with 256 random bits where it is missing."""
    if not file.exists():
        write(file, secrets.token_urlsafe(32) + "\n")
    return file.read_text().strip()
