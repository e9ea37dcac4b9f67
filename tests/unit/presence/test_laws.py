"""The two laws: what is met again changes nothing, and order between sources decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.support.presence.hub import Hub
from tests.support.presence.laws import LAW, NAMING, RANDOM, assert_chain, assert_changes_nothing, folded, lives, mixed
from tests.support.presence.world import Client, World

if TYPE_CHECKING:
    from random import Random

    from services.presence.step import Event

CLIENTS: tuple[Client, ...] = (("d1", "c1"), ("d1", "c2"), ("d2", "c1"))
PAUSES = st.sampled_from([0, 0, 1, 300, 1000, 4000, 61_000])
CLIENT = st.sampled_from(CLIENTS)
BROKER = st.sampled_from([0, 0, 1, 2, 3, 3, 4])


class DeliveredInAnyOrder(RuleBasedStateMachine):
    """The world goes on while its reports arrive: each source's in order, some of them again, whenever.

    Time may stand still: events of the same millisecond or second are told apart by their source's order alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.world, self.hub = World(), Hub()
        self.delivered: list[Event] = []
        self.taken = [0] * len(self.world.logs())

    @rule(client=CLIENT, broker=BROKER, pause=PAUSES)
    def connect(self, client: Client, broker: int, pause: int) -> None:
        self.world.wait(pause)
        self.world.connect(client, self.world.brokers[broker])

    @rule(client=CLIENT, broker=BROKER, pause=PAUSES, goodbye=st.booleans(), twice=st.booleans())
    def close(self, client: Client, broker: int, pause: int, goodbye: bool, twice: bool) -> None:
        self.world.wait(pause)
        where = self.world.home(client, self.world.brokers[broker])
        self.world.close(client, where, goodbye=goodbye, twice=twice)

    @rule(broker=BROKER, pause=PAUSES)
    def restart_broker(self, broker: int, pause: int) -> None:
        self.world.wait(pause)
        self.world.restart(self.world.brokers[broker])

    @rule(device=st.sampled_from(["d1", "d2", "d3"]), pause=PAUSES)
    def send(self, device: str, pause: int) -> None:
        self.world.wait(pause)
        self.world.send(device)

    @rule(broker=BROKER, pause=PAUSES, patience=st.sampled_from([0, 2000, 10_000]))
    def renew(self, broker: int, pause: int, patience: int) -> None:
        self.world.wait(pause)
        self.world.renew(self.world.brokers[broker], patience)

    @rule(pause=PAUSES)
    def tick(self, pause: int) -> None:
        self.world.wait(pause)
        self.world.tick()

    @rule(client=CLIENT, broker=BROKER)
    def lose(self, client: Client, broker: int) -> None:
        self.world.lose(client, self.world.home(client, self.world.brokers[broker]))

    @rule(broker=BROKER, pause=PAUSES)
    def begin_listing(self, broker: int, pause: int) -> None:
        self.world.wait(pause)
        self.world.begin_listing(self.world.brokers[broker])

    @rule(broker=BROKER, pause=PAUSES)
    def end_listing(self, broker: int, pause: int) -> None:
        self.world.wait(pause)
        self.world.end_listing(self.world.brokers[broker])

    @rule(broker=BROKER, pause=PAUSES)
    def list_clients(self, broker: int, pause: int) -> None:
        self.begin_listing(broker, pause)
        self.world.end_listing(self.world.brokers[broker])

    @rule(device=st.sampled_from(["d1", "d3"]), reachable=st.booleans())
    def probe(self, device: str, reachable: bool) -> None:
        self.world.probe(device, reachable=reachable)

    @rule(device=st.sampled_from(["d1", "d1", "d3"]), pause=PAUSES)
    def delete(self, device: str, pause: int) -> None:
        self.world.wait(pause)
        self.world.delete(device)

    @rule(device=st.sampled_from(["d1", "d1", "d3"]), pause=PAUSES)
    def register(self, device: str, pause: int) -> None:
        self.world.wait(pause)
        self.world.register(device)

    @rule(source=st.integers(0, 8), count=st.integers(1, 4))
    def deliver(self, source: int, count: int) -> None:
        for event in self.world.logs()[source][self.taken[source] :][:count]:
            self.taken[source] += 1
            self.delivered.append(event)
            self.hub.apply(event)

    @rule()
    def restart_hub(self) -> None:
        self.hub.restart()

    @precondition(lambda self: self.delivered)
    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        assert_changes_nothing(self.hub, data.draw(st.sampled_from(self.delivered)))

    @invariant()
    def transitions_form_a_chain(self) -> None:
        assert_chain(self.hub.transitions)

    def teardown(self) -> None:
        for source, log in enumerate(self.world.logs()):
            self.deliver(source, len(log))
        for event in self.delivered:
            assert_changes_nothing(self.hub, event)
        assert self.hub.state() == self.world.truth()


DeliveredInAnyOrder.TestCase.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)
TestDeliveredInAnyOrder = DeliveredInAnyOrder.TestCase


@given(world=lives(), random=RANDOM)
@LAW
def test_any_two_interleavings_end_in_the_truth(world: World, random: Random) -> None:
    assert folded(mixed(world, random)).state() == world.truth()
    assert folded(mixed(world, random)).state() == world.truth()


@given(world=lives(brokers=NAMING, acts=("connect", "close")), random=RANDOM)
@LAW
def test_where_closes_name_their_channel_no_order_is_needed_at_all(world: World, random: Random) -> None:
    events = [event for log in world.logs() for event in log]
    random.shuffle(events)
    hub = folded(events)
    assert_chain(hub.transitions)
    assert hub.state() == world.truth()


@given(world=lives(), random=RANDOM)
@LAW
def test_a_hub_that_restarts_anywhere_repeats_every_output_byte_for_byte(world: World, random: Random) -> None:
    events = mixed(world, random)
    first, second = Hub(), Hub()
    for event in events:
        if random.random() < 0.2:
            second.restart()
        assert second.apply(event) == first.apply(event)
    assert second.rows == first.rows
