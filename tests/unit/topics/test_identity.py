"""Names enter topics, access rules and keys: what is not plainly a name is refused."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.topics.identity import (
    BROADCAST_KEY,
    InvalidName,
    api_key_key,
    device_key,
    is_name,
    product_key,
    split_key,
)

ALPHABET = string.ascii_letters + string.digits + "_-"
names = st.text(ALPHABET, min_size=1, max_size=64)
ATTACKS = [
    "",
    "a" * 65,
    "a\n",
    "\na",
    "a\r\n",
    "a\0",
    "\0broadcast",
    "a/b",
    "/a",
    "a/",
    "..",
    "a.b",
    "+",
    "a+",
    "#",
    "$SYS",
    "%u",
    "a b",
    " a",
    "a ",
    "a\t",
    "\u0663",  # a digit, says Unicode
    "\uff11\uff12",  # full-width digits
    "ä",
    "\u212a",  # the Kelvin sign, which folds to k
    "a\u200b",
    "a\u202eb",
    "a\ud800",
    "é",
    "a\x7f",
]
EACH_ATTACK = pytest.mark.parametrize("attack", ATTACKS, ids=ascii)


@EACH_ATTACK
def test_an_attack_is_no_name(attack: str) -> None:
    assert not is_name(attack)


@EACH_ATTACK
def test_an_attack_makes_no_key(attack: str) -> None:
    for pair in ((attack, "d1"), ("p1", attack), (attack, attack)):
        with pytest.raises(InvalidName) as caught:
            device_key(*pair)
        assert caught.value.code == "invalid_name"
        assert "\n" not in str(caught.value)


@EACH_ATTACK
def test_a_key_with_an_attack_in_it_is_refused(attack: str) -> None:
    part = attack.encode("utf-8", "surrogatepass")
    for key in (part + b"/d1", b"p1/" + part):
        with pytest.raises(InvalidName):
            split_key(key)


@pytest.mark.parametrize("key", [b"", b"/", b"p1", b"p1/", b"/d1", b"p1/d1/x", b"p1//d1", b"p1/\xff", BROADCAST_KEY])
def test_what_is_not_two_names_is_no_device_key(key: bytes) -> None:
    with pytest.raises(InvalidName):
        split_key(key)


@given(product_id=names, device_id=names)
def test_a_key_and_its_two_names_are_the_same_thing(product_id: str, device_id: str) -> None:
    key = device_key(product_id, device_id)
    assert key == f"{product_id}/{device_id}".encode()
    assert split_key(key) == (product_id, device_id)


@given(text=st.text())
def test_a_name_is_one_to_sixty_four_of_the_allowed_characters(text: str) -> None:
    assert is_name(text) == (1 <= len(text) <= 64 and set(text) <= set(ALPHABET))


@given(key=st.binary(max_size=140))
def test_any_bytes_are_a_key_that_can_be_made_again_or_refused(key: bytes) -> None:
    try:
        parts = split_key(key)
    except InvalidName:
        return
    assert device_key(*parts) == key


def test_keys_of_products_devices_and_api_keys_are_never_each_others() -> None:
    assert product_key("p1") == b"p1"
    assert api_key_key("k1") == b"key:k1"
    for make in (product_key, api_key_key):
        for attack in ("key:k1", "p1/d1", "", "\x00broadcast"):
            with pytest.raises(InvalidName):
                make(attack)
