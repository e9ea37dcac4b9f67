"""What the guard knows of devices and products. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from libs.topics.access import Rule
from libs.topics.messages.registry import AclRule

if TYPE_CHECKING:
    from collections.abc import Iterator


class Unfit(ValueError):
    """A document from which no line may be made. ``reason`` is the metric's label."""

    def __init__(self, reason: str, error: str) -> None:
        super().__init__(error)
        self.reason = reason


class Login(msgspec.Struct, frozen=True, gc=False):
    """Somebody whom the broker lets in. Both texts are fit for a line of mosquitto's password file."""

    user: str
    """``product/device``, or ``product/$register``."""
    hash: str


class Product(msgspec.Struct, frozen=True):
    """What a product adds to the files."""

    rules: tuple[Rule | AclRule, ...] = ()
    """Of its devices, besides those of every device."""
    login: Login | None = None
    """Of devices that register themselves; None: they may not."""


class Device(msgspec.Struct, frozen=True, gc=False):
    """A device that is registered."""

    created_at: int
    """Another one under the same name: it was deleted and registered anew."""
    login: Login | None
    """None: it is disabled, or its document is unfit."""


NO_PRODUCT: Final = Product()


class Roll:
    """All devices and products, as the topics tell of them now."""

    def __init__(self) -> None:
        self.products: dict[str, Product] = {}
        self.devices: dict[str, dict[str, Device]] = {}
        """By product id and device id."""

    def put_device(self, product_id: str, device_id: str, device: Device | None) -> bool:
        """Return whether one ended: the session that it has in the broker is not that of ``device``."""
        of_product = self.devices.setdefault(product_id, {})
        before = of_product.pop(device_id, None)
        if device is not None:
            of_product[device_id] = device
        elif not of_product:
            del self.devices[product_id]
        return before is not None and (device is None or device.created_at != before.created_at)

    def put_product(self, product_id: str, product: Product | None) -> None:
        if product is None:
            self.products.pop(product_id, None)
        else:
            self.products[product_id] = product

    def holds(self, user: str) -> bool:
        """Whether ``product/device`` is registered, be it disabled."""
        product_id, _, device_id = user.partition("/")
        return device_id in self.devices.get(product_id, ())

    def logins(self) -> Iterator[Login]:
        for devices in self.devices.values():
            yield from (device.login for device in devices.values() if device.login is not None)
        yield from (product.login for product in self.products.values() if product.login is not None)

    def with_rules(self) -> Iterator[tuple[str, list[str], tuple[Rule | AclRule, ...]]]:
        """Products whose devices have rules of their own: product id, ids of the devices that are let in, the rules."""
        for product_id, devices in self.devices.items():
            rules = self.products.get(product_id, NO_PRODUCT).rules
            if rules:
                yield product_id, [name for name, device in devices.items() if device.login is not None], rules
