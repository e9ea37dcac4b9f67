"""Commands over HTTP with a device at the other end of Kafka: called, followed, and what became of them long after."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec

from libs.topics import names
from libs.topics.codec import encode
from libs.topics.messages.command_events import CommandDelivered, ProbeConcluded
from libs.topics.messages.command_requests import MessagePublished
from libs.topics.messages.commands import CommandAnswered
from tests.integration.api.reads.test_reads import body, connect, now, registered
from tests.integration.api.reads.test_stream import Listener
from tests.support.polling import eventually
from tests.support.records import produce

if TYPE_CHECKING:
    import httpx

    from devstack.stack import Stack

STEPS = ("command_accepted", "command_replied", "command_ended", "late_reply_recorded", "fan_out_started")


class Device:
    """What the downlink and a device tell the hub."""

    def __init__(self, stack: Stack, client: httpx.Client, product: str, device_id: str) -> None:
        self.stack, self.client, self.product, self.id = stack, client, product, device_id
        self.path = f"/v1/products/{product}/devices/{device_id}"

    def come(self) -> None:
        """Connect, and wait until the ledger knows: a call is then not refused any more."""
        connect(self.stack, self.product, self.id, now())

        def here() -> bool:
            probing = {"name": "are-you-here", "timeout_s": 0.1}
            return bool(self.client.post(f"{self.path}/rpc", json=probing).json()["code"] == "rpc_timed_out")

        eventually(here, 60, describe="the ledger knows that the device is online")

    def called(self, name: str) -> str:
        """Wait for a command of that name to be open; returns its request id."""

        def found() -> str | None:
            listed = body(self.client, f"{self.path}/commands")["items"]
            return next((one["request_id"] for one in listed if one["command"] == name), None)

        told = eventually(found, describe=f"{name} is open")
        assert told is not None
        return told

    def reply(self, name: str, mode: Any, request_id: str, payload: bytes) -> None:
        key, at = f"{self.product}/{self.id}".encode(), now()
        answer = CommandAnswered(
            self.product, self.id, mode, name, request_id, f"s{at}", 1, "json", msgspec.Raw(payload), at
        )
        published = MessagePublished(self.product, self.id, request_id, None, at)
        produce(self.stack.kafka, names.COMMANDS_INBOX, [(key, encode(published)), (key, encode(answer))])


def entry(client: httpx.Client, request_id: str, state: str) -> Any:
    """Wait until the past has an entry in that state, with all its steps."""

    def stored() -> Any:
        answer = client.get(f"/v1/commands/{request_id}")
        assert answer.status_code == 200, answer.text
        told = answer.json()
        return told if told["state"] == state and told["steps"] else None

    return eventually(stored, 60, describe=f"{request_id} is {state}, and stored")


def test_a_call_is_answered_by_the_device_and_known_for_ever(stack: Stack, client: httpx.Client) -> None:
    product = registered(client, "d1")
    device = Device(stack, client, product, "d1")
    device.come()
    listener = Listener(client, product, ",".join(STEPS))
    following = threading.Thread(target=listener.listen, kwargs={"until": 5})
    following.start()
    eventually(lambda: listener.last, describe="the stream has begun")
    with ThreadPoolExecutor(1) as pool:
        body_ = {"name": "unlock", "payload": {"door": 2}, "timeout_s": 30}
        waiting = pool.submit(client.post, f"{device.path}/rpc", json=body_)
        request_id = device.called("unlock")
        device.reply("unlock", "rpc", request_id, b'{"open":true}')
        answer = waiting.result(60)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["request_id"], told["state"], told["reply"]["payload"]) == (request_id, "replied", {"open": True})

    late = client.post(f"{device.path}/rpc", json={"name": "slow", "timeout_s": 0.2})
    assert (late.status_code, late.json()["code"]) == (504, "rpc_timed_out")
    slow = late.json()["current"]["request_id"]
    device.reply("slow", "rpc", slow, b'"done"')
    following.join(60)
    assert [(event.name, event.data["request_id"]) for event in listener.events] == [
        ("command_accepted", request_id),
        ("command_replied", request_id),
        ("command_accepted", slow),
        ("command_ended", slow),
        ("late_reply_recorded", slow),
    ]


def test_the_past_is_told_also_when_the_device_is_gone(stack: Stack, client: httpx.Client) -> None:
    product = registered(client, "d1")
    device = Device(stack, client, product, "d1")
    device.come()
    sent = [client.post(f"{device.path}/commands", json={"name": f"c{n}", "payload": n}).json() for n in range(4)]
    device.reply("c0", "cmd", sent[0]["request_id"], b'{"n":0}')
    cancelled = client.post(f"/v1/commands/{sent[1]['request_id']}:cancel")
    assert cancelled.status_code == 200, cancelled.text
    over = body(client, f"{device.path}/commands", state="cancelled")["items"]
    assert over == [cancelled.json()], "told by the owner, whether it is stored or not"
    device.reply("c1", "cmd", sent[1]["request_id"], b'"too late"')
    late = entry(client, sent[1]["request_id"], "cancelled")
    assert client.delete(device.path).status_code == 204

    first = entry(client, sent[0]["request_id"], "replied")
    assert (first["reply"]["payload"], first["reply"]["late"], first["attempts"]) == ({"n": 0}, False, 1)
    assert [step["type"] for step in first["steps"]] == ["command_accepted", "command_sent", "command_replied"]
    assert first["steps"][0]["event"]["payload"] == 0

    def ended() -> list[Any] | None:
        items: list[Any] = []
        cursor = None
        while len(items) < 10:
            page = body(
                client, f"{device.path}/commands", state="ended", limit=3, **({"cursor": cursor} if cursor else {})
            )
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        wanted = [one for one in items if one["command"] != "are-you-here"]
        return wanted if len(wanted) == 4 and wanted[-2]["reply"] else None

    found = eventually(ended, 60, describe="all four ends are stored")
    assert found is not None
    assert [(one["command"], one["state"]) for one in found] == [
        ("c3", "cancelled"),
        ("c2", "cancelled"),
        ("c1", "cancelled"),
        ("c0", "replied"),
    ]
    assert (found[2]["reply"]["payload"], found[2]["reply"]["late"]) == ("too late", True)
    assert {**found[3], "steps": 0} == {**first, "steps": 0}
    assert late["request_id"] == found[2]["request_id"]
    alone = client.get(f"/v1/commands/{sent[2]['request_id']}?device={product}/d1").json()
    assert (alone["state"], alone["reason"] is not None) == ("cancelled", True)
    over = client.post(f"/v1/commands/{sent[2]['request_id']}:cancel")
    assert (over.status_code, over.json()["code"]) == (409, "command_over")


def tagged(stack: Stack, client: httpx.Client) -> tuple[str, list[Device]]:
    """A product with three devices of the tag ``red``; the ledger knows that two are online, and the last is not."""
    product = registered(client)
    devices = [Device(stack, client, product, f"d{n}") for n in range(3)]
    for device in devices:
        made = client.post(f"/v1/products/{product}/devices", json={"device_id": device.id, "tags": ["red"]})
        assert made.status_code == 201
    for device in devices[:2]:
        device.come()
    offline = client.post(f"{devices[2].path}/rpc", json={"name": "first"})
    assert offline.json()["code"] == "device_offline"
    return product, devices


def members(client: httpx.Client, fanout: str, **query: Any) -> list[tuple[str, str]]:
    """What became of each, asked for two by two."""
    found: list[tuple[str, str]] = []
    while True:
        page = body(client, f"/v1/fanouts/{fanout}/commands", limit=2, **query)
        found += [(one["device_id"], one["state"]) for one in page["items"]]
        if page["next_cursor"] is None:
            return found
        query["cursor"] = page["next_cursor"]


def test_a_call_of_a_tag_is_answered_when_enough_have_replied(stack: Stack, client: httpx.Client) -> None:
    product, devices = tagged(stack, client)
    with ThreadPoolExecutor(1) as pool:
        asked = {"name": "measure", "timeout_s": 30}
        waiting = pool.submit(client.post, f"/v1/products/{product}/tags/red/rpc", json=asked)
        for number, device in enumerate(devices[:2]):
            fanout = device.called("measure")
            device.reply("measure", "rpc", fanout, msgspec.json.encode({"t": number}))
        answer = waiting.result(60)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["fanout_id"], told["members"], told["replied"], told["rejected"]) == (fanout, 3, 2, 1)
    replies = {one["device_id"]: one["reply"]["payload"] for one in told["replies"]}
    assert replies == {"d0": {"t": 0}, "d1": {"t": 1}}

    def stored() -> Any:
        progress = body(client, f"/v1/fanouts/{fanout}")
        return progress if progress["tag"] else None

    progress = eventually(stored, 60, describe="the fan-out is stored")
    counts = {name: progress[name] for name in ("product_id", "tag", "members", "replied", "rejected", "open")}
    assert counts == {"product_id": product, "tag": "red", "members": 3, "replied": 2, "rejected": 1, "open": 0}
    became = [("d0", "replied"), ("d1", "replied"), ("d2", "rejected")]
    assert members(client, fanout) == became
    assert members(client, fanout, state="ended") == became
    assert members(client, fanout, state="rejected") == became[2:]
    for device in devices:
        assert client.delete(device.path).status_code == 204
    eventually(lambda: members(client, fanout) == became, 60, describe="listed without its owners")
    eventually(lambda: body(client, f"/v1/fanouts/{fanout}")["replied"] == 2, 60, describe="counted without its owners")


def test_a_fan_out_is_followed_through_a_restart_of_its_owners(stack: Stack, client: httpx.Client) -> None:
    product, devices = tagged(stack, client)
    begun = client.post(f"/v1/products/{product}/tags/red/commands", json={"name": "reboot"})
    fanout = begun.json()["fanout_id"]
    listener = Listener(client, product)
    listener.path = f"/v1/fanouts/{fanout}/stream"
    following = threading.Thread(target=listener.listen)
    following.start()

    def told(**counts: Any) -> None:
        def newest() -> bool:
            return bool(listener.events) and counts.items() <= listener.events[-1].data.items()

        eventually(newest, 60, describe=f"the newest counts have {counts}")

    told(accepted=2, queued=1, open=3, missing_partitions=[], tag="red")
    devices[0].reply("reboot", "cmd", fanout, b"1")
    told(accepted=1, replied=1, queued=1, open=2)
    stack.stop_service("commands")
    try:
        moved = CommandDelivered("test", product, "d0", fanout, now())  # the owners would not say anything now
        produce(stack.kafka, names.COMMANDS_EVENTS, [(f"{product}/d0".encode(), encode(moved))])
        told(replied=1, open=2, missing_partitions=list(range(stack.partitions)))
    finally:
        stack.start_service("commands")
    told(replied=1, queued=1, open=2, missing_partitions=[])
    devices[1].reply("reboot", "cmd", fanout, b"2")
    told(replied=2, open=1)
    assert client.post(f"/v1/fanouts/{fanout}:cancel").json()["cancelled"] == 1
    following.join(60)
    assert {event.name for event in listener.events[:-1]} == {"counts"}
    final = listener.events[-1]
    assert (final.name, final.data["cancelled"], final.data["open"]) == ("final", 1, 0)
    assert final.data == body(client, f"/v1/fanouts/{fanout}")

    def stored() -> bool:
        ended = body(client, f"/v1/fanouts/{fanout}/commands", state="ended")["items"]
        ends = [(one["device_id"], one["state"]) for one in ended]
        return ends == [("d0", "replied"), ("d1", "replied"), ("d2", "cancelled")]

    eventually(stored, 60, describe="the members' ends are stored")
    assert body(client, f"/v1/fanouts/{fanout}/commands", state="open")["items"] == []


def test_probes_are_kept(stack: Stack, client: httpx.Client) -> None:
    product = registered(client, "d1")
    at = now()
    concluded = [
        ProbeConcluded(f"i-{n}", product, "d1", f"p-{n}", "loose", "reachable", n + 1, 40, n == 1, at + n)
        for n in range(3)
    ]
    produce(stack.kafka, names.COMMANDS_EVENTS, [(f"{product}/d1".encode(), encode(one)) for one in concluded])
    path = f"/v1/products/{product}/devices/d1/probes"

    def stored() -> list[Any] | None:
        first = body(client, path, limit=2)
        items = [*first["items"]]
        if first["next_cursor"]:
            items += body(client, path, limit=2, cursor=first["next_cursor"])["items"]
        return items if len(items) == 3 else None

    items = eventually(stored, 60, describe="three probes stored")
    assert items is not None
    assert [(one["probe_id"], one["attempts"], one["altered"]) for one in items] == [
        ("p-2", 3, False),
        ("p-1", 2, True),
        ("p-0", 1, False),
    ]
