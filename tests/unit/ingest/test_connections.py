"""mosquitto 2.0.11's own lines, as measured, and every way found to forge them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.topics.identity import BROADCAST_KEY
from libs.topics.names import PRESENCE_INBOX
from services.ingest.connections import LOG_TOPIC, Observer
from services.ingest.model import Dropped, Letter, Parsed

NOW = 1_795_260_069_500
observe = Observer("mosquitto:main", 3)


def said(kind: str, text: str | bytes, seconds: int = 1_795_260_069) -> Parsed:
    line = text if isinstance(text, bytes) else text.encode()
    return observe(LOG_TOPIC + kind, b"%d: " % seconds + line, 9, NOW)


def event(parsed: Parsed) -> dict[str, Any]:
    assert isinstance(parsed, tuple)
    (record,) = parsed
    assert not isinstance(record, Letter), record
    assert (record.topic, record.key, record.partition) == (PRESENCE_INBOX, b"prod/d1", -1)
    decoded: dict[str, Any] = msgspec.json.decode(record.value)
    return decoded


CLOSE = {
    "type": "connection_observed",
    "product_id": "prod",
    "device_id": "d1",
    "client_id": "prod/d1",
    "channel_id": None,
    "event": "tcpclean",
    "time": 1_795_260_069_000,
    "source": "mosquitto:main",
    "sequence": 9,
    "client_ip": None,
    "protocol": None,
    "keepalive": None,
    "goodbye": False,
    "takeover": False,
    "listing": None,
    "ingested_at": NOW,
}


@pytest.mark.parametrize(("number", "level"), [(1, 3), (2, 4), (5, 5)])
def test_a_connect_names_its_channel_by_second_and_address(number: int, level: int) -> None:
    found = event(said("N", f"New client connected from 127.0.0.1:48674 as prod/d1 (p{number}, c1, k10, u'prod/d1')."))
    assert found == CLOSE | {
        "channel_id": "1795260069-127.0.0.1:48674",
        "event": "connect",
        "client_ip": "127.0.0.1",
        "protocol": level,
        "keepalive": 10,
        "reason": None,
        "listing": None,
    }


def test_an_address_may_be_of_either_family() -> None:
    found = event(said("N", "New client connected from 2001:db8::7:48674 as prod/d1 (p5, c0, k0, u'prod/d1')."))
    assert (found["client_ip"], found["channel_id"]) == ("2001:db8::7", "1795260069-2001:db8::7:48674")


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("Client prod/d1 disconnected.", {"reason": "disconnected", "goodbye": True}),
        ("Client prod/d1 closed its connection.", {"reason": "closed its connection"}),
        ("Client prod/d1 has exceeded timeout, disconnecting.", {"reason": "has exceeded timeout, disconnecting"}),
        ("Client prod/d1 disconnected due to protocol error.", {"reason": "disconnected due to protocol error"}),
        ("Client prod/d1 disconnected due to malformed packet.", {"reason": "disconnected due to malformed packet"}),
        ("Client prod/d1 disconnected due to oversize packet.", {"reason": "disconnected due to oversize packet"}),
        (
            "Client prod/d1 been disconnected by administrative action.",
            {"reason": "been disconnected by administrative action"},
        ),
        ("Client prod/d1 disconnected: Broken pipe.", {"reason": "disconnected: Broken pipe"}),
        ("Bad socket read/write on client prod/d1: Unknown error.", {"reason": "Bad socket read/write"}),
        ("Bad socket read/write on client prod/d1: A TLS error occurred.", {"reason": "Bad socket read/write"}),
    ],
)
def test_a_close_has_the_brokers_words_and_no_channel(text: str, own: dict[str, Any]) -> None:
    assert event(said("N", text)) == CLOSE | own


def test_a_takeover_closes_without_saying_anything_of_the_newest_channel() -> None:
    found = event(said("E", "Client prod/d1 already connected, closing old connection."))
    assert found == CLOSE | {"reason": "already connected, closing old connection", "takeover": True}


def test_a_start_of_the_broker_is_told_to_every_partition() -> None:
    parsed = said("I", "mosquitto version 2.0.11 running")
    assert isinstance(parsed, tuple)
    assert [(r.topic, r.key, r.partition) for r in parsed] == [(PRESENCE_INBOX, BROADCAST_KEY, n) for n in range(3)]
    assert [msgspec.json.decode(r.value) for r in parsed] == [
        {
            "type": "source_started",
            "source": "mosquitto:main",
            "time": 1_795_260_069_000,
            "sequence": 9,
            "partition": n,
            "ingested_at": NOW,
        }
        for n in range(3)
    ]


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        ("N", "New connection from 127.0.0.1:48674 on port 24504.", "log_line"),
        ("I", "mosquitto version 2.0.11 starting", "log_line"),
        ("I", "mosquitto version 2.0.11 terminating", "log_line"),
        ("I", "Saving in-memory database to /var/lib/mosquitto/mosquitto.db.", "log_line"),
        ("N", "Bad client prod/d1 sending multiple CONNECT messages.", "log_line"),
        ("N", 'ACL denying access to client with dangerous username "+/+"', "log_line"),
        ("N", "Expiring client prod/d1 due to timeout.", "log_line"),
        ("N", "Client connection from 127.0.0.1 failed: error:0A00010B:SSL routines::wrong version.", "log_line"),
        ("N", "New client connected from 127.0.0.1:1 as fleetlog-ingest (p5, c0, k30).", "internal_client"),
        ("N", "New client connected from 127.0.0.1:1 as hub (p5, c0, k30, u'hub').", "internal_client"),
        ("N", "Client fleetlog-ingest disconnected.", "internal_client"),
        ("E", "Client fleetlog-ingest already connected, closing old connection.", "internal_client"),
        ("N", "Client <unknown> closed its connection.", "internal_client"),
        ("N", "Client <unknown> disconnected due to protocol error.", "internal_client"),
        ("N", "New client connected from 127.0.0.1:1 as prod/d1 (p5, c1, k60).", "internal_client"),
        ("N", "New client connected from 127.0.0.1:1 as prod/d1 (p5, c1, k60, u'hub').", "internal_client"),
        (
            "N",
            "New client connected from 127.0.0.1:1 as prod/$register (p2, c1, k60, u'prod/$register').",
            "self_registration",
        ),
        ("N", "Client prod/$register disconnected.", "self_registration"),
        ("E", "Client prod/$register already connected, closing old connection.", "self_registration"),
        ("N", "Bad socket read/write on client prod/$register: Unknown error.", "self_registration"),
    ],
)
def test_other_lines_are_counted_and_dropped(kind: str, text: str, reason: str) -> None:
    assert said(kind, text) == Dropped(reason)


def test_a_connect_that_was_refused_closes_nothing() -> None:
    """Without a user name the broker logs the client id that came along, which may be any device's."""
    assert said("N", "Client prod/d1 disconnected, not authorised.") == Dropped("no_user_name")


