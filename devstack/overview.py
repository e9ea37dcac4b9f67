"""What `up` tells its user: where everything is and what to try first."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from devstack import api_key
from devstack.ports import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.places import Places


def describe(stack: Places) -> str:
    """Addresses of the stack and commands that show it at work."""
    clickhouse = stack.clickhouse_url
    who = "as registered devices only" if stack.choice.guarded else "user name {product}/{device}, no password"
    places = [
        ("Kafka", stack.kafka),
        ("MQTT devices", f"mqtt://{HOST}:{stack.mqtt_port}    {who}"),
        *(_secure(stack) if stack.choice.tls else ()),
        ("MQTT internal", f"mqtt://{HOST}:{stack.mqtt_internal_port}    the hub's own clients"),
        ("ClickHouse", f"{clickhouse}    user default, no password, database fleetlog"),
        *(
            (("API", f"{stack.api_url}    key in {_relative(api_key.file(stack.state))}"),)
            if "api" in stack.services
            else ()
        ),
        *((service, f"{stack.ops_url(service)}/health/ready    and /metrics") for service in stack.services),
    ]
    lines = [
        *(f"  {name:<14} {place}" for name, place in places),
        f"  {'logs':<14} {_relative(stack.logs)}",
        *_first_steps(stack),
        "",
        "Stop with ./just down" + ("" if stack.state.name == ".fleetlog" else f" (--state {_relative(stack.state)})"),
    ]
    return "\n".join(lines)


def _secure(stack: Places) -> Iterator[tuple[str, str]]:
    yield (
        "  with TLS",
        f"mqtts://{HOST}:{stack.mqtt_tls_port}    authority {_relative(Path(stack.certificates.authority))}",
    )
    yield "  WebSocket", f"ws://{HOST}:{stack.mqtt_websocket_port}"
    yield "  both", f"wss://{HOST}:{stack.mqtt_websocket_tls_port}"


def _first_steps(stack: Places) -> Iterator[str]:
    """Nothing where devices need credentials and no API gives them any."""
    who, secret = "shop/freezer", ""
    if stack.choice.guarded:
        if "api" not in stack.services:
            return
        secret = " -P SECRET"  # noqa: S105 - the place of one
        yield from _registration(stack)
    query = "SELECT * FROM metrics ORDER BY ts DESC LIMIT 5 FORMAT PrettyCompact"
    yield ""
    yield "Send a message as a device, then find it:"
    yield (
        f"  mosquitto_pub -h {HOST} -p {stack.mqtt_port} -u {who}{secret} -q 1 -t upload_data/{who}/climate/1"
        """ -m '{"celsius": -18.5}'"""
    )
    yield f"""  curl '{stack.clickhouse_url}/?database=fleetlog' --data-binary '{query}'"""


def _registration(stack: Places) -> Iterator[str]:
    fleetlog = "./fleetlog" + ("" if stack.state.name == ".fleetlog" else f" --state {_relative(stack.state)}")
    yield ""
    yield "Register a product and a device; the answer holds its SECRET:"
    yield f"  {fleetlog} products create shop"
    yield f"  {fleetlog} devices register shop/freezer"


def _relative(path: Path) -> str:
    return os.path.relpath(path)
