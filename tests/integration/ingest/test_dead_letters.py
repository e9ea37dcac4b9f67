"""What ingest cannot take becomes one dead letter, and the next message is taken."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from libs.topics import names
from tests.support.devices import publish
from tests.support.names import unique
from tests.support.polling import eventually
from tests.support.records import await_records, read_all

if TYPE_CHECKING:
    from devstack.stack import Stack


def letters(stack: Stack, product: str) -> list[dict[str, Any]]:
    """Dead letters whose topic names the product."""
    found = read_all(stack.kafka, names.dead_letters("ingest"))
    return [record.message for record in found if product in record.message["origin"]]


def test_each_message_that_cannot_be_taken_is_one_dead_letter_with_its_reason(stack: Stack) -> None:
    product = unique("poison")
    key = f"{product}/d1"
    refused = [
        (f"upload_data/{key}/t", b"short", "invalid_topic"),
        (f"upload_data/{key}//m1", b"\xff\x00", "invalid_name"),
        (f"upload_data/{key}/a b/m1", b"", "invalid_name"),
        (f"upload_data/{key}/$mine/m1", b"{}", "reserved_name"),
        (f"m2m/{product}/d 2/d1/m1", b"{}", "invalid_name"),
        (f"/sys/{key}/rrpc/response", b"{}", "invalid_topic"),
        (f"upload_data/{key}/t/m2", b"x" * 262_145, "payload_too_large"),
    ]
    taken = [(f"upload_data/{key}/t/m{n}", b"not json" if n % 2 else b"{}") for n in range(len(refused))]
    mixed = [
        pair for (topic, payload, _), good in zip(refused, taken, strict=True) for pair in ((topic, payload), good)
    ]
    publish(stack.mqtt_internal_port, None, mixed)
    stored = await_records(stack.kafka, names.DEVICE_TELEMETRY, len(taken), key=key.encode())
    assert [record.message["message_id"] for record in stored] == [f"m{n}" for n in range(len(taken))]
    found = eventually(lambda: all_of(letters(stack, product), len(refused)), 30)
    assert sorted((m["origin"], base64.b64decode(m["payload"]), m["reason"]) for m in found) == sorted(
        (f"mqtt:{topic}", payload, reason) for topic, payload, reason in refused
    )
    assert {m["service"] for m in found} == {"ingest"}


def all_of(found: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    assert len(found) >= count, f"{len(found)} of {count}"
    return found


def test_messages_of_every_quality_of_service_are_taken_once(stack: Stack) -> None:
    product = unique("qos")
    for qos in (0, 1, 2):
        publish(stack.mqtt_port, f"{product}/d1", [(f"upload_data/{product}/d1/t/q{qos}", b"1")], qos=qos)
    stored = await_records(stack.kafka, names.DEVICE_TELEMETRY, 3, key=f"{product}/d1".encode())
    assert sorted(record.message["message_id"] for record in stored) == ["q0", "q1", "q2"]
    assert [record.message["packet_id"] == 0 for record in stored] == [True, False, False]


def test_an_unknown_resource_of_the_hub_is_dropped_and_its_neighbour_answered(stack: Stack) -> None:
    product = unique("pull")
    key = f"{product}/d1"
    pulls = [(f"get/{key}/{resource}/m1", b"") for resource in ("$weather", "config", "$ntp", "$shadow")]
    publish(stack.mqtt_port, key, pulls)
    for topic, kind in (
        (names.APP_DATA_REQUESTS, "data_requested"),
        (names.COMMANDS_INBOX, "resource_requested"),
        (names.SHADOW_INBOX, "shadow_pulled"),
    ):

        def written(topic: str = topic) -> list[str]:
            kinds = [record.message["type"] for record in read_all(stack.kafka, topic, key=key.encode())]
            return [kind for kind in kinds if kind.endswith(("_requested", "_pulled"))]  # presence writes there too

        assert eventually(written, 30) == [kind]
    assert letters(stack, product) == []