def test_refused_credentials_are_counted_apart_the_broker_names_nobody() -> None:
    assert said("N", "Client <unknown> disconnected, not authorised.") == Dropped("connection_refused")


FORGED = [
    # the user name of a device that goes on after another's
    "New client connected from 1.2.3.4:5 as prod/d1 (p2, c1, k10, u'prod/d1'). (p2, c1, k10, u'prod/d1 (p2…').",
    "New client connected from 1.2.3.4:5 as p/g (p2, c1, k10, u'p/g') (p2, c1, k10, u'p/g (p2, c1, k10, u'p/g')').",
    "New client connected from 1.2.3.4:5 as x as prod/d1 (p2, c1, k10, u'prod/d1').",
    "Client prod/d1 disconnected. closed its connection.",
    "Client prod/d1 disconnected: x disconnected.",
    "Client prod/d1 disconnected: closed its connection.",
    "Client prod/d1 disconnected: x disconnected: Broken pipe.",
    "Client prod/d1 disconnected: has exceeded timeout, disconnecting.",
    "Client x Client prod/d1 disconnected.",
    "Client prod/d1  disconnected.",
    "Client prod/d1 disconnected.\nClient prod/d1 disconnected.",
    "Client prod/d1\n disconnected.",
    "Client prod/d1 disconnected.\n",
    "Bad socket read/write on client prod/d1: x: Unknown error.",
    # not the alphabet of names
    "Client prod/dé1 disconnected.",
    "Client prod/d1\u200b disconnected.",
    "Client prod/d\u0661 disconnected.",
    "Client prod/d1/x disconnected.",
    "Client /d1 disconnected.",
    # not the form of a joining client
    "Client /$register disconnected.",
    "Client p/$register/x disconnected.",
    "Client p/$registered disconnected.",
    "Client x p/$register disconnected.",
    "Client p/$register prod/d1 disconnected.",
    f"Client prod/{'d' * 65} disconnected.",
    # id and user name differ: not the device listener
    "New client connected from 1.2.3.4:5 as prod/d1 (p2, c1, k10, u'prod/d2').",
    "New bridge connected from 1.2.3.4:5 as prod/d1 (p2, c1, k10, u'prod/d1').",
    # cut by the broker at 999 bytes, just where it would look complete
    ("New client connected from 1.2.3.4:5 as prod/d1 (p2, c1, k" + "0" * 2000)[:960] + ", u'prod/d1').",
    ("Client prod/" + "d" * 2000)[:999],
    # numbers of other alphabets
    "New client connected from 1.2.3.4:\u0665 as prod/d1 (p2, c1, k10, u'prod/d1').",
]


