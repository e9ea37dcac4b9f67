"""Commands without a broker: run once, answered once, whatever is delivered how often."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from fleetlog_device.buffer import BufferLimits
from fleetlog_device.commands import AT_ONCE, LONGEST_REPLY, PRUNED_EVERY, Call, Commands
from fleetlog_device.errors import CommandFailed, ConnectionLost, PublishRefused, ReservedName
from fleetlog_device.requests import CAPACITY
from fleetlog_device.store import MemoryStore
from fleetlog_device.topics import CommandTopic, Topics
from fleetlog_device.uplinks import Uplinks

if TYPE_CHECKING:
    from fleetlog_device.link import Link

TOPICS = Topics("p", "d", "p/d")
NOW = 1_700_000_000_000
DAY = 24 * 3600 * 1000


class Broker:
    """In the place of a link. ``refuses`` and ``fails`` name topics."""

    def __init__(self) -> None:
        self.published: list[tuple[str, bytes]] = []
        self.refuses: set[str] = set()
        self.fails: set[str] = set()

    async def publish(self, topic: str, payload: bytes) -> None:
        await asyncio.sleep(0)
        if topic in self.fails:
            raise ConnectionLost("gone")
        if topic in self.refuses:
            raise PublishRefused("no")
        self.published.append((topic, payload))

    def as_link(self) -> Link:
        return self  # type: ignore[return-value]


class Rig:
    """A process of a device: its commands, over a store that outlives it."""

    def __init__(self, store: MemoryStore | None = None, limits: BufferLimits | None = None) -> None:
        self.store = store or MemoryStore()
        self.now, self.certain = NOW, True
        self.uplinks = Uplinks(limits or BufferLimits(), self.store)
        self.commands = Commands(TOPICS, self.store, self.uplinks, lambda: self.now, lambda: self.certain)
        self.broker = Broker()
        self.runs: list[Call] = []

    def register(self, name: str | None = None, result: Any = None) -> None:
        def handler(call: Call) -> Any:
            self.runs.append(call)
            if isinstance(result, Exception):
                raise result
            return result

        self.commands.register(name, handler)

    async def deliver(self, topic: str, payload: bytes = b"", remaining: int | None = None) -> None:
        read = TOPICS.read(topic)
        assert isinstance(read, CommandTopic)
        await self.commands.take(read, payload, remaining)

    async def connect(self) -> list[tuple[str, bytes]]:
        """Send all that waits; what the broker has."""
        await self.commands.finished()
        pump = asyncio.create_task(self.uplinks.pump(self.broker.as_link()))
        drained = asyncio.create_task(self.uplinks.drained())
        await asyncio.wait((pump, drained), return_when=asyncio.FIRST_COMPLETED)
        drained.cancel()
        pump.cancel()
        await asyncio.gather(pump, drained, return_exceptions=True)
        return self.broker.published


REPLY = "cmd_resp/p/d/reboot/r1/r1"


@pytest.mark.parametrize(
    ("result", "payload"),
    [
        (None, b""),
        (b"\x00", b"\x00"),
        ("done", b"done"),
        ({"ok": True}, b'{"ok":true}'),
        ([1], b"[1]"),
        (False, b"false"),
    ],
)
async def test_what_a_handler_returns_is_the_reply(result: Any, payload: bytes) -> None:
    rig = Rig()
    rig.register("reboot", result)
    await rig.deliver("cmd/p/d/reboot/base64/r1/1800000000", b"b3Blbg==")
    assert await rig.connect() == [(REPLY, payload)]
    assert rig.runs == [Call("reboot", b"open", "cmd", "r1", None, 1_800_000_000_000)]


async def test_a_handler_of_its_own_comes_before_the_one_of_all() -> None:
    rig = Rig()
    rig.register("reboot", 1)
    rig.register(None, 2)
    await rig.deliver("rpc/p/d/reboot/plain/r1/1800000000")
    await rig.deliver("tags/p/line-3/cmd/other/plain/r2", b'{"a":1}')
    assert await rig.connect() == [("rpc_resp/p/d/reboot/r1/r1", b"1"), ("cmd_resp/p/d/other/r2/r2", b"2")]
    assert [(call.mode, call.tag) for call in rig.runs] == [("rpc", None), ("cmd", "line-3")]
    assert rig.runs[1].json() == {"a": 1}
    assert rig.runs[1].text() == '{"a":1}'


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (CommandFailed("jammed", "the door is jammed"), "jammed"),
        (OSError("no motor"), "handler_failed"),
        (float("nan"), "handler_failed"),
        (object(), "handler_failed"),
    ],
)
async def test_a_handler_that_fails_is_an_answer_too(result: Any, code: str) -> None:
    rig = Rig()
    rig.register("reboot", result)
    await rig.deliver("cmd/p/d/reboot/plain/r1")
    [(_, payload)] = await rig.connect()
    assert json.loads(payload)["error"]["code"] == code


async def test_what_nobody_knows_and_what_cannot_be_read_is_answered() -> None:
    rig = Rig()
    rig.register("unlock")
    await rig.deliver("cmd/p/d/reboot/plain/r1")
    await rig.deliver("cmd/p/d/unlock/base64/r2", b"?")
    codes = [json.loads(payload)["error"]["code"] for _, payload in await rig.connect()]
    assert (codes, rig.runs) == (["unknown_command", "bad_payload"], [])


async def test_a_command_delivered_again_runs_once_and_is_answered_once() -> None:
    rig = Rig()
    rig.register("reboot")
    for topic in ("cmd/p/d/reboot/plain/r1", "cmd/p/d/reboot/plain/r1", "tags/p/a/cmd/reboot/plain/r1"):
        await rig.deliver(topic)
    await rig.connect()
    await rig.deliver("cmd/p/d/reboot/plain/r1")
    assert len(await rig.connect()) == len(rig.runs) == 1

    later = Rig(rig.store)
    later.register("reboot")
    later.commands.resume()
    await later.deliver("cmd/p/d/reboot/plain/r1")
    assert (await later.connect(), later.runs) == ([], [])


async def test_a_reply_that_the_hub_asks_for_again_on_another_connection_is_sent_again() -> None:
    """The broker crashed with it: the hub has no reply, and the device would never run the command again."""
    rig = Rig()
    rig.register("reboot", "done")
    rig.register("dump", b"0" * (LONGEST_REPLY + 1))
    for number in range(3):
        rig.commands.connected()
        for topic in ("cmd/p/d/reboot/plain/r1", "cmd/p/d/dump/plain/r2", "tags/p/a/cmd/reboot/plain/r1"):
            await rig.deliver(f"{topic}/{NOW // 1000 + 60}")
            await rig.connect()
        assert [answer for answer in rig.broker.published if answer[0] == REPLY] == [(REPLY, b"done")] * (number + 1)
    rig.commands.connected()
    rig.now += 60_000
    await rig.deliver(f"cmd/p/d/reboot/plain/r1/{NOW // 1000 + 60}")
    assert len(await rig.connect()) == 4, "what is too large to be kept, and what is asked for too late, is not"
    assert len(rig.runs) == 2


async def test_a_reply_that_the_broker_has_not_is_sent_by_the_next_process() -> None:
    rig = Rig()
    rig.register("reboot", "done")
    await rig.deliver("cmd/p/d/reboot/plain/r1")
    await rig.commands.finished()
    later = Rig(rig.store)
    later.commands.resume()
    assert await later.connect() == [(REPLY, b"done")]
    assert later.store.unanswered() == []


async def test_a_command_that_was_cut_off_is_not_run_again_and_its_caller_hears_of_it() -> None:
    rig = Rig()
    rig.commands.register("reboot", lambda _call: asyncio.Event().wait())
    await rig.deliver("cmd/p/d/reboot/plain/r1")
    await rig.commands.stop()
    later = Rig(rig.store)
    later.register("reboot")
    later.commands.resume()
    await later.deliver("cmd/p/d/reboot/plain/r1")
    [(topic, payload)] = await later.connect()
    assert (topic, json.loads(payload)["error"]["code"], later.runs) == (REPLY, "interrupted", [])


async def test_an_expired_command_is_neither_run_nor_answered() -> None:
    rig = Rig()
    rig.register(None)
    await rig.deliver(f"cmd/p/d/reboot/plain/r1/{NOW // 1000}")
    await rig.deliver("cmd/p/d/reboot/plain/r2", remaining=0)
    assert (await rig.connect(), rig.runs, rig.commands.expired) == ([], [], 2)
    await rig.deliver(f"cmd/p/d/reboot/plain/r3/{NOW // 1000 + 1}", remaining=5)
    assert rig.runs or await rig.connect()


@pytest.mark.parametrize("off", [-DAY, DAY])
async def test_a_clock_that_is_off_decides_nothing_before_the_hub_has_told_its_time(off: int) -> None:
    rig = Rig()
    rig.register(None)
    rig.certain, rig.now = False, NOW + off
    await rig.deliver(f"cmd/p/d/reboot/plain/r1/{NOW // 1000 + 60}", remaining=60)
    await rig.deliver(f"cmd/p/d/reboot/plain/r2/{NOW // 1000}", remaining=0)
    rig.certain, rig.now = True, NOW
    await rig.deliver(f"cmd/p/d/reboot/plain/r3/{NOW // 1000 + 60}")
    await rig.deliver(f"cmd/p/d/reboot/plain/r4/{NOW // 1000}")
    await rig.commands.finished()
    assert [(call.request_id, call.expires_at) for call in rig.runs] == [("r1", NOW + 60_000), ("r3", NOW + 60_000)]
    assert rig.commands.expired == 2


@pytest.mark.parametrize("off", [-DAY, DAY])
async def test_the_hub_may_tell_its_time_while_a_command_waits_for_a_handler(off: int) -> None:
    rig = Rig()
    free = asyncio.Event()
    rig.commands.register("slow", lambda _call: free.wait())
    rig.register("reboot")
    rig.certain, rig.now = False, NOW + off
    for number in range(AT_ONCE):
        await rig.deliver(f"cmd/p/d/slow/plain/s{number}")
    ends = NOW // 1000 + 60
    waiting = asyncio.create_task(rig.deliver(f"cmd/p/d/reboot/plain/r1/{ends}", remaining=60))
    await asyncio.sleep(0)
    rig.certain, rig.now = True, NOW
    free.set()
    await waiting
    await rig.commands.finished()
    assert [call.expires_at for call in rig.runs] == [ends * 1000]


async def test_a_command_may_expire_while_all_handlers_are_busy() -> None:
    rig = Rig()
    free = asyncio.Event()
    rig.commands.register("slow", lambda _call: free.wait())
    rig.register("reboot")
    for number in range(AT_ONCE):
        await rig.deliver(f"cmd/p/d/slow/plain/s{number}")
    waiting = asyncio.create_task(rig.deliver("cmd/p/d/reboot/plain/r1", remaining=5))
    await asyncio.sleep(0)
    assert not waiting.done(), "the connection is not read from"
    rig.now += 5_000
    free.set()
    await waiting
    assert len(await rig.connect()) == AT_ONCE
    assert (rig.runs, rig.commands.expired) == ([], 1)


async def test_an_awaited_answer_goes_to_whoever_awaits_it_and_later_ones_to_the_handler() -> None:
    rig = Rig()
    rig.register("config", "handled")
    given_up, first, second = (rig.commands.expect("config") for _ in range(3))
    given_up.cancel()
    for number in range(3):
        await rig.deliver(f"cmd/p/d/config/plain/r{number}", str(number).encode())
    assert (await first).payload == b"0"
    assert (await second).payload == b"1"
    assert [call.payload for call in rig.runs] == [b"2"]
    assert [payload for _, payload in await rig.connect()] == [b"", b"", b"handled"]


async def test_request_ids_are_pruned() -> None:
    rig = Rig()
    rig.register("reboot")
    for number in range(CAPACITY + 2 * PRUNED_EVERY):
        await rig.deliver(f"cmd/p/d/reboot/plain/r{number}")
        if number % PRUNED_EVERY == PRUNED_EVERY - 2:
            await rig.connect()
    kept = sum(rig.store.request(f"r{number}") is not None for number in range(CAPACITY + 2 * PRUNED_EVERY))
    assert CAPACITY <= kept <= CAPACITY + PRUNED_EVERY


@pytest.mark.parametrize("stands_at", [0, NOW + 3650 * DAY])
async def test_a_clock_that_is_off_lets_no_request_id_be_forgotten(stands_at: int) -> None:
    rig = Rig()
    rig.register("reboot")

    async def take(first: int) -> None:
        for number in range(first, first + PRUNED_EVERY):
            await rig.deliver(f"cmd/p/d/reboot/plain/r{number}")
        await rig.connect()

    await take(0)
    rig.certain, rig.now = False, stands_at  # a reboot without the hub's time
    await take(PRUNED_EVERY)
    rig.certain, rig.now = True, NOW + DAY
    await take(2 * PRUNED_EVERY)
    runs = len(rig.runs)
    for first in (0, PRUNED_EVERY):
        await take(first)
    assert len(rig.runs) == runs == 3 * PRUNED_EVERY


def test_the_hub_s_own_commands_are_no_application_s() -> None:
    with pytest.raises(ReservedName, match=r"\$set_ntp"):
        Rig().register("$set_ntp")


async def test_a_receipt_tells_how_a_message_ended() -> None:
    rig = Rig(limits=BufferLimits(messages=3, persistent=True))
    rig.broker.refuses = {"t2"}
    receipts = [rig.uplinks.offer(f"t{number}", b"", f"m{number}") for number in range(4)]
    assert [receipt.done for receipt in receipts] == [True, False, False, False]
    assert [uplink.topic for uplink in rig.store.uplinks()] == ["t1", "t2", "t3"]
    assert [topic for topic, _ in await rig.connect()] == ["t1", "t3"]
    await receipts[1].acknowledged()
    with pytest.raises(PublishRefused):
        await receipts[2].acknowledged()
    assert (rig.store.uplinks(), rig.uplinks.dropped, len(rig.uplinks)) == ([], 1, 0)


async def test_what_an_earlier_process_left_is_dropped_from_the_store_too() -> None:
    limits = BufferLimits(messages=2, persistent=True)
    before = Rig(limits=limits)
    for number in range(2):
        before.uplinks.offer(f"t{number}", b"", "m")
    rig = Rig(before.store, limits)
    rig.uplinks.restore()
    rig.uplinks.offer("t2", b"", "m")
    assert [uplink.topic for uplink in rig.store.uplinks()] == ["t1", "t2"]
    assert [topic for topic, _ in await rig.connect()] == ["t1", "t2"]


async def test_a_lost_connection_ends_the_pump_and_nothing_is_lost() -> None:
    rig = Rig()
    rig.broker.fails = {"t1", "t2"}
    for number in range(3):
        rig.uplinks.offer(f"t{number}", b"", "m")
    with pytest.raises(ConnectionLost):
        await rig.uplinks.pump(rig.broker.as_link())
    rig.broker.fails = set()
    assert [topic for topic, _ in await rig.connect()] == ["t0", "t1", "t2"]


async def test_replies_pass_the_buffer_by() -> None:
    rig = Rig(limits=BufferLimits(window=1))
    rig.register("reboot")
    for number in range(3):
        rig.uplinks.offer(f"t{number}", b"", "m")
    await rig.deliver("cmd/p/d/reboot/plain/r1")
    assert [topic for topic, _ in await rig.connect()] == [REPLY, "t0", "t1", "t2"]
