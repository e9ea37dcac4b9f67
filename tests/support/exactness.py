"""Numbered messages of devices, and whether Kafka holds each of them once and in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.topics import names
from tests.support.polling import eventually
from tests.support.records import read_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DEVICES = 50


def numbered(products: Sequence[str], count: int) -> Iterator[tuple[str, bytes]]:
    """Each device counts its own messages from 0; every payload but the number is the same. Products take turns."""
    for number in range(count):
        product = products[number % len(products)]
        turn = number // len(products)
        device, at = turn % DEVICES, turn // DEVICES
        yield f"upload_data/{product}/d{device}/t/m{at}", b'{"n":%d}' % at


def stored(kafka: str, products: Sequence[str]) -> dict[tuple[str, str], list[int]]:
    """The numbers in Kafka per product and device, in order of their offsets."""
    found: dict[tuple[str, str], list[int]] = {}
    for record in read_all(kafka, names.DEVICE_TELEMETRY):
        message = record.message
        if message["product_id"] in products:
            found.setdefault((message["product_id"], message["device_id"]), []).append(message["payload"]["n"])
    return found


def await_exact(kafka: str, products: Sequence[str], count: int, timeout: float = 60.0) -> None:
    """`AssertionError` unless Kafka comes to hold ``count`` messages, none missing, doubled or out of order."""

    def enough() -> dict[tuple[str, str], list[int]]:
        found = stored(kafka, products)
        total = sum(map(len, found.values()))
        assert total >= count, f"{total} of {count}"
        return found

    found = eventually(enough, timeout, describe=f"{count} messages of {products} in Kafka")
    wrong = {device: numbers for device, numbers in found.items() if numbers != list(range(len(numbers)))}
    assert not wrong, f"lost, doubled or reordered: {describe(wrong)}"
    assert sum(map(len, found.values())) == count


def describe(wrong: dict[tuple[str, str], list[int]]) -> str:
    """Where the numbers of some devices first leave their order."""
    places = {}
    for device, numbers in wrong.items():
        at = next(i for i, number in enumerate(numbers) if number != i)
        places["/".join(device)] = (at, numbers[max(0, at - 3) : at + 4])
    return str(dict(list(places.items())[:8])) + f" and {max(0, len(places) - 8)} more"
