"""What `up` tells its user: where everything is and what to try first."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from devstack.ports import HOST

if TYPE_CHECKING:
    from pathlib import Path

    from devstack.places import Places


def describe(stack: Places) -> str:
    """Addresses of the stack and two commands that show it at work."""
    clickhouse = stack.clickhouse_url
    places = [
        ("Kafka", stack.kafka),
        ("MQTT devices", f"mqtt://{HOST}:{stack.mqtt_port}    user name {{product}}/{{device}}, no password"),
        ("MQTT internal", f"mqtt://{HOST}:{stack.mqtt_internal_port}    the hub's own clients"),
        ("ClickHouse", f"{clickhouse}    user default, no password, database fleetlog"),
        *((service, f"{stack.ops_url(service)}/health/ready    and /metrics") for service in stack.services),
    ]
    query = "SELECT * FROM metrics ORDER BY ts DESC LIMIT 5 FORMAT PrettyCompact"
    lines = [
        *(f"  {name:<14} {place}" for name, place in places),
        f"  {'logs':<14} {_relative(stack.logs)}",
        "",
        "Send a message as a device, then find it:",
        (
            f"  mosquitto_pub -h {HOST} -p {stack.mqtt_port} -u shop/freezer -q 1 -t upload_data/shop/freezer/climate/1"
            """ -m '{"celsius": -18.5}'"""
        ),
        f"""  curl '{clickhouse}/?database=fleetlog' --data-binary '{query}'""",
        "",
        "Stop with ./just down" + ("" if stack.state.name == ".fleetlog" else f" (--state {_relative(stack.state)})"),
    ]
    return "\n".join(lines)


def _relative(path: Path) -> str:
    return os.path.relpath(path)
