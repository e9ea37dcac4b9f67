"""Devices begin, carry tags, and end; what is remembered of their commands is forgotten in time."""

from __future__ import annotations

from services.commands.limits import AGE, ENDED, HOUR, REPLIES, REPLY, Rules
from services.commands.lives import REMNANT, deadline
from services.commands.settings import CommandsSettings, LedgerSettings
from services.commands.views import listing, show_commands, show_pending, terms
from tests.support.commands.asking import (
    KEY,
    T0,
    delete_device,
    idempotent,
    presence,
    published,
    register,
    reply,
    retag,
    send,
)
from tests.support.commands.hub import Hub


def test_a_registered_device_is_found_by_its_product_and_its_tags() -> None:
    hub = Hub(online=None)
    hub.write(register(tags=("line-3", "west")))
    assert listing(hub.row) == (("product", "p1"),)
    assert terms(hub.row) == (("tag", "p1/line-3"), ("tag", "p1/west"))
    hub.write(retag("west", version=2))
    assert (hub.row.tags, hub.row.tags_version) == (("west",), 2)
    hub.write(retag("line-3", version=2))
    hub.write(register(version=1))
    assert hub.row.tags == ("west",), "what is older is met again"


def test_it_is_found_by_its_commands() -> None:
    hub = Hub(online=True)
    hub.write(send("r1"))
    hub.write(send("r2"))
    hub.write(reply("r1"))
    assert listing(hub.row) == (("product", "p1"), ("request", "r2"), ("request", "r1"))
    assert terms(hub.row) == (), "only a fan-out's end looks for commands"


def test_a_stranger_is_remembered_while_it_is_online() -> None:
    hub = Hub(online=None)
    hub.connect()
    assert hub.row.session == "online"
    assert show_commands(KEY, hub.row, hub.shared) is None
    assert show_pending(KEY, hub.row, hub.shared) is None
    assert listing(hub.row) == ()
    hub.connect("offline")
    assert hub.rows == {}


def test_who_was_online_before_it_was_registered_hears_at_once() -> None:
    hub = Hub(online=None)
    hub.connect()
    hub.write(register())
    hub.write(send())
    assert hub.sent() == ["r1"]


def test_a_device_s_own_page_says_how_many_are_open_and_wait() -> None:
    hub = Hub(online=True)
    hub.write(send("r1"))
    hub.connect("offline")
    hub.write(send("r2"))
    found = show_pending(KEY, hub.row, hub.shared)
    assert found is not None
    assert (found.open, found.queued) == (2, 1)


def test_a_device_that_is_deleted_ends_all_its_commands() -> None:
    hub = Hub(online=True)
    hub.write(send("r1"))
    hub.write(send("r2"))
    hub.write(delete_device())
    assert hub.story("r1")[-1] == hub.story("r2")[-1] == "CommandEnded"
    assert hub.ends == [("cmd", "cancelled")] * 2
    assert show_commands(KEY, hub.row, hub.shared) is None
    hub.write(delete_device())
    assert hub.ends == [("cmd", "cancelled")] * 2


def test_its_remnant_drops_what_comes_late_and_goes() -> None:
    hub = Hub(online=True)
    hub.write(send())
    hub.write(delete_device())
    row = hub.row
    assert hub.write(reply()) == []
    assert hub.outcomes[-1] == ("command_answered", "late")
    assert hub.write(published()) == []
    assert hub.row is row
    hub.connect("offline")
    hub.tick(T0 + REMNANT - 1)
    assert KEY in hub.rows
    hub.tick(T0 + REMNANT)
    assert hub.rows == {}


def test_the_next_device_of_its_name_knows_nothing_of_them() -> None:
    hub = Hub(online=True)
    hub.ask(send(idempotency=idempotent()))
    hub.write(delete_device(version=2))
    hub.write(register(version=3))
    assert show_commands(KEY, hub.row, hub.shared) is not None
    assert hub.commands().ended == ()
    hub.ask(send(idempotency=idempotent(fingerprint="other")))
    assert hub.sent() == ["r1", "r1"], "it is still online"


def test_what_is_over_is_forgotten_by_the_hour_after_a_week() -> None:
    hub = Hub(online=True)
    hub.write(send())
    hub.write(reply())
    when = deadline(hub.row, hub.rules)
    assert when is not None
    assert T0 + AGE < when <= T0 + AGE + HOUR
    hub.tick(when - 1)
    assert [past.request_id for past in hub.row.ended] == ["r1"]
    hub.tick(when)
    assert not hub.row.ended
    assert deadline(hub.row, hub.rules) is None


def test_keys_are_forgotten_by_the_hour_after_a_day() -> None:
    hub = Hub(online=True)
    hub.ask(send(ttl=1000, idempotency=idempotent()))
    hub.wait(1000)
    when = deadline(hub.row, hub.rules)
    assert when is not None
    hub.tick(when)
    assert hub.row.answered == ()
    assert len(hub.row.ended) == 1


def test_of_what_is_over_the_newest_are_remembered() -> None:
    hub = Hub()
    for number in range(ENDED + 5):
        hub.write(send(f"r{number}", ttl=1))
        hub.tick(hub.time + 1)
    assert [past.request_id for past in hub.row.ended] == [f"r{number}" for number in range(5, ENDED + 5)]


def test_of_replies_no_more_is_kept_than_fits_a_row() -> None:
    hub = Hub()
    many = REPLIES // REPLY + 2
    for number in range(many):
        hub.write(send(f"r{number}", ttl=1))
        hub.tick(hub.time + 1)
        hub.write(reply(f"r{number}", payload="x" * (REPLY - 2)))
    kept = [past.reply_size > 0 for past in hub.row.ended]
    assert kept == [False, False, *[True] * (many - 2)]


def test_a_row_that_wants_nothing_is_not_visited() -> None:
    hub = Hub(online=True)
    assert deadline(hub.row, hub.rules) is None
    hub.write(send(ttl=5000))
    assert deadline(hub.row, hub.rules) == T0 + 5000
    hub.write(presence("offline", 9))
    assert deadline(hub.row, hub.rules) == T0 + 5000


def test_settings_say_the_rules() -> None:
    assert CommandsSettings().rules() == Rules()
    chosen = CommandsSettings(commands=LedgerSettings(open=5, ttl_s=60, pace_s=0.5), tag_topics=True)
    assert chosen.rules() == Rules(open=5, ttl=60_000, window=500, tag_topics=True)
    assert list(LedgerSettings(ttl_s=10, longest_ttl_s=9).faults()) == [
        ("ttl_s", "must be at most FLEETLOG_COMMANDS_LONGEST_TTL_S")
    ]
