"""What the registry and presence tell: devices begin, carry tags, come online, and end."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from libs.runtime.lane.verdicts import Misplaced
from libs.topics.messages.hub import RequestRefused, TimePassed
from libs.topics.messages.registry_events import DeviceEnabled, ProductDeleted
from services.shadow.lives import REMNANT
from services.shadow.views import listing, show_document, show_named, show_status, show_summary, terms
from tests.support.shadow.asking import (
    KEY,
    T0,
    aliyun,
    delete_device,
    patch,
    presence,
    product,
    pull,
    register,
    report,
    retag,
    status,
)
from tests.support.shadow.hub import Hub, published

TEMPLATE = {"desired": {"interval": 10, "motor": {"rpm": 5}}, "reported": {"fw": "0"}}


def topics(hub: Hub, message: Any) -> list[str]:
    return [one.topic.partition("/plain/")[0] for one in published(hub.write(message))]


def test_a_product_s_template_is_what_a_shadow_begins_with() -> None:
    hub = Hub(registered=False)
    hub.write(product(TEMPLATE))
    hub.write(register())
    assert (hub.classic.desired, hub.classic.reported, hub.classic.version) == (*TEMPLATE.values(), 1)
    (event,) = hub.events()
    assert (event.cause, event.via, event.by) == ("created", "template", "template")
    hub.write(register())
    assert len(hub.events()) == 1, "met again it changes nothing"


def test_what_a_device_has_set_before_stays() -> None:
    hub = Hub(registered=False)
    hub.write(product(TEMPLATE))
    hub.write(report({"fw": "1.2", "x": {"y": 1}}))
    hub.write(register())
    assert hub.classic.reported == {"fw": "1.2", "x": {"y": 1}}
    assert hub.classic.desired == TEMPLATE["desired"]
    assert hub.events()[-1].reported is None


@pytest.mark.parametrize("template", [None, {}, {"desired": {}}, {"desired": 3}, {"reported": {"a": None}}])
def test_a_template_that_says_nothing_makes_no_document(template: Any) -> None:
    hub = Hub(registered=False)
    hub.write(product(template))
    hub.write(register())
    assert hub.row.classic is None
    assert hub.events() == []


def test_a_template_that_no_shadow_could_hold_is_refused_and_the_device_is_there() -> None:
    hub = Hub(registered=False)
    deep: Any = 1
    for _ in range(9):
        deep = {"a": deep}
    hub.write(product({"desired": deep}))
    hub.write(register())
    assert hub.row.registered
    assert [event.code for event in hub.events()] == ["document_too_deep"]


def test_a_device_that_is_registered_before_its_product_is_known_gets_the_template_with_it() -> None:
    hub = Hub(registered=False)
    hub.write(register())
    hub.write(patch({"interval": 20}))
    hub.write(register("d2", product="p2"))
    hub.write(product(TEMPLATE))
    assert hub.classic.desired == {"interval": 20, "motor": {"rpm": 5}}
    assert [event.cause for event in hub.events()] == ["desired_changed", "created"]
    assert hub.rows[b"p2/d2"].classic is None
    hub.write(product({"desired": {"x": 1}}, version=2))
    assert len(hub.events()) == 2, "later templates are for later devices"


def test_only_newer_news_of_a_product_counts() -> None:
    hub = Hub(registered=False)
    hub.write(product(TEMPLATE, version=5))
    hub.write(product(None, version=4))
    assert hub.cells["p1"].template == TEMPLATE
    hub.write(ProductDeleted("i", "p1", 6, "tester", T0))
    assert hub.cells == {}


def test_a_deleted_device_s_shadows_go_and_its_remnant_drops_what_comes_late() -> None:
    hub = Hub()
    hub.write(patch({"a": 1}))
    hub.write(patch({"b": 1}, "night"))
    hub.write(status({"battery": 7}))
    hub.write(delete_device(version=9))
    deleted = [(event.shadow, event.cause, event.via, event.by, event.id) for event in hub.events()[3:]]
    assert deleted == [
        (None, "deleted", "registry", "tester", "shadow.inbox-0-4-0"),
        ("night", "deleted", "registry", "tester", "shadow.inbox-0-4-1"),
    ]
    assert hub.documents() == {}
    said = len(hub.log)
    for late in (report({"a": 1}), aliyun({"method": "get"}), pull(), status({"battery": 6})):
        hub.write(late)
    hub.write(delete_device(version=9))
    hub.write(register(version=8))
    assert isinstance(hub.ask(patch({"a": 2})), RequestRefused)
    assert len(hub.log) == said + 1, "but for the refusal nothing is said"
    assert show_summary(KEY, hub.row, hub.shared) is None
    hub.tick(T0 + REMNANT - 1)
    assert KEY in hub.rows
    hub.tick(T0 + REMNANT)
    assert KEY not in hub.rows


def test_the_next_life_begins_at_version_1() -> None:
    hub = Hub(registered=False)
    hub.write(product({"reported": {"fw": "0"}}))
    hub.write(register())
    hub.write(patch({"a": 1}))
    hub.time += 5
    hub.relive()
    assert (hub.classic.version, hub.classic.created_at) == (1, T0 + 5)
    assert hub.row.gone_at is None
    hub.tick(T0 + 2 * REMNANT)
    assert hub.row.registered


def test_a_deletion_may_be_heard_of_before_anything_else() -> None:
    hub = Hub(registered=False)
    hub.write(delete_device(version=3))
    hub.write(report({"a": 1}))
    assert hub.row.classic is None
    assert hub.log == []


def test_what_else_the_registry_tells_of_a_device_is_nothing_to_its_shadow() -> None:
    hub = Hub(registered=False)
    hub.write(DeviceEnabled("i", "p1", "d1", 3, "tester", T0))
    assert hub.rows == {}


def test_tags_are_what_a_device_is_found_by() -> None:
    hub = Hub(registered=False)
    hub.write(product(None))
    hub.write(register(tags=("a", "b")))
    assert terms(hub.row) == (("tag", "p1/a"), ("tag", "p1/b"))
    hub.write(retag("c", version=3))
    hub.write(retag("b", version=2))
    assert terms(hub.row) == (("tag", "p1/c"),)
    assert listing(hub.row) == (("product", "p1"),)
    hub.write(delete_device(version=4))
    assert (terms(hub.row), listing(hub.row)) == ((), ())


def test_a_device_that_is_offline_is_told_all_at_once_when_it_is_back() -> None:
    hub = Hub()
    hub.write(pull())
    hub.write(presence("offline", 1))
    for number in range(1000):
        assert topics(hub, patch({"n": number})) == []
    (told,) = published(hub.write(presence("online", 2)))
    assert msgspec.json.decode(told.payload)["state"]["desired"] == {"n": 999}
    assert topics(hub, presence("online", 2)) == [], "met again it says nothing"
    assert topics(hub, presence("online", 3, "ch2", "ch1")) == ["cmd/p1/d1/$update_shadow"], "another connection"
    assert topics(hub, presence("online", 4, "ch2", "ch2")) == [], "in doubt for a while, and the same connection"


def test_transitions_that_presence_repeats_change_nothing() -> None:
    """After a crash several come again, from one before the newest on: online, offline, online by another channel."""
    hub = Hub()
    hub.write(pull())
    hub.write(patch({"a": 1}))
    transitions = [
        presence("online", 8),
        presence("offline", 9, None, "ch1"),
        presence("online", 10, "ch2"),
        presence("offline", 11, None, "ch2"),
    ]
    assert [len(topics(hub, message)) for message in transitions] == [1, 0, 1, 0]
    row = hub.row
    assert [topics(hub, message) for message in transitions] == [[]] * 4
    assert hub.row == row
    other = msgspec.structs.replace(presence("online", 3), id="presence.inbox-1-3-p1/d1-0")
    assert topics(hub, other) == ["cmd/p1/d1/$update_shadow"], "of another partition, as after they were divided anew"


def test_who_connects_while_nobody_watches_its_broker_is_told_once() -> None:
    hub = Hub()
    hub.write(pull())
    hub.write(presence("offline", 1))
    hub.write(patch({"a": 1}))
    assert len(topics(hub, presence("unknown", 2, "ch2"))) == 1, "in doubt is not offline"
    assert topics(hub, presence("online", 3, "ch2", "ch2")) == []
    assert topics(hub, presence("unknown", 4, "ch2", "ch2")) == []
    assert len(topics(hub, presence("unknown", 5, "ch3", "ch2"))) == 1, "another connection"
    assert topics(hub, presence("online", 6, "ch3", "ch3")) == []


@pytest.mark.parametrize("first", ["unknown", "online"])
def test_who_was_connected_before_presence_told_of_it_is_told(first: Any) -> None:
    """The first word here is of a lapse, or of the end of one."""
    hub = Hub()
    assert topics(hub, patch({"a": 1})) == []
    assert len(topics(hub, presence(first, 1, "ch1", "ch1"))) == 3, "in all dialects"
    assert topics(hub, presence("online", 2, "ch1", "ch1")) == []


def test_who_comes_online_is_told_of_each_shadow_that_differs() -> None:
    hub = Hub()
    hub.write(patch({"a": 1}))
    hub.write(patch({"b": 1}, "night"))
    hub.write(patch({"c": 1}, "day"))
    hub.write(report({"c": 1}, shadow="day"))
    told = published(hub.write(presence("online")))
    assert [one.topic.partition("/plain/")[0] for one in told] == [
        "cmd/p1/d1/$update_shadow",
        *["cmd/p1/d1/$update_named_shadow"],
    ]
    assert len({one.id for one in told}) == len({one.topic for one in told}) == 2


def test_a_device_of_which_nothing_is_known_is_told_nothing_and_one_in_doubt_is() -> None:
    hub = Hub()
    assert topics(hub, patch({"a": 1})) == []
    hub.write(presence("unknown"))
    assert topics(hub, patch({"a": 2})) == ["/shadow/p1/d1/get", "/shadow/get/p1/d1", "cmd/p1/d1/$update_shadow"]
    other = Hub()
    other.write(aliyun({"method": "get"}))
    assert topics(other, patch({"a": 1})) == ["/shadow/p1/d1/get"], "it has spoken: no need of presence"
    assert topics(other, patch({"a": None})) == [], "nothing differs any more"


@pytest.mark.parametrize(
    ("word", "answer", "missed"),
    [
        (report({"b": 1}), "$shadow_reply", ["$update_shadow", "$update_named_shadow"]),
        (report({"b": 1}, version=0), "$update_shadow", ["$update_shadow", "$update_named_shadow"]),
        (report(7), "$shadow_reply", ["$update_shadow", "$update_named_shadow"]),
        (pull(), "$update_shadow", ["$update_named_shadow"]),
        (pull("night"), "$update_named_shadow", ["$update_shadow"]),
        (aliyun({"method": "get"}), "get", ["$update_named_shadow"]),
        (aliyun({"method": "update", "state": {"reported": {"b": 1}}}), "get", ["get", "$update_named_shadow"]),
    ],
)
def test_who_speaks_first_and_is_unknown_to_presence_is_told_what_it_missed(
    word: Any, answer: str, missed: list[str]
) -> None:
    hub = Hub()
    for shadow in (None, "night"):
        assert topics(hub, patch({"a": 1}, shadow)) == []
    told = published(hub.write(word))
    assert [one.topic.partition("/plain/")[0].rpartition("/")[2] for one in told] == [answer, *missed]
    assert len({one.id for one in told}) == len(told)
    assert len(published(hub.write(word))) == 1, "it has spoken"


def test_strangers_that_come_and_go_leave_nothing() -> None:
    hub = Hub(registered=False)
    hub.write(presence("online", 1))
    hub.write(presence("offline", 2))
    assert hub.rows == {}


def test_a_broadcast_under_a_device_s_key_and_a_device_s_message_as_broadcast_are_dead_letters() -> None:
    hub = Hub()
    with pytest.raises(Misplaced):
        hub.write(TimePassed(0, T0), key=KEY)
    with pytest.raises(Misplaced):
        hub.write(patch({"a": 1}), key=b"\x00broadcast")


def test_owners_show_what_is_registered() -> None:
    hub = Hub(registered=False)
    views: Any = (show_document, show_named, show_status, show_summary)
    assert [view(KEY, None, hub.shared) for view in views] == [None] * 4
    hub.write(report({"a": 1}))
    assert [view(KEY, hub.row, hub.shared) for view in views] == [None] * 4
    other = Hub()
    empty = show_document(KEY, other.row, other.shared)
    assert empty is not None
    assert (empty.version, empty.state.desired, empty.created_at) == (0, {}, T0)
    other.write(patch({"a": 1}))
    other.write(report({"b": 1}, shadow="night"))
    other.write(status({"battery": 7}, "m4"))
    assert show_document(KEY, other.row, other.shared) == other.documents()[KEY]
    named = show_named(KEY, other.row, other.shared)
    assert named is not None
    assert named.shadows == {"night": other.documents()[KEY + b"/night"]}
    summary = show_summary(KEY, other.row, other.shared)
    assert summary is not None
    assert (summary.shadow.converged, summary.named["night"].converged) == (False, True)
    assert summary.status == show_status(KEY, other.row, other.shared)
    assert summary.status is not None
    assert (summary.status.status, summary.status.message_id) == ({"battery": 7}, "m4")