@pytest.mark.parametrize("text", FORGED)
def test_a_line_that_only_looks_like_a_devices_is_one_dead_letter(text: str) -> None:
    parsed = said("N", text)
    assert isinstance(parsed, tuple)
    (record,) = parsed
    assert isinstance(record, Letter)
    assert record.reason == "invalid_client"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("N", "Client prod/d1 already connected, closing old connection."),
        ("E", "Client prod/d1 disconnected."),
        ("E", "New client connected from 1.2.3.4:5 as prod/d1 (p2, c1, k10, u'prod/d1')."),
        ("W", "Client prod/d1 already connected, closing old connection."),
    ],
)
def test_a_line_counts_only_on_its_own_log_topic(kind: str, text: str) -> None:
    parsed = said(kind, text)
    assert isinstance(parsed, tuple)
    assert isinstance(parsed[0], Letter)


@pytest.mark.parametrize("text", ["mosquitto version 2.0.11 running\n", "x mosquitto version 2.0.11 running"])
def test_only_the_whole_line_is_a_start(text: str) -> None:
    assert said("I", text) == Dropped("log_line")


def test_nothing_that_a_client_says_reaches_the_topic_of_starts() -> None:
    assert said("N", "mosquitto version 2.0.11 running") == Dropped("log_line")


@pytest.mark.parametrize("line", [b"", b"Client prod/d1 disconnected.", b"2026-11-21: x", b"-1: x", b"1:x", b"\xff"])
def test_a_line_without_its_second_is_one_dead_letter(line: bytes) -> None:
    parsed = observe(LOG_TOPIC + "N", line, 9, NOW)
    assert isinstance(parsed, tuple)
    assert isinstance(parsed[0], Letter)
    assert parsed[0].reason == "invalid_log_line"


NAME = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
USER = st.text(min_size=1, max_size=60) | st.builds(
    lambda name, tail: f"prod/d1{name}{tail}",
    st.sampled_from([" disconnected.", " closed its connection.", ": x", " (p2, c1, k10, u'prod/d1').", " "]),
    st.text(max_size=20),
)


@given(USER, st.sampled_from(["disconnected", "closed its connection", "has exceeded timeout, disconnecting"]))
def test_no_other_user_name_can_close_a_devices_connection(user: str, ending: str) -> None:
    parsed = said("N", f"Client {user} {ending}.".encode()[:999])
    speaks_of_it = isinstance(parsed, tuple) and parsed[0].key == b"prod/d1"
    assert speaks_of_it is (user == "prod/d1")


@given(USER)
def test_no_other_user_name_can_open_a_connection_as_a_device(user: str) -> None:
    line = f"New client connected from 1.2.3.4:5 as {user} (p2, c1, k10, u'{user}')."
    parsed = said("N", line.encode()[:999])
    speaks_of_it = isinstance(parsed, tuple) and parsed[0].key == b"prod/d1"
    assert speaks_of_it is (user == "prod/d1")


@given(NAME, NAME)
def test_every_valid_device_is_seen(product_id: str, device_id: str) -> None:
    client = f"{product_id}/{device_id}"
    opened = said("N", f"New client connected from 1.2.3.4:5 as {client} (p2, c1, k10, u'{client}').")
    closed = said("N", f"Client {client} disconnected.")
    assert isinstance(opened, tuple)
    assert isinstance(closed, tuple)
    assert opened[0].key == closed[0].key == client.encode()
