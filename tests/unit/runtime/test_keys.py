"""API keys: what is made can be read back, only the right secret matches, and nothing else is a key."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from libs.runtime import keys
from libs.runtime.keys import InvalidKey

KNOWN = "fl_aaaqeayeauda_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


def counting(size: int) -> bytes:
    return bytes(range(size))


def drawing(data: st.DataObject) -> keys.Minted:
    return keys.mint(lambda size: data.draw(st.binary(min_size=size, max_size=size)))


def test_the_form_is_fixed() -> None:
    minted = keys.mint(counting)
    assert minted.text == KNOWN
    assert minted.key_id == "aaaqeayeauda"
    assert minted.hash == hashlib.sha256(KNOWN.removeprefix("fl_aaaqeayeauda_").encode()).hexdigest()


@given(st.data())
def test_what_was_minted_is_parsed_and_matches(data: st.DataObject) -> None:
    minted = drawing(data)
    key_id, secret = keys.parse(minted.text)
    assert key_id == minted.key_id
    assert keys.matches(secret, minted.hash)


@given(st.data(), st.text())
def test_another_secret_does_not_match(data: st.DataObject, other: str) -> None:
    minted = drawing(data)
    assert keys.matches(other, minted.hash) == (other == keys.parse(minted.text)[1])


@given(st.text())
@example(KNOWN + "\n")
@example(KNOWN[:-1])
@example(KNOWN + "A")
@example(" " + KNOWN)
@example(KNOWN.upper())
@example(KNOWN.replace("fl_", "FL_"))
@example(KNOWN[:-1] + "\u0410")
def test_anything_else_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(InvalidKey) as refused:
        keys.parse(text)
    assert str(refused.value) == "an API key looks like fl_<12 characters>_<43 characters>"


def test_a_minted_key_is_not_shown_by_accident() -> None:
    assert KNOWN.rpartition("_")[2] not in repr(keys.mint(counting))
