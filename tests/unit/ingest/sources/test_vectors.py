"""The published vectors hold for every source of connection events that speaks JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from libs.topics.codec import Decoder
from libs.topics.messages.presence import ConnectionObserved
from libs.topics.names import PRESENCE_INBOX
from services.ingest import sources
from services.ingest.model import Dropped, Letter
from services.ingest.parse import Parser
from services.ingest.sources.emqx import TAKEOVERS, Emqx
from services.ingest.sources.relay import FORMS, Relay
from services.ingest.sources.rmqtt import Rmqtt

if TYPE_CHECKING:
    from services.ingest.sources.common import Source

NOW = 1_795_260_069_500
BROKERS: dict[str, Source] = {"emqx": Emqx(("emqx@127.0.0.1",), 3), "rmqtt": Rmqtt(("1",), 3)}
CASES = [
    (path.stem, case)
    for path in sorted((Path(next(iter(sources.__path__))) / "vectors").glob("*.json"))
    for case in msgspec.json.decode(path.read_bytes())
]
IDS = [f"{file}: {case['name']}" for file, case in CASES]
decode: Decoder[ConnectionObserved] = Decoder(ConnectionObserved)


def parser(file: str) -> Parser:
    return Parser(BROKERS[file.partition("-")[0].replace("aliyun", "emqx")], 262_144, Relay())


@pytest.mark.parametrize(("file", "case"), CASES, ids=IDS)
def test_vector(file: str, case: dict[str, Any]) -> None:
    parsed = parser(file)(case["topic"], msgspec.json.encode(case["payload"]), 9, NOW)
    if "dropped" in case:
        assert parsed == Dropped(case["dropped"])
        return
    assert isinstance(parsed, tuple)
    (record,) = parsed
    if "refused" in case:
        assert isinstance(record, Letter)
        assert record.reason == case["refused"]
        return
    expected = case["becomes"]
    assert (record.topic, record.partition) == (PRESENCE_INBOX, -1)
    assert record.key == f"{expected['product_id']}/{expected['device_id']}".encode()
    assert decode(record.value) == msgspec.convert(
        {"type": "connection_observed", "channel_id": None, "sequence": 9, "ingested_at": NOW} | expected,
        ConnectionObserved,
    )


def test_every_source_and_every_kind_of_outcome_has_a_vector() -> None:
    assert {file for file, _ in CASES} == {"emqx-system", "rmqtt", *FORMS}
    for file in {file for file, _ in CASES}:
        cases = [case for of, case in CASES if of == file]
        assert len({case["name"] for case in cases}) == len(cases)
        assert any("becomes" in case for case in cases)
        assert any("refused" in case for case in cases)


def test_every_reason_that_means_a_takeover_has_a_vector() -> None:
    took_over = {case["becomes"]["reason"] for _, case in CASES if case.get("becomes", {}).get("takeover")}
    assert took_over >= {*TAKEOVERS, "Kicked", "ConnectKicked(false)"}
