from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bench.support.documents import device_document, hashed, product_document
from libs.runtime.secrets import hash_secret
from libs.topics.messages.registry import AclRule, ProductDefaults
from services.guard.credentials import HASH, MOST_RULES, device, product
from services.guard.model import Device, Login, Unfit

DOCUMENT = device_document("p", "d", "secret")


def test_a_device_comes_in_with_its_secret() -> None:
    assert device(b"p/d", DOCUMENT) == Device(1, Login("p/d", hashed("secret")))


def test_a_disabled_device_does_not() -> None:
    assert device(b"p/d", replace(DOCUMENT, enabled=False)) == Device(1, None)


def test_while_a_rotated_secret_has_its_grace_the_old_one_is_in_force() -> None:
    rotated = device_document("p", "d", "new", old="secret")
    assert device(b"p/d", rotated) == Device(1, Login("p/d", hashed("secret")))


@pytest.mark.parametrize(
    ("key", "document", "reason"),
    [
        (b"p/other", DOCUMENT, "invalid_key"),
        (b"p/d\n", replace(DOCUMENT, device_id="d\n"), "invalid_name"),
        (b"p/$register", replace(DOCUMENT, device_id="$register"), "invalid_name"),
        (b"p/d", replace(DOCUMENT, secret_hash=""), "invalid_hash"),
        (b"p/d", replace(DOCUMENT, secret_hash="secret"), "invalid_hash"),
        (b"p/d", replace(DOCUMENT, secret_hash=hashed("secret") + "\np/x:" + hashed("x")), "invalid_hash"),
        (b"p/d", replace(DOCUMENT, secret_hash=hashed("secret") + "\n"), "invalid_hash"),
        (b"p/d", replace(DOCUMENT, secret_hash=hashed("secret").replace("$7$", "$6$")), "invalid_hash"),
        (b"p/d", replace(DOCUMENT, secret_hash=hashed("secret").replace("$7$1$", "$7$0$")), "invalid_hash"),
        (b"p/d", replace(DOCUMENT, secret_hash=hashed("secret").replace("$7$1$", "$7$10000$")), "invalid_hash"),
    ],
)
def test_an_unfit_device_is_told_apart(key: bytes, document: object, reason: str) -> None:
    with pytest.raises(Unfit) as unfit:
        device(key, document)  # type: ignore[arg-type]  # of the parameters above
    assert unfit.value.reason == reason


@given(st.binary(min_size=12, max_size=12), st.text(max_size=50), st.integers(1, 50))
def test_every_hash_that_the_hub_makes_fits(salt: bytes, secret: str, iterations: int) -> None:
    assert HASH.fullmatch(hash_secret(secret, salt, iterations))


def test_self_registration_is_open_where_the_product_says_so_and_has_a_secret() -> None:
    opened = ProductDefaults(dynamic_registration=True)
    assert product(b"p", product_document("p", opened, "s")).login == Login("p/$register", hashed("s"))
    assert product(b"p", product_document("p", opened)).login is None
    assert product(b"p", product_document("p", secret="s")).login is None


@pytest.mark.parametrize(
    "topic",
    ["#", "+/{product}/#", "logs/#", "logs/other/{product}", "upload_data/q/{product}/+", "logs/{product}/a\nuser p/x"],
)
def test_one_rule_that_leaves_its_product_and_none_of_them_holds(topic: str) -> None:
    rules = (AclRule("subscribe", "news/{product}/+"), AclRule("publish", topic))
    with pytest.raises(Unfit, match="must be"):
        product(b"p", product_document("p", ProductDefaults(acl=rules)))


def test_a_product_has_no_more_rules_than_a_broker_can_bear() -> None:
    rules = tuple(AclRule("publish", f"logs/{{product}}/{number}") for number in range(MOST_RULES + 1))
    with pytest.raises(Unfit, match="33 rules"):
        product(b"p", product_document("p", ProductDefaults(acl=rules)))
    assert len(product(b"p", product_document("p", ProductDefaults(acl=rules[1:]))).rules) == MOST_RULES


def test_an_unfit_product_is_told_apart() -> None:
    with pytest.raises(Unfit, match="not a name"):
        product(b"p\n", product_document("p\n"))
    with pytest.raises(Unfit, match="about p"):
        product(b"q", product_document("p"))
