"""The handshake between a product's home and all partitions, whatever is late and whoever is killed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.topics import names
from libs.topics.messages.base import DeviceRequest
from libs.topics.messages.hub import RequestAnswered
from libs.topics.messages.registry import DeleteProduct, ProductDefaults, PutProduct
from tests.support.registry.asking import delete, delete_product, idempotent, put, register
from tests.support.registry.hub import Hub, key_of

if TYPE_CHECKING:
    from random import Random

PARTITIONS = 3
PRODUCTS = ("p1", "p2")
SEVERAL = settings(max_examples=150, deadline=None)


class Life:
    """Requests arrive, partitions fold, records travel between them, owners die: each at any time.

    What one partition's owner writes into another partition stays in order; nothing else does.
    """

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.hub = Hub(PARTITIONS)
        self.asked: dict[str, Any] = {}
        self.probes = 0

    def live(self, steps: int) -> None:
        for _ in range(steps):
            act = self.chance.random()
            if act < 0.18:
                self.ask(self.request())
            elif act < 0.52:
                self.fold(self.chance.randrange(PARTITIONS))
            elif act < 0.86:
                self.deliver()
            elif act < 0.90:
                self.hub.commit(self.chance.randrange(PARTITIONS))
            elif act < 0.93:
                self.hub.crash(self.chance.randrange(PARTITIONS))
            else:
                self.probe(self.chance.choice(PRODUCTS))
            self.check()

    def request(self) -> Any:
        """Make any request; some have an idempotency key that another one may have had."""
        product, device, number = self.chance.choice(PRODUCTS), f"d{self.chance.randrange(4)}", self.chance.randrange(3)
        what = self.chance.choice(["put", "put", "delete product", "delete product", "register", "register", "delete"])
        known = idempotent(f"{what}-{number}", what) if self.chance.random() < 0.3 else None
        match what:
            case "put":
                return put(product, ProductDefaults(command_ttl=number + 1), idempotency=known)
            case "delete product":
                return delete_product(product, idempotency=known)
            case "register":
                return register(device, product, idempotency=known)
            case _:
                return delete(device, product, idempotency=known)

    def ask(self, message: Any) -> str:
        correlation = self.hub.send(message)
        self.asked[correlation] = message
        return correlation

    def fold(self, number: int) -> None:
        if self.hub.behind(number):
            self.hub.fold(number)

    def deliver(self) -> None:
        ways = sorted(way for way, records in self.hub.links.items() if records)
        if ways:
            self.hub.deliver(self.chance.choice(ways))

    def probe(self, product: str) -> None:
        """Register a device of its own while nothing else moves: what was answered binds that partition already."""
        wanted = self.answered(product)
        if wanted is None:
            return
        self.probes += 1
        message = register(f"probe-{self.probes}", product)
        correlation, number = self.ask(message), self.hub.home(key_of(message))
        while self.hub.behind(number):
            self.hub.fold(number)
        (answer,) = self.hub.answers[correlation]
        assert isinstance(answer, RequestAnswered) is wanted, answer

    def answered(self, product: str) -> bool | None:
        """Whether the product exists, by the answers to those who asked; None: some of them wait, or contradict."""
        exists: bool | None = False
        for correlation, message in self.asked.items():
            if isinstance(message, DeviceRequest) or message.product_id != product:
                continue
            answers = self.hub.answers.get(correlation)
            if not answers:
                return None
            if isinstance(answers[0], RequestAnswered) and message.idempotency is None:
                exists = isinstance(message, PutProduct)
            elif message.idempotency is not None:
                exists = None  # answered for another one, long ago
        return exists

    def check(self) -> None:
        assert all(len(answers) == 1 for answers in self.hub.answers.values()), "nobody is answered twice"
        for product in PRODUCTS:
            home = self.hub.row(product.encode())
            if home is None or home.product is None:
                assert not self.devices(product), "no product that is deleted has a device"

    def devices(self, product: str) -> list[Any]:
        return self.hub.rows(lambda row: row.device is not None and row.device.product_id == product)

    def end(self) -> None:
        """Let everything come to rest: everybody is answered, and all partitions agree with the home."""
        self.hub.settle()
        self.check()
        assert self.hub.answers.keys() == self.asked.keys()
        for product in PRODUCTS:
            home = self.hub.row(product.encode())
            assert home is None or home.spread is None
            known = [part.cells.get(product) for part in self.hub.parts]
            assert len(set(map(repr, known))) == 1
            exists = home is not None and home.product is not None
            assert ((names.REGISTRY_PRODUCTS, product.encode()) in self.hub.documents) is exists
            if home is not None and home.product is not None:
                assert known[0] is not None
                assert (known[0].version, known[0].state) == (home.product.version, "open")
            else:
                assert known[0] is None or known[0].state == "deleted"


@given(chance=st.randoms(use_true_random=False), steps=st.integers(20, 250))
@SEVERAL
def test_a_product_that_is_answered_is_so_in_every_partition(chance: Random, steps: int) -> None:
    life = Life(chance)
    life.live(steps)
    life.end()
    assert_versions_rise(life.hub)


@given(chance=st.randoms(use_true_random=False))
@SEVERAL
def test_deletions_of_one_product_among_registrations_leave_no_device_without_it(chance: Random) -> None:
    """All is about one product here, and partitions are far apart."""
    life = Life(chance)
    for _ in range(6):
        life.ask(put(PRODUCTS[0]))
        life.ask(delete_product(PRODUCTS[0]))
        for number in range(6):
            one = register if chance.random() < 0.6 else delete
            life.ask(one(f"d{number}", PRODUCTS[0]))
        for _ in range(chance.randrange(80)):
            if chance.random() < 0.5:
                life.deliver()
            else:
                life.fold(chance.randrange(PARTITIONS))
            life.check()
        if chance.random() < 0.3:
            life.hub.crash(chance.randrange(PARTITIONS))
    life.end()
    assert_versions_rise(life.hub)
    asked = Counter(type(message) for message in life.asked.values())
    assert asked[DeleteProduct] == 6


def assert_versions_rise(hub: Hub) -> None:
    """Of a name, whatever it was before."""
    newest: Counter[tuple[str, str]] = Counter()
    for event in hub.events():
        name = event["product_id"], event.get("device_id", "")
        assert event["version"] > newest[name], event
        newest[name] = event["version"]
