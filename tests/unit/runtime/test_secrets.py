"""Secrets that can be made again, and hashes that mosquitto understands."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.runtime import secrets
from libs.topics.identity import NAME

MOSQUITTO = (
    "$7$101$RD0DPyaZTtanUh5O$QzUlo94nMnhMgQJfU+oKut8pniNxltcmfeh+8vHPRJqySEzEiOCjn4mxPEFC0ycOKNU3QA+EZCBBnfmzwqitQw=="
)
KEY = "0123456789abcdef0123456789abcdef"
names = st.from_regex(NAME, fullmatch=True)


@given(names, names, names)
def test_the_same_credential_has_the_same_secret_and_the_same_hash(product: str, device: str, credential: str) -> None:
    owner = secrets.device_owner(product, device)
    secret = secrets.derive(KEY, owner, credential)
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", secret)
    assert secret == secrets.derive(KEY, owner, credential)
    hashed = secrets.hash_derived(KEY, owner, credential)
    assert hashed == secrets.hash_derived(KEY, owner, credential)
    assert secrets.verify(secret, hashed)


def test_key_owner_and_credential_all_matter() -> None:
    owners = [secrets.device_owner("p", "d"), secrets.device_owner("p", "e"), secrets.product_owner("p")]
    made = {secrets.derive(key, owner, name) for key in (KEY, KEY[::-1]) for owner in owners for name in ("a", "b")}
    assert len(made) == 12
    assert not any(secrets.verify(secret, secrets.hash_derived(KEY, owners[0], "c")) for secret in made)


def test_a_hash_of_mosquitto_s_own_program_is_understood() -> None:
    """Written by mosquitto_passwd 2.0.11."""
    assert secrets.verify("Jm3sQZ0q7uXKd1JmVtq3wZ9h2c5n8r4t6y1a0b_e-fg", MOSQUITTO)
    assert not secrets.verify("Jm3sQZ0q7uXKd1JmVtq3wZ9h2c5n8r4t6y1a0b_e-fh", MOSQUITTO)


def test_a_hash_has_the_form_that_mosquitto_reads() -> None:
    hashed = secrets.hash_secret("secret", b"123456789012")
    assert re.fullmatch(r"\$7\$1\$[A-Za-z0-9+/]{16}\$[A-Za-z0-9+/]{86}==", hashed)
    with pytest.raises(ValueError, match="12 bytes"):
        secrets.hash_secret("secret", b"salt")


@given(st.text(max_size=40))
def test_what_is_no_hash_verifies_nothing(text: str) -> None:
    assert not secrets.verify("secret", text)


@pytest.mark.parametrize(
    "broken", ["$7$0$c2FsdA==$aGFzaA==", "$6$1$c2FsdA==$aGFzaA==", "$7$x$c2FsdA==$aGFzaA==", "$7$1$%$%"]
)
def test_a_broken_hash_verifies_nothing(broken: str) -> None:
    assert not secrets.verify("secret", broken)
