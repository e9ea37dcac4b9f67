"""The IoTHub dialect and the native form: what their messages mean, and how they are answered."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from libs.shadow import document
from services.shadow import iothub
from services.shadow.intents import Acknowledge, Exact, Fetch, Report, ReportedExact, Unreadable
from tests.support.shadow.heard import heard
from tests.support.shadow.payloads import GARBAGE, payloads

AT = 123_456_789_012
PULLED, REPORTED, UPDATED = (
    "get/p1/d1/$shadow/m1",
    "upload_data/p1/d1/$shadow_reported/m1",
    "upload_data/p1/d1/$shadow_updated/m1",
)
OFF = {"lights": "off"}


def read(topic: str, payload: Any) -> Any:
    sent = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return iothub.read(heard(topic, sent))


def reported(state: Any, **more: Any) -> dict[str, Any]:
    return {"state": {"reported": state}, **more}


def report(reported: Any, via: Any, condition: Any = None, shadow: str | None = None) -> Report:
    return Report(shadow, via, condition, reported, ("reported",) if reported is None else (), "reported")


@pytest.mark.parametrize(
    ("payload", "intent"),
    [
        (b"", Fetch(None, "iothub")),
        (b"\xff", Fetch(None, "iothub")),
        ({}, Fetch(None, "iothub")),
        ([1], Fetch(None, "iothub")),
        ({"shadow": None}, Fetch(None, "native")),
        ({"shadow": "night"}, Fetch("night", "native")),
    ],
)
def test_any_payload_asks_for_the_document_and_may_name_one(payload: Any, intent: Fetch) -> None:
    assert read(PULLED, payload) == intent


@pytest.mark.parametrize("topic", [PULLED, REPORTED, UPDATED])
@pytest.mark.parametrize("name", ["", "a b", "x" * 65, 5, [], {}, True])
def test_a_name_that_is_none(topic: str, name: Any) -> None:
    found = read(topic, {"shadow": name, **reported(OFF)})
    assert (found.shadow, found.via, found.code) == (None, "native", "invalid_shadow_name")


@pytest.mark.parametrize(
    ("payload", "intent"),
    [
        (reported(OFF, version=1), report(OFF, "iothub", Exact(1))),
        (reported(OFF, version=1.0), report(OFF, "iothub", Exact(1))),
        (reported({"lights": None}, version=2), report({"lights": None}, "iothub", Exact(2))),
        (reported({}, version=2), report({}, "iothub", Exact(2))),
        (reported(None, version=2), report(None, "iothub", Exact(2))),
        ({"state": {"reported": OFF, "desired": None}, "version": 1}, report(OFF, "iothub", Exact(1))),
        (reported(OFF), report(OFF, "native")),
        (reported(OFF, version=None), report(OFF, "native")),
        (reported(None), report(None, "native")),
        (reported(OFF, reported_version=3), report(OFF, "native", ReportedExact(3))),
        (reported(OFF, reported_version=3, version=5), report(OFF, "native", Exact(5))),
        (reported(OFF, shadow="night"), report(OFF, "native", None, "night")),
        (reported(OFF, shadow="night", reported_version=3), report(OFF, "native", ReportedExact(3), "night")),
        (reported(OFF, shadow="night", version=3), report(OFF, "native", Exact(3), "night")),
        (reported(OFF, shadow=None, version=3), report(OFF, "native", Exact(3))),
    ],
)
def test_what_a_report_means(payload: Any, intent: Report) -> None:
    assert read(REPORTED, payload) == intent


@pytest.mark.parametrize(
    "payload", [{"state": {"desired": None}, "version": 1}, {"state": {"desired": None}, "version": 1.0}]
)
def test_what_an_acknowledgement_means(payload: Any) -> None:
    assert read(UPDATED, payload) == Acknowledge(1)


@pytest.mark.parametrize(
    ("topic", "payload", "via", "code"),
    [
        (REPORTED, b"", "iothub", "invalid_json"),
        (REPORTED, b"[]", "iothub", "invalid_json"),
        (REPORTED, b'{"state": {"reported": {"x": 18446744073709551616}}}', "iothub", "invalid_json"),
        (REPORTED, {}, "native", "invalid_state"),
        (REPORTED, {"version": 1}, "iothub", "invalid_state"),
        (REPORTED, {"state": {}, "version": 1}, "iothub", "invalid_state"),
        (REPORTED, reported("off", version=1), "iothub", "invalid_state"),
        (REPORTED, reported("null", version=1), "iothub", "invalid_state"),
        (REPORTED, reported(OFF, version="1"), "iothub", "invalid_version"),
        (REPORTED, reported(OFF, version=True), "iothub", "invalid_version"),
        (REPORTED, reported(OFF, version=2**63), "iothub", "invalid_version"),
        (REPORTED, reported(OFF, reported_version=1.5), "native", "invalid_version"),
        (UPDATED, b"{", "iothub", "invalid_json"),
        (UPDATED, {"version": 1}, "iothub", "invalid_state"),
        (UPDATED, {"state": {}, "version": 1}, "iothub", "invalid_state"),
        (UPDATED, {"state": {"desired": {}}, "version": 1}, "iothub", "invalid_state"),
        (UPDATED, {"state": {"desired": "null"}, "version": 1}, "iothub", "invalid_state"),
        (UPDATED, {"state": {"desired": None}}, "iothub", "invalid_version"),
        (UPDATED, {"state": {"desired": None}, "version": [1]}, "iothub", "invalid_version"),
        (UPDATED, {"state": {"desired": None}, "version": 1, "shadow": "night"}, "native", "no_acknowledgement"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_wrong_with_a_message(topic: str, payload: Any, via: str, code: str) -> None:
    found = read(topic, payload)
    assert isinstance(found, Unreadable)
    assert (found.via, found.code) == (via, code)
    assert len(found.detail) < 200


@given(st.sampled_from([PULLED, REPORTED, UPDATED]), payloads())
@example(REPORTED, GARBAGE[0])
def test_any_bytes_mean_something(topic: str, payload: bytes) -> None:
    found = read(topic, payload)
    assert isinstance(found, Report | Acknowledge | Fetch | Unreadable)
    assert not isinstance(found, Fetch) or topic == PULLED


def both() -> document.Document:
    before, _ = document.change(document.empty(0), 123_456_000_000, desired=None, reported={"lights": "on"})
    return document.change(before, AT, desired={"lights": "off"}, reported=None)[0]


WHOLE = {
    "state": {"reported": {"lights": "on"}, "desired": {"lights": "off"}},
    "metadata": {
        "reported": {"lights": {"timestamp": 123_456_000}},
        "desired": {"lights": {"timestamp": 123_456_789}},
    },
    "version": 2,
    "timestamp": 123_456_789,
}


def test_the_documents_of_the_dialect() -> None:
    assert iothub.whole(both()) == WHOLE
    assert list(iothub.whole(both())) == ["state", "metadata", "version", "timestamp"]
    success = {"status": "success", "timestamp": 123_456_999, "version": 2}
    assert iothub.accepted(both(), 123_456_999_999) == success
    assert iothub.refused("invalid_state", both(), 123_456_999_999) == {**success, "status": "invalid_state"}


def test_the_native_form_tells_what_differs_and_the_version_that_reports_are_checked_against() -> None:
    assert iothub.whole(both(), "native") == {**WHOLE, "reported_version": 1, "delta": {"lights": "off"}}
    reply = {"status": "success", "timestamp": 123_456_789, "version": 2, "reported_version": 1}
    assert iothub.accepted(both(), AT, "native") == {**reply, "delta": {"lights": "off"}}
    assert iothub.refused("invalid_state", both(), AT, "native") == {**reply, "status": "invalid_state"}
    agreed, _ = document.change(both(), AT, desired=None, reported=OFF)
    assert "delta" not in iothub.whole(agreed, "native")
    assert "delta" not in iothub.accepted(agreed, AT, "native")


def test_a_named_shadow_says_its_name() -> None:
    assert iothub.whole(both(), "native", "night")["shadow"] == "night"
    assert iothub.accepted(both(), AT, "native", "night")["shadow"] == "night"


@pytest.mark.parametrize("version", [0, 7])
def test_a_document_of_which_nothing_was_said_has_no_time(version: int) -> None:
    """Nor has one that begins anew after it was deleted."""
    assert iothub.whole(document.empty(AT, version)) == {"state": {}, "metadata": {}, "version": version}


@given(st.dictionaries(st.text(), st.text()), st.integers(0, 2**53))
def test_what_the_hub_shows_can_be_reported_again(state: dict[str, str], version: int) -> None:
    """A device that repeats its document says what the hub knows, at the version that the hub has."""
    known, _ = document.change(document.empty(0, version), AT, desired=None, reported=state)
    told = json.loads(json.dumps(iothub.whole(known)))
    again = read(REPORTED, reported(told["state"].get("reported", {}), version=told["version"]))
    assert again == report(state, "iothub", Exact(version + 1))
