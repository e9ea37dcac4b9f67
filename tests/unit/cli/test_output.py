"""What people see: the same document gives the same lines. `golden` holds them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.support.cli import CommandLine

GOLDEN = Path(__file__).with_name("golden")
AT = 1_772_362_800_000

PRESENCE = {
    "product_id": "shop",
    "device_id": "freezer",
    "session": {
        "state": "online",
        "since": AT,
        "channels": [{"client_id": "shop/freezer", "channel_id": "c-1", "opened_at": AT, "client_ip": None}],
    },
    "last_traffic_at": AT + 1000,
    "last_probe": None,
}
DEVICE = {
    "product_id": "shop",
    "device_id": "freezer",
    "version": 3,
    "enabled": True,
    "tags": ["cold", "hall-3"],
    "tags_version": 2,
    "attributes": {"serial": "A17", "slots": [1, 2], "fitted_at": 1999, "empty": {}},
    "created_at": AT,
    "updated_at": AT,
}
REGISTERED = {
    **DEVICE,
    "secret": "8sdfB-ItNfJt1yLwYoX4oO3W1o1mGz7vH2mT6jv0c5Q",
    "mqtt": {"host": "hub.example", "port": 1883, "username": "shop/freezer", "client_id": "shop/freezer"},
}
SHADOW = {
    "product_id": "shop",
    "device_id": "freezer",
    "shadow": "night",
    "state": {"desired": {"mode": "eco", "set_at": 7}, "reported": {"mode": "full"}},
    "metadata": {"desired": {"mode": {"timestamp": AT}, "set_at": {"timestamp": AT}}},
    "delta": {"mode": "eco", "set_at": 7},
    "pending_since": AT,
    "version": 3,
    "desired_version": 3,
    "reported_version": 2,
    "created_at": AT,
    "updated_at": AT,
}
LISTED = [
    {"device_id": "freezer", "enabled": True, "tags": ["cold"], "updated_at": AT},
    {"device_id": "scale-with-a-long-name", "enabled": False, "tags": [], "updated_at": AT},
]

SHOWN: dict[str, tuple[str, dict[str, Any]]] = {
    "device": ("devices show shop/freezer", {"GET /products/shop/devices/freezer": DEVICE}),
    "registered": ("devices register shop/freezer", {"POST /products/shop/devices": REGISTERED}),
    "devices": ("devices list shop", {"GET /products/shop/devices": {"items": LISTED, "next_cursor": None}}),
    "no-devices": ("devices list shop", {"GET /products/shop/devices": {"items": []}}),
    "presence": ("presence now shop/freezer", {"GET /products/shop/devices/freezer/presence": PRESENCE}),
    "batch": (
        "presence batch shop/freezer",
        {"POST /presence:batch": {"items": [PRESENCE], "unknown": [], "unavailable": []}},
    ),
    "tags": ("tags show shop/freezer", {"GET /products/shop/devices/freezer": DEVICE}),
    "deleted": ("devices delete shop/freezer --yes", {"DELETE /products/shop/devices/freezer": None}),
    "shadow": (
        "shadow get shop/freezer --name night",
        {"GET /products/shop/devices/freezer/shadows/night": SHADOW},
    ),
    "topic": ("topics show presence.transitions", {}),
}


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("form", ["txt", "json"])
def test_golden(fleetlog: CommandLine, name: str, form: str) -> None:
    command, api = SHOWN[name]
    ran = fleetlog(*command.split(), *(["--json"] if form == "json" else []), api=api)
    assert ran.status == 0, ran.err
    assert ran.out + ran.err == (GOLDEN / f"{name}.{form}").read_text()


def test_no_golden_file_is_left_over() -> None:
    assert {file.stem for file in GOLDEN.iterdir()} == SHOWN.keys()
