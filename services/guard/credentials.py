"""Documents of the registry to what the broker is told. Pure.

Everything that enters a line of a file is checked here once more, whoever checked it before: one bad line in
mosquitto's access file, and mosquitto 2.0 takes no access rule at all.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from libs.topics import access
from libs.topics.identity import InvalidName, device_key, is_name

from .model import Device, Login, Product, Unfit

if TYPE_CHECKING:
    from libs.topics.messages.registry import AclRule
    from libs.topics.messages.registry_events import DeviceDocument, ProductDocument

HASH: Final = re.compile(r"\$7\$[1-9][0-9]{0,3}\$[A-Za-z0-9+/]{16}\$[A-Za-z0-9+/]{85}[AQgw]==")
"""PBKDF2-SHA512 with 12 bytes of salt, as mosquitto 2.0 reads it. At most 9,999 iterations: it hashes anew for each
connected client whenever the files change, and serves nobody meanwhile."""

MOST_RULES: Final = 32
"""Of one product: each is a line for each of its devices."""
_DEVICE_TO_DEVICE: Final[tuple[access.Rule | AclRule, ...]] = tuple(
    rule for rule in access.DEVICE if rule.when == "device_to_device"
)


def device(key: bytes, document: DeviceDocument) -> Device:
    """Raises `Unfit`, also where the key is another device's.

    mosquitto knows one password per user. While a rotated secret has its grace this is the old one, which the device
    certainly has; the new one is in force when the registry drops the old one from the document.
    """
    try:
        expected = device_key(document.product_id, document.device_id)
    except InvalidName as error:
        raise Unfit("invalid_name", str(error)) from None
    if key != expected:
        raise Unfit("invalid_key", f"the document is about {expected!r}")
    if not document.enabled:
        return Device(document.created_at, None)
    secret_hash = document.secret_hash if document.old_secret is None else document.old_secret.hash
    return Device(document.created_at, Login(expected.decode(), _checked(secret_hash)))


def product(key: bytes, document: ProductDocument) -> Product:
    """Raises `Unfit`. One bad rule, and none of the product's is in force: half of a policy may be worse than none."""
    if not is_name(document.product_id):
        raise Unfit("invalid_name", f"{document.product_id!r} is not a name")
    if key != document.product_id.encode():
        raise Unfit("invalid_key", f"the document is about {document.product_id}")
    defaults = document.defaults
    if len(defaults.acl) > MOST_RULES:
        raise Unfit("invalid_rule", f"{len(defaults.acl)} rules; {MOST_RULES} are the most")
    for rule in defaults.acl:
        if fault := access.fault(rule):
            raise Unfit("invalid_rule", f"{rule.topic!r} {fault}")
    rules = (*(_DEVICE_TO_DEVICE if defaults.device_to_device else ()), *defaults.acl)
    if not defaults.dynamic_registration or document.secret_hash is None:
        return Product(rules)
    return Product(rules, Login(f"{document.product_id}/{access.REGISTER}", _checked(document.secret_hash)))


def _checked(secret_hash: str) -> str:
    if HASH.fullmatch(secret_hash) is None:
        raise Unfit("invalid_hash", "the hash does not have the form that mosquitto reads")
    return secret_hash
