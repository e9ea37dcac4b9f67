"""What five times ``kill -9`` in mid-drain do to the messages of a full session: nothing, or this bench fails.

The session is filled as for `ingest_drain`. Each process is killed once it has written its share of the backlog, and
the next one begins at once.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.support import bridges
from bench.support.mqtt_load import Load
from bench.support.uplink import Stored, messages
from devstack.stack import Stack

if TYPE_CHECKING:
    from bench.support.bridges import Bridge

KILLS = 5


def run(quick: bool) -> dict[str, Any]:
    count = 60_000 if quick else 300_000
    with tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as state, Stack(Path(state), services=()) as stack:
        stack.create_topics()
        stored, bridge = Stored(stack.kafka), bridges.ingest(stack, "killed")
        with bridge:
            bridge.keep_session()
            with Load(stack.mqtt_internal_port, messages(bridge.name, count)) as load:
                load.done(120)
            before = stored.ends()
            began = time.monotonic()
            for number in range(1, KILLS + 1):
                _reach(stored, bridge, sum(before.values()) + count * number // (KILLS + 1))
                bridge.kill()
            _reach(stored, bridge, sum(before.values()) + count)
            seconds = time.monotonic() - began
            bridge.await_idle()  # whatever would come twice has come
        faults = stored.faults(before, bridge.name, count)
    return {
        "kills": KILLS,
        "lost": faults.lost,
        "duplicated": faults.duplicated,
        "reordered": faults.reordered,
        "seconds": round(seconds, 1),
        "messages": count,
    }


def _reach(stored: Stored, bridge: Bridge, total: int) -> None:
    """Run a process until the topic holds ``total`` records."""
    bridge.start()
    stored.wait(total, also=lambda: bridge.pid)
