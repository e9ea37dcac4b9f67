"""The loop that ingest is compared with acknowledges in order, and only what Kafka has."""

from __future__ import annotations

from typing import Any, cast

import mqtt5
from confluent_kafka import KafkaError

from bench.plain_bridge import Plain

MESSAGES = [
    mqtt5.PublishPacket(f"upload_data/p/d{n}/t/m", b"1", qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=n) for n in (1, 2, 3)
]


class Ends:
    """Producer and link in one."""

    def __init__(self) -> None:
        self.produced: list[tuple[Any, ...]] = []
        self.written = b""

    def produce(self, *told: Any) -> None:
        self.produced.append(told)

    def poll(self, _timeout: float) -> None:
        """No news."""

    def write(self, data: bytes) -> None:
        self.written += data

    def resume(self, _why: str) -> None:
        """Fine."""


async def test_a_message_is_acknowledged_once_it_and_those_before_it_are_delivered() -> None:
    ends = Ends()
    plain = Plain(cast("Any", ends), "topic")
    await plain.opened(cast("Any", ends), session_present=True)
    plain.receive(MESSAGES)
    assert [told[:3] for told in ends.produced] == [("topic", b"1", f"d{n}") for n in (1, 2, 3)]
    first, second, third = (told[-1] for told in ends.produced)
    second(None, None)
    third(KafkaError(KafkaError._MSG_TIMED_OUT), None)
    plain._turn()
    assert ends.written == b""
    first(None, None)
    plain._turn()
    assert ends.written == b"\x40\x02\x00\x01\x40\x02\x00\x02"
