"""Whatever arrives has exactly one outcome, which depends on topic, payload and packet id alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.topics.codec import Decoder
from libs.topics.identity import BROADCAST_KEY, device_key
from libs.topics.messages.deadletters import DeadLetter
from libs.topics.messages.presence import ConnectionObserved
from libs.topics.names import PRESENCE_INBOX
from services.ingest import letters, sources
from services.ingest.model import STAMP, Dropped, Letter
from services.ingest.parse import Parser
from services.ingest.sources.common import MAX_TEXT, MILLIS, SECONDS
from services.ingest.sources.emqx import Emqx
from services.ingest.sources.relay import Relay
from services.ingest.sources.rmqtt import Rmqtt

NOW = 1_795_260_069_500
MAX = 300_000
PARSERS = [Parser(Emqx(("n@h",), 2), MAX, Relay()), Parser(Rmqtt(("1",), 2), MAX, Relay())]
CASES = [
    case
    for path in sorted((Path(next(iter(sources.__path__))) / "vectors").glob("*.json"))
    for case in msgspec.json.decode(path.read_bytes())
]
observed: Decoder[ConnectionObserved] = Decoder(ConnectionObserved)
dead: Decoder[DeadLetter] = Decoder(DeadLetter)

LEVEL = st.text(max_size=12) | st.sampled_from(
    ["1", "n@h", "c1", "p1/d1", "connected", "disconnected", "emqx-hook", ""]
)
TOPIC = st.builds(
    lambda head, levels: head + "/".join(levels),
    st.sampled_from(["$SYS/brokers/", "$SYS/brokers/1/clients/", "fleetlog/connections/"]),
    st.lists(LEVEL, max_size=4),
) | st.sampled_from([case["topic"] for case in CASES])
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
FIELD = st.sampled_from(
    sorted({name for case in CASES if isinstance(case["payload"], dict) for name in case["payload"]})
)
EVENT = st.builds(
    lambda case, changes, gone: (
        case["topic"],
        msgspec.json.encode({k: v for k, v in (dict(case["payload"]) | changes).items() if k not in gone}),
    ),
    st.sampled_from([case for case in CASES if isinstance(case["payload"], dict)]),
    st.dictionaries(FIELD, VALUE, max_size=3),
    st.sets(FIELD, max_size=2),
)
BYTES = st.binary(max_size=80) | st.builds(
    lambda payload, at: payload[:at],
    st.sampled_from([msgspec.json.encode(case["payload"]) for case in CASES]),
    st.integers(0, 400),
)
parsers = pytest.mark.parametrize("parse", PARSERS, ids=["emqx", "rmqtt"])


@parsers
@given(message=st.tuples(TOPIC, BYTES) | EVENT, packet_id=st.integers(0, 65_535), later=st.integers(0, 10**10))
def test_anything_has_one_outcome_that_depends_on_the_time_in_its_stamp_only(
    parse: Parser, message: tuple[str, bytes], packet_id: int, later: int
) -> None:
    parsed, again = parse(*message, packet_id, NOW), parse(*message, packet_id, NOW + later)
    if not isinstance(parsed, tuple) or not isinstance(again, tuple):
        assert isinstance(parsed, Dropped)
        assert parsed == again
        return
    (record,), (other,) = parsed, again
    assert record.value[:-STAMP] == other.value[:-STAMP]
    assert record.value[-STAMP:-1].endswith(b'_at":%d' % NOW)
    assert (record.topic, record.key, record.partition) == (other.topic, other.key, other.partition)
    if isinstance(record, Letter):
        assert record.topic == letters.TOPIC
        assert dead(record.value).reason == record.reason
        return
    event = observed(record.value)
    assert (record.topic, record.key) == (PRESENCE_INBOX, device_key(event.product_id, event.device_id))
    assert event.time in MILLIS
    assert event.sequence == packet_id
    assert len(event.source) <= 64
    assert len(event.client_id) <= MAX_TEXT
    assert event.channel_id is not None or event.event == "tcpclean"


@given(st.text(max_size=40))
def test_no_other_user_name_speaks_for_a_device(username: str) -> None:
    payload = msgspec.json.encode({"clientid": "c1", "username": username, "connected_at": NOW})
    parsed = PARSERS[0]("$SYS/brokers/n@h/clients/c1/connected", payload, 1, NOW)
    speaks_of_it = isinstance(parsed, tuple) and parsed[0].key == b"prod/d1"
    assert speaks_of_it is (username == "prod/d1")


@given(st.text(min_size=1, max_size=30), st.sampled_from(["connected", "disconnected"]))
def test_a_client_id_cannot_make_the_topic_say_another_client(client: str, what: str) -> None:
    fields: dict[str, Any] = {"clientid": client, "username": "p1/d1", "reason": "x"}
    times = {"connected_at": NOW} if what == "connected" else {"disconnected_at": NOW}
    parsed = PARSERS[1](f"$SYS/brokers/1/clients/{client}/{what}", msgspec.json.encode(fields | times), 1, NOW)
    assert isinstance(parsed, tuple)
    if isinstance(parsed[0], Letter):
        assert not client.isprintable()
    else:
        assert observed(parsed[0].value).client_id == client


def test_seconds_and_milliseconds_are_never_mistaken_for_each_other() -> None:
    assert SECONDS.stop <= MILLIS.start
    assert len(str(SECONDS.start)) == len(str(SECONDS.stop)) == 10


@pytest.mark.parametrize("name", ["eventType", "clientId", "channelId"])
def test_a_dead_letter_of_a_large_event_fits_a_kafka_record(name: str) -> None:
    event = {"clientId": "G@@@D", "time": NOW, "eventType": "connect", "channelId": "c"} | {name: "\0" * 40_000}
    parsed = PARSERS[0]("fleetlog/connections/aliyun/a", msgspec.json.encode(event), 1, NOW)
    assert isinstance(parsed, tuple)
    (record,) = parsed
    assert isinstance(record, Letter)
    assert len(record.value) < 400_000


@pytest.mark.parametrize(
    ("source", "names"),
    [(Emqx(("a@h", "b@h"), 2), ["emqx:a@h", "emqx:b@h"]), (Rmqtt(("1", "2"), 2), ["rmqtt:1", "rmqtt:2"])],
    ids=["emqx", "rmqtt"],
)
def test_a_lost_session_tells_the_start_of_every_node_to_every_partition(
    source: Emqx | Rmqtt, names: list[str]
) -> None:
    told = source.started(NOW - 2000, 0, NOW)
    assert isinstance(told, tuple)
    assert {(record.topic, record.key) for record in told} == {(PRESENCE_INBOX, BROADCAST_KEY)}
    found = [(record.partition, msgspec.json.decode(record.value)) for record in told]
    assert [(event["source"], partition, event["partition"], event["time"]) for partition, event in found] == [
        (name, partition, partition, NOW - 2000) for name in names for partition in range(2)
    ]
