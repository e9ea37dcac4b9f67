"""Which shadow it is. Pure."""

from __future__ import annotations

from typing import NamedTuple


class ShadowId(NamedTuple):
    product_id: str
    device_id: str
    name: str | None = None
    """None: the device's own shadow."""

    def __str__(self) -> str:
        named = "" if self.name is None else f" {self.name}"
        return f"shadow{named} of {self.product_id}/{self.device_id}"
