"""Rows of EMQX's list of clients, in the form of its documentation and source."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.sources.common import Unfit
from services.ingest.sources.emqx import opened
from services.ingest.sources.emqx_clients import Row, connected_at, middle, observed, page, running
from tests.support.emqx_api import client

AT = 1_704_083_696_789
NOW = 1_795_260_069_500
NODE = "emqx@127.0.0.1"


def row(**fields: Any) -> Row:
    return msgspec.convert(client(1, AT, NODE) | fields, Row)


def test_a_row_is_the_connect_that_its_event_was() -> None:
    event = {
        "username": "p/d1",
        "ts": AT + 3,
        "proto_ver": 5,
        "keepalive": 60,
        "ipaddress": "192.0.2.7",
        "connected_at": AT,
        "clientid": "c1",
    }
    told = opened(msgspec.json.encode(event), NODE, 0, NOW)
    found = observed(row(), NODE, "l1", NOW)
    assert found is not None
    assert found.listing == "l1"
    assert msgspec.structs.replace(found, listing=None) == told


@pytest.mark.parametrize(
    "fields",
    [
        {"connected": False, "connected_at": None},
        {"node": "emqx@other"},
        {"username": None},
        {"username": "fleetlog", "clientid": "fleetlog-ingest"},
        {"username": "p/d1/x"},
        {"username": "p/ü"},
        {"clientid": ""},
        {"clientid": "c" * 257},
        {"clientid": "c\n1"},
    ],
    ids=str,
)
def test_what_is_no_connection_of_a_device_of_the_node_is_passed_over(fields: dict[str, Any]) -> None:
    assert observed(row(**fields), NODE, "l1", NOW) is None


@pytest.mark.parametrize(
    "text",
    [None, "", "2024-01-01 12:34:56", "2024-01-01T12:34:56.789", "soon", "1704083696789", "1969-01-01T00:00:00Z"],
)
def test_a_connection_that_cannot_be_named_spoils_the_list(text: str | None) -> None:
    with pytest.raises(Unfit):
        observed(row(connected_at=text), NODE, "l1", NOW)


@pytest.mark.parametrize(
    "text", ["2024-01-01T12:34:56.789+08:00", "2024-01-01T04:34:56.789Z", "2024-01-01T04:34:56.789+00:00"]
)
def test_a_time_is_exact_whatever_its_zone(text: str) -> None:
    assert connected_at(row(connected_at=text)) == AT


@given(st.integers(10**12, 4 * 10**12))
def test_every_millisecond_comes_back(at: int) -> None:
    assert connected_at(msgspec.convert(client(1, at), Row)) == at


def test_what_is_missing_in_a_row_is_missing_in_the_event() -> None:
    bare = {"clientid": "c1", "connected": True, "username": "p/d1", "connected_at": "2024-01-01T04:34:56.789Z"}
    found = observed(msgspec.convert(bare, Row), NODE, "l1", NOW)
    assert found is not None
    assert (found.client_ip, found.protocol, found.keepalive) == (None, None, None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"data":[]}',
        b'{"data":[],"meta":{}}',
        b'{"data":[{"clientid":"c1"}],"meta":{"hasnext":false}}',
    ],
)
def test_another_form_is_no_answer(body: bytes) -> None:
    with pytest.raises(Unfit):
        page(body, 0, NOW)


def test_rows_outside_the_range_show_that_the_question_was_not_understood() -> None:
    body = msgspec.json.encode({"data": [client(1, AT)], "meta": {"hasnext": False}})
    assert page(body, AT, AT).whole
    for low, high in ((AT + 1, NOW), (0, AT - 1)):
        with pytest.raises(Unfit, match="other times"):
            page(body, low, high)


def test_a_session_that_is_kept_without_a_connection_may_stand_anywhere() -> None:
    body = msgspec.json.encode({"data": [client(1, AT, connected=False)], "meta": {"hasnext": True}})
    found = page(body, AT + 1, NOW)
    assert not found.whole
    assert middle(found.data, 10, 20) == 15


@given(st.lists(st.integers(0, 1000), max_size=20), st.integers(0, 1000), st.integers(0, 1000))
def test_a_range_is_cut_into_two_smaller_ones(times: list[int], one: int, other: int) -> None:
    low, high = AT + min(one, other), AT + max(one, other)
    rows = [msgspec.convert(client(n, AT + time), Row) for n, time in enumerate(times)]
    if low == high:
        with pytest.raises(Unfit, match="millisecond"):
            middle(rows, low, high)
        return
    assert low <= middle(rows, low, high) < high


def test_nodes_that_run_are_told_with_their_uptimes() -> None:
    nodes = [
        {"node": "emqx@a", "node_status": "running", "uptime": 13_000, "version": "5.8.6", "connections": 3},
        {"node": "emqx@b", "node_status": "Running", "uptime": "1 hours, 2 minutes, 3 seconds"},
        {"node": "emqx@c", "node_status": "stopped"},
        {"node": "emqx@d", "node_status": "ERROR"},
    ]
    assert running(msgspec.json.encode(nodes)) == {"emqx@a": 13_000, "emqx@b": None}
    assert running(b"[]") == {}
