"""The files, as mosquitto reads them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from bench.support.documents import device_document, hashed, product_document
from libs.topics.access import may
from libs.topics.identity import NAME, is_name
from libs.topics.messages.registry import AclRule, ProductDefaults
from services.guard import credentials, files
from services.guard.model import Device, Roll, Unfit

if TYPE_CHECKING:
    from libs.topics.messages.registry_events import DeviceDocument, ProductDocument

GOLDEN = """\
# Written by fleetlog's guard from registry.devices and registry.products; changes made here do not last.
# %u is a user name, product/device.
pattern deny cmd_resp/%u/p2p/+/+
pattern deny rpc_resp/%u/p2p/+/+
pattern write upload_data/%u/+/+
pattern write update_status/%u/+
pattern write cmd_resp/%u/+/+/+
pattern write rpc_resp/%u/+/+/+
pattern write get/%u/+/+
pattern write update_ota_status/%u/+
pattern write /shadow/%u/update
pattern write /shadow/update/%u
pattern write /sys/%u/rrpc/response/+
pattern read cmd/%u/+/+/+/#
pattern read rpc/%u/+/+/+/#
pattern read /shadow/%u/get
pattern read /shadow/get/%u
pattern read /sys/%u/rrpc/request/+
pattern read +/p2p/%u
pattern read +/+/p2p/%u
pattern read +/+/+/p2p/%u
pattern read +/+/+/+/p2p/%u
"""
BLOCKS = """
user p/a
topic deny m2m/p/p2p/a/+
topic deny logs/p/a/p2p/+/+
topic deny logs/p/a/+/p2p/+/+
topic write m2m/p/+/a/+
topic read m2m/p/a/+/+
topic write logs/p/a/#

