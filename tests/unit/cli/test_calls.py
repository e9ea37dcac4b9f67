"""Which calls of the API the commands make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.support.cli import CommandLine

DEVICE = "/products/plant-7/devices/press-1"

CALLS: list[tuple[str, str, str, Any]] = [
    ("products create plant-7", "POST", "/products", {"product_id": "plant-7"}),
    (
        "products create plant-7 --command-ttl 2d --device-to-device --acl publish:a/{product} --acl subscribe:b",
        "POST",
        "/products",
        {
            "product_id": "plant-7",
            "command_ttl_s": 172_800,
            "device_to_device": True,
            "acl": [{"action": "publish", "topic": "a/{product}"}, {"action": "subscribe", "topic": "b"}],
        },
    ),
    ("products show plant-7", "GET", "/products/plant-7", None),
    ("products set plant-7 --no-dynamic-registration", "PATCH", "/products/plant-7", {"dynamic_registration": False}),
    ("products set plant-7 --probe-interval 10m", "PATCH", "/products/plant-7", {"probe_interval_s": 600}),
    ("products set plant-7 --probe-interval 0s", "PATCH", "/products/plant-7", {"probe_interval_s": None}),
    ("products delete plant-7 --yes", "DELETE", "/products/plant-7", None),
    ("products rotate-secret plant-7 --yes", "POST", "/products/plant-7:rotate-secret", None),
    ("devices register plant-7", "POST", "/products/plant-7/devices", {"tags": [], "attributes": {}}),
    (
        "devices register plant-7/press-1 --tag hall-3 --tag a --attribute serial=A17 --attribute slots=4",
        "POST",
        "/products/plant-7/devices",
        {"device_id": "press-1", "tags": ["hall-3", "a"], "attributes": {"serial": "A17", "slots": 4}},
    ),
    ("devices show plant-7/press-1", "GET", DEVICE, None),
    ("devices disable plant-7/press-1", "POST", f"{DEVICE}:disable", None),
    ("devices enable plant-7/press-1", "POST", f"{DEVICE}:enable", None),
    ("devices rotate-secret plant-7/press-1 --yes", "POST", f"{DEVICE}:rotate-secret", {"grace_s": 0}),
    ("devices rotate-secret plant-7/press-1 -y --grace 1h", "POST", f"{DEVICE}:rotate-secret", {"grace_s": 3600}),
    ("devices delete plant-7/press-1 --yes", "DELETE", DEVICE, None),
    ("tags set plant-7/press-1 a b", "PUT", f"{DEVICE}/tags", {"tags": ["a", "b"]}),
    ("tags set plant-7/press-1", "PUT", f"{DEVICE}/tags", {"tags": []}),
    ("tags add plant-7/press-1 a", "POST", f"{DEVICE}/tags:add", {"tags": ["a"]}),
    ("tags remove plant-7/press-1 a b", "POST", f"{DEVICE}/tags:remove", {"tags": ["a", "b"]}),
    ("presence now plant-7/press-1", "GET", f"{DEVICE}/presence", None),
    ("presence at plant-7/press-1 2026-03-01T11:00:00Z", "GET", f"{DEVICE}/presence?at=1772362800000", None),
    ("presence at plant-7/press-1 1h", "GET", f"{DEVICE}/presence?at=1772362800000", None),
    ("presence counts plant-7", "GET", "/products/plant-7/presence", None),
    (
        "devices list plant-7 --tag hall-3 --prefix press- --online",
        "GET",
        "/products/plant-7/devices?limit=1000&tag=hall-3&prefix=press-&online=true",
        None,
    ),
    ("devices list plant-7 --offline --limit 5", "GET", "/products/plant-7/devices?limit=5&online=false", None),
    (
        "presence batch plant-7/press-1 plant-7/press-2",
        "POST",
        "/presence:batch",
        {"devices": [{"product_id": "plant-7", "device_id": name} for name in ("press-1", "press-2")]},
    ),
]


@pytest.mark.parametrize(("command", "method", "target", "body"), CALLS, ids=[call[0] for call in CALLS])
def test_a_command_is_one_call(fleetlog: CommandLine, command: str, method: str, target: str, body: Any) -> None:
    answer: dict[str, Any] = {"items": [], "unknown": [], "unavailable": [], "next_cursor": None, "tags": []}
    ran = fleetlog(*command.split(), "--json", api={f"{method} {target.partition('?')[0]}": answer})
    assert (ran.status, ran.err.count("error:")) == (0, 0), ran.err
    (asked,) = fleetlog.api.asked
    assert (asked.method, asked.target, asked.body) == (method, target, body)
    assert asked.headers["authorization"] == "Bearer fl_key"


@pytest.mark.parametrize("command", [call[0] for call in CALLS if call[1] != "GET"])
def test_each_change_has_an_idempotency_key_of_its_own(fleetlog: CommandLine, command: str) -> None:
    call = next(f"{method} {target}" for text, method, target, _ in CALLS if text == command)
    keys = set()
    for _ in range(2):
        fleetlog(*command.split(), api={call: {"items": [], "unknown": [], "unavailable": []}})
        keys.add(fleetlog.api.asked[0].headers["idempotency-key"])
    assert len(keys) == 2


@pytest.mark.parametrize(
    "command",
    ["products set plant-7 --device-to-device", "devices disable plant-7/press-1", "tags add plant-7/press-1 a"],
)
def test_an_expected_version_goes_along(fleetlog: CommandLine, command: str) -> None:
    call = next(f"{m} {t}" for text, m, t, _ in CALLS if text.split()[:3] == command.split()[:3])
    ran = fleetlog(*command.split(), "--if-version", "7", api={call: {}})
    assert ran.status == 0, ran.err
    assert fleetlog.api.asked[0].headers["if-match"] == '"7"'


def test_without_an_expected_version_nothing_is_expected(fleetlog: CommandLine) -> None:
    fleetlog("devices", "disable", "plant-7/press-1", api={f"POST {DEVICE}:disable": {}})
    assert "if-match" not in fleetlog.api.asked[0].headers


def test_a_list_is_read_page_after_page(fleetlog: CommandLine) -> None:
    pages = [
        {"items": [{"device_id": "a"}, {"device_id": "b"}], "next_cursor": "next"},
        {"items": [{"device_id": "c"}], "next_cursor": None},
    ]
    ran = fleetlog("devices", "list", "plant-7", "--json", api={"GET /products/plant-7/devices": pages})
    assert [line["device_id"] for line in ran.lines] == ["a", "b", "c"]
    assert [asked.target for asked in fleetlog.api.asked] == [
        "/products/plant-7/devices?limit=1000",
        "/products/plant-7/devices?limit=1000&cursor=next",
    ]


def test_a_limit_ends_the_reading(fleetlog: CommandLine) -> None:
    page = {"items": [{"device_id": "a"}, {"device_id": "b"}], "next_cursor": "next"}
    ran = fleetlog("devices", "list", "plant-7", "--limit", "3", "--json", api={"GET /products/plant-7/devices": page})
    assert [line["device_id"] for line in ran.lines] == ["a", "b", "a"]
    assert [asked.target.rpartition("limit=")[2] for asked in fleetlog.api.asked] == ["3", "1&cursor=next"]


def test_a_shadow_template_comes_from_a_file(fleetlog: CommandLine, tmp_path: Any) -> None:
    file = tmp_path / "shadow.json"
    file.write_text('{"desired": {"led": "off"}}')
    ran = fleetlog(
        "products", "set", "plant-7", "--shadow-template", str(file), api={"PATCH /products/plant-7": {"version": 2}}
    )
    assert ran.status == 0, ran.err
    assert fleetlog.api.asked[0].body == {"shadow_template": {"desired": {"led": "off"}}}
