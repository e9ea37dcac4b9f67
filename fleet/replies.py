"""What simulated devices say to commands and probes: always what they were sent. Pure.

A reply's message id is its request's, so that a command that comes twice is answered once for the hub.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .truth import Device


def filters(device: Device) -> list[tuple[str, int]]:
    """Topic filters and QoS under which a device hears what it has to answer."""
    name = "/".join(device)
    return [(f"cmd/{name}/+/+/+/#", 1), (f"rpc/{name}/+/+/+/#", 1), (f"/sys/{name}/rrpc/request/+", 1)]


def reply(topic: str, payload: bytes) -> tuple[str, bytes] | None:
    """Topic and payload of the answer; None: what the hub says with commands of its own has none."""
    match topic.split("/"):
        case ["cmd" | "rpc" as mode, product, device, command, _, request, *_] if not command.startswith("$"):
            return f"{mode}_resp/{product}/{device}/{command}/{request}/{request}", payload
        case ["", "sys", product, device, "rrpc", "request", message]:
            return f"/sys/{product}/{device}/rrpc/response/{message}", payload
    return None
