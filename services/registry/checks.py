"""Whether a request is one at all: names, sizes, forms. Pure.

The API has asked the same before; here is the last guard, since what passes ends in files and rules of brokers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from libs.runtime.lane.verdicts import Refused, malformed
from libs.topics import access
from libs.topics.codec import encode
from libs.topics.identity import RESERVED_IDS, is_name
from libs.topics.messages.base import DeviceRequest, Request
from libs.topics.messages.registry import (
    AddTags,
    Credential,
    DeleteProduct,
    IssueApiKey,
    PutProduct,
    RegisterDevice,
    RemoveTags,
    RevokeApiKey,
    RotateSecret,
    SetAttributes,
    SetTags,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.topics.messages.registry import AclRule, ProductDefaults

TAGS: Final = 64
"""Of a device."""
ATTRIBUTES: Final = 16 * 1024
"""Bytes of a device's attributes as JSON."""
LEVELS: Final = 64
"""Of objects and arrays within each other, in attributes and templates: each reader's stack must hold them."""
TEMPLATE: Final = 32 * 1024
"""Bytes of a product's shadow template as JSON: as large as a shadow may be."""
RULES: Final = 32
"""Extra access rules of a product."""
PROBE_INTERVAL: Final = 60_000
"""Milliseconds between two probes of a device, at least: each is a message there and one back."""
TOPIC: Final = 512
"""Bytes of the topic of such a rule, whose alphabet is of ASCII."""
TEXT: Final = 128
"""Characters of an API key's name."""

NAMES: Final = "Names are 1 to 64 of A-Z a-z 0-9 _ -."
HASH: Final = re.compile(r"\$7\$[1-9][0-9]{0,6}\$[A-Za-z0-9+/]{16}\$[A-Za-z0-9+/]{86}==")
"""As mosquitto takes it, which refuses a salt of any other length than 12 bytes."""
SHA256: Final = re.compile(r"[0-9a-f]{64}")

_sorted = msgspec.json.Encoder(order="sorted").encode


def fault(message: Request, key: bytes) -> Refused | None:
    """Say what is wrong with a request under this key, whatever the row is; None: nothing."""
    if isinstance(message, DeviceRequest):
        return _names(f"{message.product_id}/{message.device_id}", key, message.product_id, message.device_id) or (
            _of_device(message)
        )
    if isinstance(message, PutProduct | DeleteProduct):
        found = _names(message.product_id, key, message.product_id)
        return found or (_of_product(message) if isinstance(message, PutProduct) else None)
    if isinstance(message, IssueApiKey | RevokeApiKey):
        found = _names(f"key:{message.key_id}", key, message.key_id)
        return found or (_of_key(message) if isinstance(message, IssueApiKey) else None)
    raise TypeError(f"{type(message).__name__} is not asked of the registry")


def _names(wanted: str, key: bytes, *names: str) -> Refused | None:
    found = _not_a_name(names)
    if found is None and wanted.encode() != key:
        return malformed("invalid_request", f"a request about {wanted} under the key {key!r}", "Send it under its key.")
    return found


def _not_a_name(names: Iterable[str]) -> Refused | None:
    for name in names:
        if not is_name(name):
            return malformed("invalid_name", f"{name!r} is not a name", NAMES)
    return None


def _of_device(message: DeviceRequest) -> Refused | None:
    match message:
        case RegisterDevice():
            return (
                _reserved(message.device_id)
                or _credential(message.credential)
                or _tags(message.tags)
                or _attributes(message.attributes)
            )
        case SetTags() | AddTags() | RemoveTags():
            return _tags(message.tags)
        case SetAttributes():
            return _attributes(message.attributes)
        case RotateSecret():
            if message.grace < 0:
                return malformed(
                    "invalid_request", "the grace is less than nothing", "Give it in milliseconds, from 0."
                )
            return _credential(message.credential)
        case _:
            return None


def _of_product(message: PutProduct) -> Refused | None:
    found = _reserved(message.product_id) or _defaults(message.defaults)
    if found is None and message.credential is not None:
        return _credential(message.credential)
    return found


