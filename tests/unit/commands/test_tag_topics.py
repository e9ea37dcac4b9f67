"""One publish to a tag for all of its devices that are known to hear it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from libs.topics import names
from services.commands.limits import TO_TAGS, Rules
from services.commands.views import show_fanouts
from tests.support.commands.asking import (
    cancel_fanout,
    follow,
    product,
    published,
    pull,
    register,
    reply,
    retag,
    send,
    send_to_tag,
)
from tests.support.commands.hub import Hub, decode_publish

if TYPE_CHECKING:
    from libs.topics.messages.downlink import PublishMessage

DEVICES = ("d1", "d2", "d3")


def fleet(partition: int = 0, **rules: Any) -> Hub:
    """Three devices of a tag: d1 and d2 are online and have subscribed to what they hear, d3 is offline."""
    hub = Hub(online=None, rules=Rules(**{"tag_topics": True, **rules}))
    hub.partition = partition
    hub.write(product(None))
    for device in DEVICES:
        hub.write(register(device, tags=("line-3",)))
    for device in DEVICES[:2]:
        hub.connect(device=device)
        listen(hub, device)
    hub.log.clear()
    return hub


def listen(hub: Hub, device: str = "d1") -> None:
    """Somebody hears a device's commands on its present connection, and it says that it has subscribed to its tags."""
    request_id = f"first-{device}-{hub.offset}"
    hub.write(send(request_id, device_id=device))
    hub.write(published(request_id, device=device))
    hub.write(reply(request_id, device=device))
    hub.write(follow(device=device))


def to_tag(hub: Hub) -> list[PublishMessage]:
    return [message for message in all_published(hub) if message.tag is not None]


def all_published(hub: Hub) -> list[PublishMessage]:
    return [decode_publish(value) for topic, _, value in hub.log if topic == names.DOWNLINK_MESSAGES and value]


def own(hub: Hub) -> list[tuple[str | None, str | None]]:
    """Device and request id of each command that was given to the downlink for one device."""
    sent = [message for message in all_published(hub) if message.tag is None and message.request_id]
    return [(message.device_id, message.request_id) for message in sent]


def states(hub: Hub, fanout_id: str = "f1") -> list[str | None]:
    shown = [show_fanouts(b"", hub.rows[f"p1/{device}".encode()], hub.shared) for device in DEVICES]
    return [None if one is None else one.states.get(fanout_id) for one in shown]


def test_one_publish_reaches_all_that_hear_their_tags() -> None:
    hub = fleet()
    hub.write(send_to_tag())
    [message] = to_tag(hub)
    assert own(hub) == []
    assert message.topic.startswith("tags/p1/line-3/cmd/reboot/plain/f1/")
    assert (message.device_id, message.tag, message.request_id) == (None, "line-3", "f1")
    assert message.expires_at == hub.command("f1").expires_at
    assert states(hub) == ["sent", "sent", "queued"]
    hub.connect(device="d3")
    hub.connect()
    assert own(hub) == [("d3", "f1"), ("d1", "f1")], "another connection gets it as a command of its own"


def test_who_is_not_known_to_hear_its_tags_gets_its_own() -> None:
    hub = fleet()
    hub.connect()  # nobody has heard anything on this connection
    hub.write(send_to_tag())
    assert own(hub) == [("d1", "f1")]
    hub.write(published("f1"))
    hub.write(retag("line-3", "west", version=2))  # it has not said that it has subscribed to these
    hub.write(send_to_tag("f2"))
    assert own(hub)[1:] == [("d1", "f2")]
    hub.write(follow(1))
    hub.write(send_to_tag("f3"))
    assert own(hub)[2:] == [("d1", "f3")]
    hub.write(follow(2))
    hub.write(send_to_tag("f4"))
    assert own(hub)[3:] == []
    assert states(hub, "f4") == ["sent", "sent", "queued"]
    assert [message.request_id for message in to_tag(hub)] == ["f1", "f2", "f3", "f4"]


@pytest.mark.parametrize(
    "said",
    [
        follow(subscribed=False),
        pull("$tags"),
        pull("$tags", b"\xff"),
        pull("$tags", b'{"tags_version":1}'),
        pull("$tags", b'{"tags_version":"1","subscribed":true}'),
        pull("$tags", b'{"tags_version":99999999999999999999999,"subscribed":true}'),
        pull("$tags", b"[]"),
    ],
)
def test_who_says_that_it_has_not_subscribed_or_says_nothing_is_not_counted_on(said: Any) -> None:
    hub = fleet()
    hub.write(said)
    hub.write(send_to_tag())
    assert own(hub) == [("d1", "f1")]


def test_a_device_of_unknown_session_gets_its_own() -> None:
    hub = fleet()
    hub.connect("unknown", channel=hub.row.channel_id)
    hub.write(send_to_tag())
    assert own(hub) == [("d1", "f1")]


def test_a_publish_to_the_tag_does_not_overtake_what_waits() -> None:
    hub = fleet(pace=1)
    hub.tells = True
    hub.connect("offline")
    hub.write(send("r1"))
    hub.write(send("r2"))
    hub.connect()
    hub.write(send_to_tag())
    hub.wait(10_000)
    assert [request_id for device, request_id in own(hub) if device == "d1"] == ["r1", "r2", "f1"]


def test_only_one_partition_publishes_to_the_tag() -> None:
    hub = fleet(partition=1)
    hub.write(replace(send_to_tag(), partition=1))
    assert all_published(hub) == []
    assert states(hub)[0] == "sent"


def test_asked_for_again_it_is_not_published_again() -> None:
    """Some may have replied, it may be cancelled, and its time is that of the first request."""
    hub = fleet()
    hub.write(send_to_tag())
    hub.write(cancel_fanout())
    hub.write(product(60_000, version=2))
    hub.write(send_to_tag())
    assert [message.request_id for message in to_tag(hub)] == ["f1"]
    for number in range(TO_TAGS):
        hub.write(send_to_tag(f"more-{number}", ttl=1))
        hub.tick(hub.time + 1)
    known = [fanout_id for fanout_id, _ in hub.cells["p1"].to_tags]
    assert known == [f"more-{number}" for number in range(TO_TAGS)]


def test_of_a_product_that_is_not_known_each_gets_its_own() -> None:
    hub = fleet()
    hub.cells.clear()
    hub.write(send_to_tag())
    assert (to_tag(hub), own(hub)) == ([], [("d1", "f1"), ("d2", "f1")])


def test_rpcs_have_no_topic_of_their_tag() -> None:
    hub = fleet()
    hub.write(send_to_tag(mode="rpc"))
    assert (to_tag(hub), own(hub)) == ([], [("d1", "f1"), ("d2", "f1")])
    assert "p1" in hub.cells
    assert hub.cells["p1"].to_tags == ()


def test_where_the_broker_cannot_nothing_is_published_to_a_tag() -> None:
    hub = fleet(tag_topics=False)
    hub.write(send_to_tag())
    assert (to_tag(hub), own(hub)) == ([], [("d1", "f1"), ("d2", "f1")])
