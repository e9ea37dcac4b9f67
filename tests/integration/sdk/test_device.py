"""Every row of the protocol over a real broker."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from fleetlog_device import (
    Call,
    Device,
    MemoryStore,
    NoAnswer,
    PublishRefused,
    ReservedName,
    SqliteStore,
    Upgrade,
)
from tests.support.device_hub import SECRETS, GuardedBroker, Hub, where
from tests.support.polling import eventually_async

if TYPE_CHECKING:
    from pathlib import Path


def device(broker: GuardedBroker, name: str = "p/d", **more: Any) -> Device:
    arguments = {"store": MemoryStore(), "session_expiry": 0, **where(broker), **more}
    product, _, identifier = name.partition("/")
    return Device(product, identifier, SECRETS[name], **arguments)


async def test_uplinks_of_every_kind_reach_the_hub_acknowledged(broker: GuardedBroker, hub: Hub) -> None:
    async with device(broker) as d:
        receipts = [
            await d.upload("temperature", {"celsius": 21.5}, message_id="m-1"),
            await d.upload("raw", b"\x00\xff"),
            await d.update_status({"app_ver": "1.0"}),
            await d.send("e", "hello"),
            await d.send_request("firmware-list", "all"),
        ]
        for receipt in receipts:
            await receipt.acknowledged()
        ids = [receipt.message_id for receipt in receipts]
    heard = await hub.hears("upload_data/p/d/", "update_status/p/d/", "m2m/p/e/d/", "get/p/d/firmware-list/", count=5)
    assert heard == [
        ("upload_data/p/d/temperature/m-1", b'{"celsius":21.5}'),
        (f"upload_data/p/d/raw/{ids[1]}", b"\x00\xff"),
        (f"update_status/p/d/{ids[2]}", b'{"app_ver":"1.0"}'),
        (f"m2m/p/e/d/{ids[3]}", b"hello"),
        (f"get/p/d/firmware-list/{ids[4]}", b"all"),
    ]


async def test_what_the_broker_refuses_is_told_and_the_device_goes_on(broker: GuardedBroker, hub: Hub) -> None:
    async with device(broker, "q/f") as f:
        await f.wait_connected()
        refused = [await f.send("d", "not allowed in this product"), await f.upload("raw", bytes(70_000))]
        taken = await f.upload("raw", b"fits")
        for receipt, reason in zip(refused, ("Not authorized", "65536"), strict=True):
            with pytest.raises(PublishRefused, match=reason):
                await receipt.acknowledged()
        await taken.acknowledged()
        assert f.pending == 0
    assert await hub.hears("upload_data/q/f/") == [(f"upload_data/q/f/raw/{taken.message_id}", b"fits")]


async def test_a_command_delivered_twice_runs_once_and_is_answered_once(
    broker: GuardedBroker, hub: Hub, tmp_path: Path
) -> None:
    runs: list[Call] = []
    later: list[Call] = []
    path = tmp_path / "store.sqlite3"
    async with device(broker, store=path) as d:

        @d.command("reboot")
        async def reboot(call: Call) -> dict[str, bool]:
            runs.append(call)
            return {"ok": True}

        await d.wait_connected()
        for _ in range(2):
            await hub.say("cmd/p/d/reboot/base64/r1", "b3Blbg==")
        await hub.say("rpc/p/d/reboot/plain/r2/4102444800", "now")
        assert await hub.hears("cmd_resp/", "rpc_resp/", count=2) == [
            ("cmd_resp/p/d/reboot/r1/r1", b'{"ok":true}'),
            ("rpc_resp/p/d/reboot/r2/r2", b'{"ok":true}'),
        ]
    assert [(call.payload, call.mode, call.expires_at) for call in runs] == [
        (b"open", "cmd", None),
        (b"now", "rpc", 4102444800000),
    ]
    async with device(broker, store=SqliteStore(path)) as d:
        d.command()(later.append)
        await d.wait_connected()
        await hub.say("cmd/p/d/reboot/plain/r1", "again")
        await hub.say("cmd/p/d/reboot/plain/r3", "new")
        await hub.hears("cmd_resp/", count=2)
    assert [call.request_id for call in later] == ["r3"]
    assert [topic for topic, _ in hub.of("cmd_resp/")] == ["cmd_resp/p/d/reboot/r1/r1", "cmd_resp/p/d/reboot/r3/r3"]


async def test_commands_wait_in_the_session_and_expire(broker: GuardedBroker, hub: Hub) -> None:
    runs: list[Call] = []
    store = MemoryStore()
    async with device(broker, store=store, session_expiry=60) as d:
        await d.wait_connected()
    second = int(time.time())
    await hub.say(f"cmd/p/d/late/plain/x1/{second - 1}")
    await hub.say("cmd/p/d/in-time/plain/x2", expiry=60)
    await hub.say(f"cmd/p/d/in-time/plain/x3/{second + 60}")
    again = device(broker, store=store, session_expiry=60)
    again.command()(runs.append)
    async with again:
        await hub.hears("cmd_resp/p/d/in-time/", count=2)
    assert [call.request_id for call in runs] == ["x2", "x3"]
    assert runs[0].expires_at is not None
    assert abs(runs[0].expires_at - (second + 60) * 1000) < 60_000
    assert hub.of("cmd_resp/p/d/late/") == []
    async with device(broker, store=store):
        pass  # ends the session at the broker


async def test_tags_bring_their_commands_and_only_a_larger_version_counts(broker: GuardedBroker, hub: Hub) -> None:
    runs: list[tuple[str | None, str]] = []
    told: list[frozenset[str]] = []
    store = MemoryStore()

    def set_tags(version: int, *names: str) -> str:
        return json.dumps({"tags": names, "tags_version": version})

    async with device(broker, store=store) as d:
        d.command()(lambda call: runs.append((call.tag, call.request_id)))
        d.on_tags(told.append)
        [(_, asked)] = await hub.hears("get/p/d/$tags/")
        assert json.loads(asked) == {"tags_version": 0, "subscribed": True}
        await hub.say("cmd/p/d/$set_tags/plain/t1", set_tags(4, "red", "blue"))
        await hub.say("cmd/p/d/$set_tags/plain/t2", set_tags(3, "green"))
        await hub.say("cmd/p/d/after/plain/t3")
        await hub.hears("cmd_resp/p/d/after/")
        await hub.say("tags/p/red/cmd/blink/plain/a1")
        await hub.hears("cmd_resp/p/d/blink/")
        await hub.say("cmd/p/d/$set_tags/plain/t4", set_tags(5, "blue"))
        await hub.say("cmd/p/d/after/plain/t5")
        await hub.hears("cmd_resp/p/d/after/", count=2)
        await hub.say("tags/p/red/cmd/blink/plain/a2")
        await hub.say("tags/p/blue/cmd/blink/plain/a3")
        await hub.hears("cmd_resp/p/d/blink/", count=2)
    async with device(broker, store=store) as d:
        d.command()(lambda call: runs.append((call.tag, call.request_id)))
        assert d.tags == {"blue"}
        await hub.hears("get/p/d/$tags/", count=4)
        await hub.say("tags/p/blue/cmd/blink/plain/a4")
        await hub.hears("cmd_resp/p/d/blink/", count=3)
    assert runs == [(None, "t3"), ("red", "a1"), (None, "t5"), ("blue", "a3"), ("blue", "a4")]
    assert told == [{"red", "blue"}, {"blue"}]
    asked_for = [json.loads(payload) for _, payload in hub.of("get/p/d/$tags/")]
    assert asked_for == [{"tags_version": version, "subscribed": True} for version in (0, 4, 5, 5)], (
        "at each connection and after each change"
    )


async def test_devices_talk_to_each_other_and_hear_what_is_sent_to_their_client(
    broker: GuardedBroker, hub: Hub
) -> None:
    heard: list[tuple[str, bytes]] = []

    async def all_heard() -> bool:
        return len(heard) == 5

    async with device(broker) as d, device(broker, "p/e") as e:
        d.on_message(lambda sender, payload: heard.append((sender, payload)))
        d.on_p2p(lambda topic, payload: heard.append((topic, payload)))
        await d.wait_connected()
        receipt = await e.send("d", "hi")
        await receipt.acknowledged()
        await hub.say(f"m2m/p/d/e/{receipt.message_id}", "hi")  # a repetition
        for _ in range(2):
            await hub.say("plans/p2p/p/d", "the same from a client")
            await hub.say("plans/p2p/p/d", "once", name=b"m-1")
        await hub.say("plans/of/next/week/p2p/p/d", "b", name=b"m-1")
        await eventually_async(all_heard)
    again = ("plans", b"the same from a client")
    assert heard == [("e", b"hi"), again, ("plans", b"once"), again, ("plans/of/next/week", b"b")]


async def test_the_hub_s_time_and_a_probe(broker: GuardedBroker, hub: Hub) -> None:
    ahead = 3_600_000

    async def answer(number: int) -> None:
        question = json.loads((await hub.hears("get/p/d/$ntp/", count=number))[-1][1])
        now = int(time.time() * 1000) + ahead
        told = {**question, "iothub_recv": now, "iothub_send": now}
        await hub.say(f"cmd/p/d/$set_ntp/plain/n{number}", json.dumps(told))

    async with device(broker, synchronise=False) as d:
        assert abs(d.now() - time.time() * 1000) < 10_000
        offset, _ = await asyncio.gather(d.sync_time(), answer(1))
        assert abs(offset - ahead) < 10_000
        assert abs(d.now() - time.time() * 1000 - ahead) < 10_000
        with pytest.raises(NoAnswer):
            await d.sync_time(timeout=0.05)
        probe = b'{"id":123,"version":"1.0","time":1234567890123}'
        await hub.say("/sys/p/d/rrpc/request/123", probe)
        assert await hub.hears("/sys/p/d/rrpc/response/") == [("/sys/p/d/rrpc/response/123", probe)]


async def test_a_request_is_answered_by_the_command_that_an_application_sends(broker: GuardedBroker, hub: Hub) -> None:
    async def answer() -> None:
        await hub.hears("get/p/d/config/")
        await hub.say("cmd/p/d/set-config/plain/q1", '{"interval":5}')

    async with device(broker) as d:
        call, _ = await asyncio.gather(d.request("config", {"have": 3}, answer="set-config"), answer())
        assert call.json() == {"interval": 5}
        assert await hub.hears("cmd_resp/") == [("cmd_resp/p/d/set-config/q1/q1", b"")]
        with pytest.raises(NoAnswer, match="config"):
            await d.request("config", timeout=0.05)


async def test_the_hub_s_own_names_are_neither_shown_nor_taken(broker: GuardedBroker, hub: Hub) -> None:
    shown: list[Call] = []
    async with device(broker) as d:
        d.command()(shown.append)
        await d.wait_connected()
        for command, payload in (("$set_ntp", "{}"), ("$set_tags", "?"), ("$update_shadow", "[]"), ("$new", "")):
            await hub.say(f"cmd/p/d/{command}/plain/h1", payload)
        await hub.say("cmd/p/d/mine/plain/h2")
        await hub.hears("cmd_resp/p/d/mine/")
        for call in (d.upload("$shadow_reported", {}), d.request("$ntp"), d.send_request("$tags"), d.send("$x", "")):
            with pytest.raises(ReservedName, match="the hub's own"):
                await call
    assert [call.name for call in shown] == ["mine"]
    assert hub.of("cmd_resp/p/d/$") == []


async def test_an_upgrade_is_offered_once_and_reported_on(broker: GuardedBroker, hub: Hub) -> None:
    offers: list[Upgrade] = []
    offer = json.dumps(
        {"url": "http://hub/a", "version": "1.1", "size": 1, "md5": "", "sha256": "", "type": "firmware"}
    )
    async with device(broker) as d:

        @d.on_upgrade
        async def install(upgrade: Upgrade) -> None:
            offers.append(upgrade)
            await upgrade.progress(70, "downloading")
            raise OSError("no space")

        await d.wait_connected()
        for _ in range(2):
            await hub.say("cmd/p/d/$ota_upgrade/plain/o1", offer)
        reports = await hub.hears("update_ota_status/p/d/", count=2)
    assert [json.loads(payload) for _, payload in reports] == [
        {"type": "firmware", "version": "1.1", "progress": 70, "desc": "downloading"},
        {"type": "firmware", "version": "1.1", "progress": -4, "desc": "OSError: no space"},
    ]
    assert len(offers) == 1
