"""Versions, cursors, idempotency, token buckets: the pure parts."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from libs.topics.messages.base import Idempotency
from services.api.conditions import etag, expected_version, next_cursor, position
from services.api.idempotency import credential_id, idempotency_of
from services.api.limits import Buckets
from services.api.problems import Problem

keys = st.text(min_size=1, max_size=130)


@given(keys)
def test_a_cursor_comes_back_as_the_key_that_it_hides(key: str) -> None:
    cursor = next_cursor(key)
    assert cursor is not None
    assert position(cursor) == key


@given(st.text(max_size=20))
def test_what_is_no_cursor_is_refused(text: str) -> None:
    assume(not re.fullmatch(r"[A-Za-z0-9_-]*", text))
    with pytest.raises(Problem, match="invalid_cursor"):
        position(text)


@given(st.integers(0, 10**17))
def test_an_etag_is_the_version_that_if_match_expects(version: int) -> None:
    assert expected_version(etag(version)) == version
    assert expected_version(f"W/{etag(version)}", version) == version


@pytest.mark.parametrize("header", ["3", '"x"', '"3", "4"', '"-1"', ""])
def test_an_if_match_of_another_form_is_refused(header: str) -> None:
    with pytest.raises(Problem, match="invalid_header"):
        expected_version(header)


def test_no_condition_expects_nothing_and_two_must_agree() -> None:
    assert expected_version(None) is None
    assert expected_version("*") is None
    assert expected_version(None, 3) == 3
    with pytest.raises(Problem, match="contradict"):
        expected_version('"4"', 3)


def test_a_request_is_the_same_only_if_all_of_it_is() -> None:
    def made(key: str = "k", header: str = "h", method: str = "POST", path: str = "/v1", body: bytes = b"{}") -> object:
        return idempotency_of(key, header, method, path, body)

    assert made() == made()
    others = [made(key="l"), made(header="i"), made(method="PUT"), made(path="/v1?x"), made(body=b"[]")]
    assert len({made(), *others}) == 6
    assert idempotency_of("k", None, "POST", "/v1", b"") is None


@pytest.mark.parametrize("header", ["", "a b", "ä", "x" * 129, "a\n"])
def test_what_is_no_idempotency_key_is_refused(header: str) -> None:
    with pytest.raises(Problem, match="invalid_header"):
        idempotency_of("k", header, "POST", "/v1", b"")


def test_a_secret_keeps_its_name_where_the_request_can_be_repeated() -> None:
    known = Idempotency("key:header", "fingerprint")
    assert credential_id(known, "o", b"1" * 16) == credential_id(known, "o", b"2" * 16)
    assert credential_id(known, "o", b"1" * 16) != credential_id(known, "p", b"1" * 16)
    assert credential_id(None, "o", b"1" * 16) != credential_id(None, "o", b"2" * 16)
    assert len(credential_id(None, "o", b"1" * 16)) == 22


def test_a_bucket_gives_its_burst_at_once_and_then_its_rate() -> None:
    now = 0.0
    buckets = Buckets(rate=2.0, burst=3, clock=lambda: now)
    for _ in range(3):
        buckets.take("a")
    with pytest.raises(Problem, match="rate_limited") as refused:
        buckets.take("a")
    assert refused.value.headers == {"Retry-After": "1"}
    buckets.take("b")
    now = 0.5
    buckets.take("a")
    with pytest.raises(Problem):
        buckets.take("a")
    now = 1000.0
    for _ in range(3):
        buckets.take("a")
    with pytest.raises(Problem):
        buckets.take("a")
