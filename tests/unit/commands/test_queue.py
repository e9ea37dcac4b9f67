"""Commands that wait for their device, and go when it is back."""

from __future__ import annotations

from libs.topics.messages.command_events import CommandQueued
from libs.topics.messages.hub import TimePassed
from services.commands.limits import DEFAULTS, Rules
from tests.support.commands.asking import T0, call, presence, reply, send
from tests.support.commands.hub import Hub


def queued(number: int, *, tells: bool = True) -> Hub:
    found = Hub(online=False, tells=tells)
    for n in range(number):
        found.write(send(f"q{n}"))
    return found


def ids(*numbers: int) -> list[str]:
    return [f"q{n}" for n in numbers]


def test_a_device_that_is_offline_finds_its_commands_in_order() -> None:
    hub = queued(3)
    assert hub.told() == []
    assert [event.pending for event in hub.events() if isinstance(event, CommandQueued)] == [1, 2, 3]
    hub.connect()
    assert hub.sent() == ids(0, 1, 2)
    assert [view.state for view in hub.commands().open] == ["sent", "sent", "sent"]


def test_a_device_that_was_never_seen_counts_as_offline() -> None:
    hub = Hub(online=False)
    assert hub.row.session is None
    hub.write(send())
    assert hub.command().state == "queued"


def test_they_are_paced() -> None:
    hub = queued(70)
    hub.connect()
    assert hub.sent() == ids(*range(30))
    hub.wait(DEFAULTS.window - 1)
    assert len(hub.sent()) == 30
    hub.wait(1)
    assert hub.sent() == ids(*range(60))
    hub.wait(DEFAULTS.window)
    assert hub.sent() == ids(*range(70))
    hub.wait(3 * DEFAULTS.window)
    assert len(hub.sent()) == 70


def test_what_is_sent_meanwhile_waits_its_turn() -> None:
    hub = queued(31)
    hub.connect()
    hub.write(send("late-comer"))
    assert hub.command("late-comer").state == "accepted", "the device is online: it is on its way"
    hub.wait(DEFAULTS.window)
    assert hub.sent()[-2:] == ["q30", "late-comer"]
    hub.write(send("at-once"))
    assert hub.sent()[-1] == "at-once"


def test_what_had_no_turn_is_queued_when_the_device_leaves() -> None:
    hub = queued(31)
    hub.connect()
    hub.write(send("late-comer"))
    hub.connect("offline")
    assert hub.command("late-comer").state == "queued"
    hub.wait(DEFAULTS.window)
    assert len(hub.sent()) == 30


def test_a_new_connection_gets_again_what_was_not_replied_to() -> None:
    hub = queued(3)
    hub.connect()
    hub.write(reply("q1"))
    hub.connect()
    assert hub.sent() == ids(0, 1, 2, 0, 2)
    assert hub.command("q0").attempts == 2


def test_the_same_connection_gets_nothing_twice() -> None:
    hub = queued(2)
    hub.connect(channel="ch9")
    for number, state in enumerate(["unknown", "online", "offline", "online"], 50):
        hub.write(presence(state, number, "ch9"))  # type: ignore[arg-type] # they are states
    assert hub.sent() == ids(0, 1)
    hub.write(send("new"))
    assert hub.sent() == [*ids(0, 1), "new"]


def test_what_was_queued_while_a_connection_seemed_closed_is_sent_on_it() -> None:
    hub = Hub(online=True)
    (row,) = hub.rows.values()
    hub.connect("offline")
    hub.write(send())
    hub.connect(channel=row.channel_id)
    assert hub.sent() == ["r1"]


def test_presence_s_word_that_is_met_again_changes_nothing() -> None:
    hub = queued(1)
    event = presence("online", 5)
    hub.write(event)
    row = hub.row
    assert hub.write(event) == []
    assert hub.row is row


def test_devices_that_come_again_and_again_are_paced_all_the_same() -> None:
    hub = queued(20)
    for _ in range(5):
        hub.connect()
        hub.time += 10
    assert len(hub.sent()) == 30
    assert hub.sent() == ids(*range(20), *range(10))


def test_nothing_is_sent_at_its_expiry_though_no_tick_came() -> None:
    hub = Hub(online=False)
    hub.write(send("short", ttl=1000))
    hub.write(send("long", ttl=1001))
    hub.time += 1000
    hub.connect()
    assert hub.sent() == ["long"]
    assert hub.command("short").state == "expired"


def test_a_queue_that_waits_for_its_window_may_expire_in_it() -> None:
    rules = Rules(pace=1)
    hub = Hub(online=False, rules=rules)
    hub.write(send("first"))
    hub.write(send("second", ttl=rules.window))
    hub.connect()
    hub.wait(rules.window)
    assert hub.sent() == ["first"]
    assert hub.command("second").state == "expired"


def test_a_tick_that_is_older_than_the_newest_visits_nobody() -> None:
    hub = Hub(online=False)
    hub.write(send(ttl=1000))
    hub.tick(T0 + 500)
    assert hub.write(TimePassed(0, T0 + 400)) == []


def test_rpcs_are_no_part_of_the_queue() -> None:
    hub = Hub(online=False)
    hub.write(call("c1"))
    hub.write(send("q0"))
    hub.connect()
    assert hub.sent() == ["q0"]