user p/b
topic deny m2m/p/p2p/b/+
topic deny logs/p/b/p2p/+/+
topic deny logs/p/b/+/p2p/+/+
topic write m2m/p/+/b/+
topic read m2m/p/b/+/+
topic write logs/p/b/#
"""
REGISTERING = """
user q/$register
topic deny upload_data/q/$register/+/+
topic deny update_status/q/$register/+
topic deny cmd_resp/q/$register/+/+/+
topic deny rpc_resp/q/$register/+/+/+
topic deny get/q/$register/+/+
topic deny update_ota_status/q/$register/+
topic deny /shadow/q/$register/update
topic deny /shadow/update/q/$register
topic deny /sys/q/$register/rrpc/response/+
topic deny cmd/q/$register/+/+/+/#
topic deny rpc/q/$register/+/+/+/#
topic deny /shadow/q/$register/get
topic deny /shadow/get/q/$register
topic deny /sys/q/$register/rrpc/request/+
topic deny +/p2p/q/$register
topic deny +/+/p2p/q/$register
topic deny +/+/+/p2p/q/$register
topic deny +/+/+/+/p2p/q/$register
topic write register/q/+/+
topic read registered/q/+/+
"""
TALKING = ProductDefaults(device_to_device=True, acl=(AclRule("publish", "logs/{product}/{device}/#"),))
OPEN = ProductDefaults(dynamic_registration=True)

LEVEL = r"[^/#+\s]+"
PASSWORD_LINE = re.compile(rf"{NAME.pattern}/(?:{NAME.pattern}|\$register):{credentials.HASH.pattern}")
ACCESS_LINE = re.compile(
    rf"|# .*|user {NAME.pattern}/(?:{NAME.pattern}|\$register)"
    rf"|(?:pattern (?:read|write|deny)|topic (?:read|write|deny)) /?(?:(?:{LEVEL}|\+)/)*(?:{LEVEL}|\+|#)"
)


def roll(devices: list[tuple[bytes, DeviceDocument]], products: list[tuple[bytes, ProductDocument]]) -> Roll:
    made = Roll()
    for key, document in devices:
        try:
            made.put_device(document.product_id, document.device_id, credentials.device(key, document))
        except Unfit:
            made.put_device(document.product_id, document.device_id, Device(document.created_at, None))
    for key, product in products:
        try:
            made.put_product(product.product_id, credentials.product(key, product))
        except Unfit:
            made.put_product(product.product_id, None)
    return made


def of(*names: str) -> list[tuple[bytes, DeviceDocument]]:
    found = []
    for name in names:
        product_id, _, device_id = name.partition("/")
        found.append((name.encode(), device_document(product_id, device_id, name)))
    return found


def test_without_anybody_there_are_the_patterns_alone() -> None:
    assert files.passwords(Roll().logins()) == b""
    assert files.access(Roll()) == (GOLDEN.encode(), 0)


def test_only_who_may_more_or_less_than_all_has_a_block() -> None:
    made = roll(
        of("p/b", "q/c", "p/a"),
        [(b"p", product_document("p", TALKING)), (b"q", product_document("q", OPEN, "secret"))],
    )
    assert files.access(made) == ((GOLDEN + BLOCKS + REGISTERING).encode(), 3)
    assert files.passwords(made.logins()).decode().splitlines() == [
        f"p/a:{hashed('p/a')}",
        f"p/b:{hashed('p/b')}",
        f"q/$register:{hashed('secret')}",
        f"q/c:{hashed('q/c')}",
    ]


def test_a_disabled_device_is_in_no_file() -> None:
    disabled = [(b"p/a", device_document("p", "a", "s", enabled=False))]
    made = roll(disabled, [(b"p", product_document("p", TALKING))])
    assert files.passwords(made.logins()) == b""
    assert b"user" not in files.access(made)[0].replace(b"user name", b"")


def test_the_patterns_are_what_every_device_may() -> None:
    for pattern in files.PATTERNS:
        access, _, topic = pattern.partition(" ")
        filled = topic.replace("%u", "p/d")
        if access == "write":
            filled = filled.replace("+", "x")
        action = {"write": "publish", "read": "subscribe"}[access]
        assert may(action, filled, "p", "d", tags=(), defaults=ProductDefaults())  # type: ignore[arg-type]  # a word


def test_the_denials_are_what_no_device_may() -> None:
    for pattern in files.DENIED:
        topic = pattern.replace("%u", "p/d").replace("+", "x")
        assert not may("publish", topic, "p", "d", tags=(), defaults=ProductDefaults())


def test_users_of_an_earlier_file_are_found_in_it() -> None:
    text = files.passwords(roll(of("p/a", "p/b"), []).logins())
    assert files.users(text) == {"p/a", "p/b"}
    assert files.users(b"\xff:x\nnonsense\n\n:") == {"\ufffd", ""}


names = st.one_of(
    st.from_regex(NAME, fullmatch=True), st.text(max_size=8), st.sampled_from(["a", "b", "$register", "a\nuser b", "+"])
)
hashes = st.one_of(st.just(hashed("s")), st.text(max_size=20), st.sampled_from([hashed("s") + "\nx:y", "$7$1$a$b"]))
topics = st.one_of(
    st.sampled_from(["logs/{product}/{device}/#", "news/{product}/+", "#", "logs/{product}/x y", "a/{product}/\n"]),
    st.text(max_size=20),
)
rules = st.builds(AclRule, st.sampled_from(["publish", "subscribe"]), topics)
defaults = st.builds(
    ProductDefaults,
    acl=st.lists(rules, max_size=3).map(tuple),
    device_to_device=st.booleans(),
    dynamic_registration=st.booleans(),
)


@st.composite
def device_documents(draw: st.DrawFn) -> tuple[bytes, DeviceDocument]:
    product_id, device_id = draw(names), draw(names)
    fields = {"secret_hash": draw(hashes), "enabled": draw(st.booleans())}
    key = draw(st.one_of(st.just(f"{product_id}/{device_id}".encode()), st.binary(max_size=8)))
    return key, device_document(product_id, device_id, "s", **fields)


@st.composite
def product_documents(draw: st.DrawFn) -> tuple[bytes, ProductDocument]:
    product_id = draw(names)
    return product_id.encode(), product_document(product_id, draw(defaults), draw(st.sampled_from(["", "s"])))


@given(st.lists(device_documents(), max_size=12), st.lists(product_documents(), max_size=4))
def test_whatever_the_documents_say_every_line_is_one_that_mosquitto_reads(
    devices: list[tuple[bytes, DeviceDocument]], products: list[tuple[bytes, ProductDocument]]
) -> None:
    made = roll(devices, products)
    listed = files.passwords(made.logins()).decode().split("\n")
    assert listed.pop() == ""
    assert all(PASSWORD_LINE.fullmatch(line) for line in listed)
    users = [line.partition(":")[0] for line in listed]
    assert len(set(users)) == len(users)

    last = {(document.product_id, document.device_id): (key, document) for key, document in devices}
    expected = {
        f"{product_id}/{device_id}"
        for (product_id, device_id), (key, document) in last.items()
        if is_name(product_id) and is_name(device_id) and document.enabled
        if key == f"{product_id}/{device_id}".encode() and credentials.HASH.fullmatch(document.secret_hash)
    }
    assert {user for user in users if not user.endswith("/$register")} == expected

    text, blocks = files.access(made)
    lines = text.decode().split("\n")
    assert [line for line in lines if not ACCESS_LINE.fullmatch(line)] == []
    heads = [line.removeprefix("user ") for line in lines if line.startswith("user ")]
    assert len(set(heads)) == len(heads) == blocks
    assert set(heads) <= set(users)
