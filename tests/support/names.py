"""Names that no other test uses."""

from __future__ import annotations

import uuid


def unique(prefix: str = "test") -> str:
    """A valid product id, device id, topic, group id or table name: ``prefix_`` and 12 hexadecimal digits."""
    return f"{prefix}_{uuid.uuid4().hex[:12]}"
