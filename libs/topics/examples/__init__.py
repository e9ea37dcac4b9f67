"""At least two examples of every message type: ``<type>/<name>.json``.

They are documentation, and every consumer's tests fold them: what is in here must go through.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from libs.topics.messages.base import Message

FOLDER = Path(__file__).parent


def files(kind: type[Message]) -> tuple[Path, ...]:
    """The example files of a message type, by name."""
    return tuple(sorted((FOLDER / str(kind.__struct_config__.tag)).glob("*.json")))


def values(kind: type[Message]) -> dict[str, bytes]:
    """Each example as it would be in Kafka: compact, under the file's name without ``.json``."""
    return {path.stem: compact(path.read_bytes()) for path in files(kind)}


def compact(text: bytes) -> bytes:
    """JSON without the white space that people like."""
    return json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False).encode()


def pretty(value: bytes) -> bytes:
    """JSON as the example files hold it."""
    return json.dumps(json.loads(value), indent=2, ensure_ascii=False).encode() + b"\n"