def _of_key(message: IssueApiKey) -> Refused | None:
    if not SHA256.fullmatch(message.hash):
        return malformed("invalid_request", "the hash is none of SHA-256 in hex", "Let the command line make the key.")
    if not message.scopes:
        return malformed("invalid_request", "a key without a scope lets nobody in", "Name a scope.")
    if not 0 < len(message.name) <= TEXT or not message.name.isprintable():
        return malformed("invalid_request", "the name cannot be shown", f"Use 1 to {TEXT} printable characters.")
    return _not_a_name(message.products or ())


def _reserved(name: str) -> Refused | None:
    if name in RESERVED_IDS:
        return malformed("reserved_name", f"{name} has a meaning in MQTT topics", "Choose another id.")
    return None


def _credential(credential: Credential) -> Refused | None:
    if not HASH.fullmatch(credential.hash):
        return malformed("invalid_request", "the secret's hash has not the form $7$...", "Send what mosquitto takes.")
    return _not_a_name((credential.id,))


def _tags(tags: tuple[str, ...]) -> Refused | None:
    return too_many_tags(len(set(tags))) or _not_a_name(tags)


def too_many_tags(count: int) -> Refused | None:
    if count <= TAGS:
        return None
    return Refused(400, "too_many_tags", f"a device would have {count} tags", f"A device has at most {TAGS} tags.")


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON; to Python 1 and true would be equal."""
    return one == other and _sorted(one) == _sorted(other)


def _attributes(attributes: dict[str, Any]) -> Refused | None:
    if found := _depth(attributes):
        return found
    if len(encode(attributes)) > ATTRIBUTES:
        detail = f"the attributes have more than {ATTRIBUTES} bytes as JSON"
        return Refused(413, "attributes_too_large", detail, "Keep what is large elsewhere, and its address here.")
    return _numbers(attributes)


def _depth(value: Any) -> Refused | None:
    if not _deeper(value, LEVELS):
        return None
    advice = f"Send at most {LEVELS} objects and arrays within each other."
    return malformed("invalid_request", "the JSON is nested too deeply", advice)


def _deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return not levels or any(_deeper(one, levels - 1) for one in inner)


def _numbers(value: Any) -> Refused | None:
    """Refuse integers that no row can hold."""
    try:
        msgspec.msgpack.encode(value)
    except OverflowError:
        advice = "Send integers from -2^63 to 2^64 - 1."
        return malformed("invalid_request", "an integer is too large", advice)
    return None


def _defaults(defaults: ProductDefaults) -> Refused | None:
    if found := _depth(defaults.shadow_template):
        return found
    if len(encode(defaults.shadow_template)) > TEMPLATE:
        detail = f"the shadow template has more than {TEMPLATE} bytes as JSON"
        return Refused(413, "template_too_large", detail, "A shadow could not hold it.")
    if found := _numbers(defaults):
        return found
    if defaults.command_ttl is not None and defaults.command_ttl <= 0:
        return malformed(
            "invalid_request", "commands would expire at once", "Give command_ttl in milliseconds, from 1."
        )
    if defaults.probe_interval is not None and defaults.probe_interval < PROBE_INTERVAL:
        return malformed(
            "invalid_request",
            "its devices would be probed too often",
            f"Give probe_interval in milliseconds, from {PROBE_INTERVAL}.",
        )
    return _acl(defaults.acl)


def _acl(rules: tuple[AclRule, ...]) -> Refused | None:
    if len(rules) > RULES:
        return malformed("invalid_request", f"there are {len(rules)} extra rules", f"Use at most {RULES}.")
    for rule in rules:
        if len(rule.topic) > TOPIC:
            return malformed("invalid_request", "the topic of an extra rule is too long", f"Use at most {TOPIC} bytes.")
        if said := access.fault(rule):
            return malformed("invalid_request", f"the topic {rule.topic!r} {said}", "Correct the rule.")
    return None
