"""More deliveries than there are packet ids. On mosquitto, which counts them up and begins anew; others take any."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bench.support.mqtt_load import Load
from tests.integration.runtime.mqtt.brokers import Mosquitto
from tests.integration.runtime.mqtt.taker import PATIENCE, Session, Taker

if TYPE_CHECKING:
    from pathlib import Path

IDS = 65_535
"""Packet ids that there are."""
COUNT = IDS + 2_000


async def test_packet_ids_wrap_and_every_message_still_comes_once_and_in_order(tmp_path: Path) -> None:
    taker = Taker()
    payloads = [b"%d" % number for number in range(COUNT)]
    with Mosquitto(tmp_path) as broker:
        async with Session(broker.port, "wrap", taker) as session:
            with Load(broker.port, [("wrap/t", payload) for payload in payloads]) as load:
                await asyncio.to_thread(load.done, PATIENCE)
            await session.received(COUNT)
    assert taker.payloads == payloads
    ids = [packet.packet_id for packet in taker.packets]
    assert ids == [number % IDS + 1 for number in range(COUNT)]
