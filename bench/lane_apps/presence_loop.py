"""The presence service's step in a plain loop over librdkafka, in batches: as `plain_loop`, nothing but the work."""

from __future__ import annotations

from typing import Any

import msgspec

from libs.runtime import main
from libs.runtime.lane.model import At
from libs.topics.codec import Decoder
from libs.topics.names import changelog
from services.presence.model import Device, Sources
from services.presence.step import Event, step

from .fold import Settings
from .plain_loop import clients
from .presence_lane import TABLE


def start(settings: Settings) -> None:
    consumer, producer = clients(settings)
    rows: dict[bytes, Device | None] = {}
    decode, encode = Decoder[Event](Event), msgspec.msgpack.Encoder().encode
    inbox, log, sources = settings.inbox, changelog(settings.app, TABLE), Sources()
    while True:  # until killed
        outputs: dict[str, list[dict[str, Any]]] = {}
        changed: dict[bytes, Device | None] = {}
        for message in consumer.consume(1000, 0.5):
            if message.error() is not None:
                raise RuntimeError(message.error())
            key, event = message.key(), decode(message.value())
            at = At(inbox, message.partition(), message.offset(), message.timestamp()[1], key)
            row, said = step(rows.get(key), event, at, sources)
            rows[key] = changed[key] = row
            for topic, output_key, value, _ in said:
                outputs.setdefault(topic, []).append({"key": output_key, "value": value})
        for topic, messages in outputs.items():
            producer.produce_batch(topic, messages)
        producer.produce_batch(log, [{"key": key, "value": encode(row)} for key, row in changed.items()])
        while len(producer) > 500_000:
            producer.poll(0.01)
        producer.poll(0)


if __name__ == "__main__":
    main.run("bench-presence-loop", Settings, start)
