"""The fold in a plain Faust agent with a table, as its documentation shows it, at its best settings."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

import faust
import mode
import msgspec
import uvloop

from libs.runtime import main
from libs.runtime.kafka import faust_config

from .fold import Count, Settings, answer, decode, fold, output_topic

TABLE = "counts"


def start(settings: Settings) -> int:
    app = faust.App(
        settings.app,
        **faust_config(settings.kafka),
        store="memory://",
        datadir=Path(tempfile.gettempdir()) / "fleetlog-bench-plain-faust",  # it makes one whatever the store
        topic_partitions=settings.kafka.partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        consumer_auto_offset_reset="earliest",
        producer_linger=0.01,  # without it Faust reaches two thirds
        stream_recovery_delay=0.0,
        broker_session_timeout=settings.lane.session_timeout_s,
        broker_heartbeat_interval=1.0,
        web_enabled=False,
        agent_supervisor=mode.CrashingSupervisor,
        worker_redirect_stdouts=False,
    )
    plain: dict[str, Any] = {"key_type": bytes, "value_type": bytes, "value_serializer": "raw"}
    inbox = app.topic(settings.inbox, **plain)
    output = app.topic(output_topic(settings.app), **plain)
    counts: Any = app.Table(TABLE, key_type=bytes, value_type=bytes, partitions=settings.kafka.partitions)
    encode, thaw = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(Count).decode

    async def count(stream: Any) -> None:
        async for event in stream.events():
            key, message = event.key, event.message
            row = counts.get(key)
            reading = decode(event.value)
            new = fold(None if row is None else thaw(row), reading)
            counts[key] = encode(new)
            await output.send(key=key, value=answer(reading, message.partition, message.offset, new))

    app.agent(inbox)(count)
    logging.getLogger().setLevel(logging.WARNING)
    faust.Worker(
        app, loop=uvloop.new_event_loop(), override_logging=False, redirect_stdouts=False, quiet=True
    ).execute_from_commandline()
    return 0


if __name__ == "__main__":
    main.run("bench-plain-faust", Settings, start)
