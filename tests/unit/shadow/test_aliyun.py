"""The Aliyun dialect: what its messages mean, and what each wrong one is answered."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from libs.shadow import document, trees
from services.shadow import aliyun
from services.shadow.intents import Fetch, Newer, Report, Unreadable
from tests.support.shadow.heard import heard
from tests.support.shadow.payloads import GARBAGE, payloads

AT = 1_469_564_576_789
GREEN = {"color": "green"}


def read(payload: Any) -> Any:
    sent = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return aliyun.read(heard("/shadow/p1/d1/update", sent))


def report(reported: Any, *cleared: Any, condition: Any = None, cause: Any = "reported") -> Report:
    return Report(None, "aliyun", condition, reported, cleared, cause)


def update(**state: Any) -> dict[str, Any]:
    return {"method": "update", "state": state}


def delete(**state: Any) -> dict[str, Any]:
    return {"method": "delete", "state": state}


@pytest.mark.parametrize(
    ("payload", "intent"),
    [
        (update(reported={"color": "red"}), report({"color": "red"})),
        (update(reported={"color": None}), report({"color": None})),
        (update(reported={"color": "null"}), report({"color": "null"})),
        (update(reported="null"), report(None, "reported")),
        (update(reported=None), report(None, "reported")),
        (update(desired="null"), report(None, "desired", cause="desired_cleared")),
        (update(desired=None), report(None, "desired", cause="desired_cleared")),
        (update(reported={"a": 1}, desired="null"), report({"a": 1}, "desired")),
        (update(reported=None, desired=None), report(None, "reported", "desired")),
        (delete(reported={"color": "null", "a": {"b": None}}), report({"color": None, "a": {"b": None}})),
        (delete(reported="null"), report(None, "reported")),
        (delete(reported=None, desired="null"), report(None, "reported", "desired")),
        (delete(desired="null"), report(None, "desired", cause="desired_cleared")),
        ({"method": "get"}, Fetch(None, "aliyun")),
        ({"method": "get", "state": 5, "version": "x"}, Fetch(None, "aliyun")),
    ],
)
def test_what_a_message_means(payload: dict[str, Any], intent: Any) -> None:
    if payload["method"] == "delete" and intent.cause == "reported":
        intent = report(intent.reported, *intent.cleared, cause="keys_deleted")
    assert read(payload) == intent


@pytest.mark.parametrize(
    ("version", "condition"),
    [
        (3, Newer(3)),
        (0, Newer(0)),
        (-1, None),
        (None, None),
        (4.0, Newer(4)),
        (-2, Newer(-2)),
        (2**63 - 1, Newer(2**63 - 1)),
    ],
)
def test_a_version_is_the_one_that_the_device_proposes(version: Any, condition: Any) -> None:
    said = update(reported=GREEN)
    assert read({**said, "version": version}) == report(GREEN, condition=condition)
    assert read(said) == report(GREEN)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", "407"),
        (b" ", "400"),
        (b"{", "400"),
        (b"[]", "400"),
        (b"\xff", "400"),
        (b"null", "400"),
        (b'{"method": "get", "x": 1e999}', "400"),
        (b'{"method": "get", "x": 18446744073709551616}', "400"),
        (b'{"method": "get", "x": "\\ud800"}', "400"),
        (b'{"method": "get", "x": ' + b"[" * 70 + b"]" * 70 + b"}", "400"),
        ({}, "401"),
        ({"method": None}, "401"),
        ({"method": "update"}, "402"),
        ({"method": "delete", "state": None}, "402"),
        ({"method": "update", "state": []}, "400"),
        ({**update(reported=GREEN), "version": "1"}, "403"),
        ({**update(reported=GREEN), "version": True}, "403"),
        ({**update(reported=GREEN), "version": 1.5}, "403"),
        ({**update(reported=GREEN), "version": 2**63}, "403"),
        ({**update(reported=GREEN), "version": [1]}, "403"),
        (update(), "404"),
        (update(desired=GREEN), "404"),
        (delete(), "404"),
        (update(reported={}), "405"),
        (delete(reported={}), "405"),
        (update(reported={}, desired="null"), "405"),
        ({"method": "put"}, "406"),
        ({"method": ["get"]}, "406"),
        ({"method": {}}, "406"),
        ({"method": 1}, "406"),
        (update(reported="red"), "400"),
        (update(reported=["red"]), "400"),
        (update(reported=GREEN, desired=GREEN), "400"),
        (delete(reported={"color": "red"}), "400"),
        (delete(reported={"color": {}}), "400"),
        (update(reported={str(n): n for n in range(129)}), "408"),
        (update(reported={"a": {str(n): n for n in range(129)}}), "408"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_wrong_with_a_message(payload: Any, code: str) -> None:
    found = read(payload)
    assert isinstance(found, Unreadable)
    assert (found.code, found.via, found.shadow) == (code, "aliyun", None)
    assert len(found.detail) < 200


def test_128_attributes_may_be_reported_and_arrays_are_one() -> None:
    reported = {str(n): list(range(200)) for n in range(128)}
    assert read(update(reported=reported)) == report(reported)
    assert isinstance(read(delete(reported=dict.fromkeys(map(str, range(129))))), Report)


@given(payloads(methods=("get", "update", "delete")))
@example(GARBAGE[0])
def test_any_bytes_mean_something(payload: bytes) -> None:
    found = read(payload)
    assert isinstance(found, Report | Fetch | Unreadable)
    if isinstance(found, Unreadable):
        assert found.code in {str(number) for number in range(400, 409)}
    elif isinstance(found, Report):
        assert found.reported or found.cleared


_keys = st.sampled_from("abc")
_states = st.dictionaries(
    _keys, st.recursive(st.integers(), lambda inner: st.dictionaries(_keys, inner, max_size=3)), max_size=3
)
_named = st.dictionaries(
    _keys,
    st.recursive(st.just("null"), lambda inner: st.dictionaries(_keys, inner, min_size=1, max_size=3)),
    min_size=1,
    max_size=3,
)


@given(_states, _named)
def test_a_deletion_leaves_all_else_as_it_is_and_makes_nothing(state: dict[str, Any], named: dict[str, Any]) -> None:
    """However the keys are nested, and whether there are such or not."""
    tombstones = trees.present(read(delete(reported=named)).reported, state)
    left, _ = trees.merge(*trees.merge({}, {}, state, AT), tombstones, AT)
    told = dict(trees.fields(state))
    gone = {path for path, _ in trees.fields(named)}
    for path, value in trees.fields(left):
        assert told.get(path, {}) == value  # an object may have become empty
        assert path not in gone or value == {}
    kept = {path for path in told if not any(path == one or path.startswith(f"{one}/") for one in gone)}
    assert kept <= {path for path, _ in trees.fields(left)}


def test_the_documents_of_the_dialect() -> None:
    before, _ = document.change(document.empty(0), 1_469_564_492_001, desired=None, reported={"color": "red"})
    after, _ = document.change(before, AT, desired={"color": "green"}, reported=None)
    state = {"reported": {"color": "red"}, "desired": {"color": "green"}}
    metadata = {
        "reported": {"color": {"timestamp": 1_469_564_492}},
        "desired": {"color": {"timestamp": 1_469_564_576}},
    }
    assert aliyun.control(after, AT) == {
        "method": "control",
        "payload": {"state": state, "metadata": metadata},
        "version": 2,
        "timestamp": 1_469_564_576,
    }
    assert aliyun.whole(after, AT) == {
        "method": "reply",
        "payload": {"status": "success", "state": state, "metadata": metadata},
        "version": 2,
        "timestamp": 1_469_564_576,
    }
    assert aliyun.accepted(after, AT) == {
        "method": "reply",
        "payload": {"status": "success", "version": 2},
        "timestamp": 1_469_564_576,
    }


def test_absent_sections_are_left_out() -> None:
    nothing = document.empty(0)
    assert aliyun.whole(nothing, AT)["payload"] == {"status": "success", "state": {}, "metadata": {}}
    reported, _ = document.change(nothing, AT, desired=None, reported={"a": {"b": [1]}, "c": {}})
    assert aliyun.whole(reported, AT)["payload"] == {
        "status": "success",
        "state": {"reported": {"a": {"b": [1]}, "c": {}}},
        "metadata": {"reported": {"a": {"b": {"timestamp": AT // 1000}}, "c": {}}},
    }


@pytest.mark.parametrize(
    ("code", "number", "sentence"),
    [
        ("402", "402", "why"),
        ("version_conflict", "409", "version_conflict: why"),
        ("document_too_deep", "408", "document_too_deep: why"),
        ("document_too_large", "408", "document_too_large: why"),
        ("shadows_too_large", "408", "shadows_too_large: why"),
        ("whatever_comes", "500", "whatever_comes: why"),
    ],
)
def test_a_refusal_has_a_number_and_a_sentence(code: str, number: str, sentence: str) -> None:
    assert aliyun.refused(code, "why", AT) == {
        "method": "reply",
        "payload": {"status": "error", "content": {"errorcode": number, "errormessage": sentence}},
        "timestamp": AT // 1000,
    }


@given(st.dictionaries(st.text(), st.text(), min_size=1), st.integers(0, 2**53))
def test_what_a_reply_shows_can_be_reported_again(state: dict[str, str], version: int) -> None:
    """A device that repeats its document says what the hub knows."""
    known, _ = document.change(document.empty(0, version), AT, desired=None, reported=state)
    told = json.loads(json.dumps(aliyun.whole(known, AT)))
    if len(state) <= aliyun.ATTRIBUTES:
        again = read({"method": "update", "state": told["payload"]["state"], "version": told["version"] + 1})
        assert again == report(state, condition=Newer(version + 2))
