"""The catalog as an AsyncAPI 3 document: who sends and receives what on which Kafka topic."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from libs.topics import examples
from libs.topics.topic import OUTSIDE

from . import schema, words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.topics.messages.base import Message
    from libs.topics.topic import Topic

KAFKA_BINDING: Final = "0.5.0"


def document(topics: Iterable[Topic], version: str) -> dict[str, Any]:
    topics = [topic for topic in topics if topic.format == "json"]  # nobody else can read the others
    kinds = {str(kind.__struct_config__.tag): kind for topic in topics for kind in topic.types}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "fleetlog",
            "version": version,
            "description": "The topics of an event-sourced hub for fleets of IoT devices. Every value is one JSON "
            "object whose field `type` names the message; fields that a schema does not name may appear.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in topics},
        "operations": _operations(topics),
        "components": {"messages": {name: _message(kinds[name]) for name in sorted(kinds)}},
    }


def _channel(topic: Topic) -> dict[str, Any]:
    return {
        "address": topic.name,
        "title": topic.name,
        "description": topic.purpose,
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"} for kind in topic.kinds},
        "bindings": {"kafka": _topic_binding(topic)},
        "x-key": topic.key,
        "x-stage": topic.stage,
        **({"x-feeds": list(topic.feeds)} if topic.feeds else {}),
    }


def _topic_binding(topic: Topic) -> dict[str, Any]:
    """Where no number of partitions stands, the installation chooses it, the same for all such topics."""
    configuration: dict[str, Any] = {"cleanup.policy": [topic.cleanup], "retention.ms": topic.retention_ms}
    for name in ("delete.retention.ms", "max.message.bytes"):  # the others are not in the binding's vocabulary
        if name in topic.config:
            configuration[name] = int(topic.config[name])
    return {
        "topic": topic.name,
        **({} if topic.partitions is None else {"partitions": topic.partitions}),
        "topicConfiguration": configuration,
        "bindingVersion": KAFKA_BINDING,
    }


def _operations(topics: list[Topic]) -> dict[str, Any]:
    found = {}
    for topic in topics:
        for verb, action, services in (
            ("sends", "send", topic.producers),
            ("receives", "receive", topic.consumers),
        ):
            for service in services:
                if service not in OUTSIDE:  # the document describes the hub's own operations
                    found[f"{service}.{verb}.{topic.name}"] = {
                        "action": action,
                        "channel": {"$ref": f"#/channels/{topic.name}"},
                        "summary": f"{service} {verb} {topic.name}",
                        "tags": [{"name": service}],
                    }
    return dict(sorted(found.items()))


def _message(kind: type[Message]) -> dict[str, Any]:
    return {
        "name": str(kind.__struct_config__.tag),
        "title": kind.__name__,
        "summary": words.of_type(kind),
        "contentType": "application/json",
        "payload": _local_references(schema.of(kind), str(kind.__struct_config__.tag)),
        "bindings": {"kafka": {"key": {"type": "string"}, "bindingVersion": KAFKA_BINDING}},
        "examples": [{"name": name, "payload": json.loads(value)} for name, value in examples.values(kind).items()],
    }


def _local_references(part: Any, name: str) -> Any:
    """References of a schema that is part of a bigger document start at that document's root."""
    if isinstance(part, list):
        return [_local_references(item, name) for item in part]
    if not isinstance(part, dict):
        return part
    moved = {key: _local_references(value, name) for key, value in part.items() if key != "$schema"}
    if isinstance(moved.get("$ref"), str):
        moved["$ref"] = moved["$ref"].replace("#/$defs/", f"#/components/messages/{name}/payload/$defs/")
    return moved
