"""The life of a session: connect, subscribe, keep alive, come back, or know when not to."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from pathlib import Path

import mqtt5
import pytest

from libs.runtime.mqtt.client import Client
from libs.runtime.mqtt.options import Options, options
from libs.runtime.mqtt.session import Link, Lost, Receiver, Refused
from libs.runtime.settings import MqttSettings, Secret
from tests.support.mqtt_broker import Broker, publish
from tests.support.polling import eventually_async

OPTIONS = Options("nowhere", 1883, "me", ("a/#",), keep_alive=30, timeout=0.5, back_off=(0.001, 0.01))
C = mqtt5.ConnAckReasonCode


class Taker:
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.packets: list[mqtt5.PublishPacket] = []
        self.faults: list[Exception] = []

    async def prepare(self) -> None:
        self.calls.append("prepare")
        if self.faults:
            raise self.faults.pop(0)

    async def opened(self, link: Link, *, session_present: bool) -> None:
        self.calls.append("opened with session" if session_present else "opened")

    def receive(self, packets: list[mqtt5.PublishPacket]) -> None:
        self.packets += packets

    async def leaving(self, link: Link) -> None:
        self.calls.append("leaving")
        await link.leave(1.0)

    def closed(self) -> None:
        self.calls.append("closed")


class Session:
    """A client under test, its scripted broker and its receiver."""

    def __init__(self, chosen: Options = OPTIONS) -> None:
        self.broker, self.taker, self.stop = Broker(), Taker(), asyncio.Event()
        self.client = Client(chosen, self.taker, self.broker.connect)

    def start(self) -> asyncio.Task[None]:
        return asyncio.create_task(self.client.run(self.stop))

    async def subscribed(self, connections: int = 1) -> None:
        async def check() -> bool:
            return self.client.subscribed and self.client.connections == connections

        await eventually_async(check, 5, describe="subscribed")

    async def end(self, run: asyncio.Task[None]) -> None:
        self.stop.set()
        await asyncio.wait_for(run, 5)


async def test_a_session_goes_through_its_stages_in_order() -> None:
    s = Session()
    s.broker.session_present = True
    run = s.start()
    await s.subscribed()
    s.broker.feed(publish("a/b", b"x", 1))
    await s.end(run)
    assert s.taker.calls == ["prepare", "opened with session", "leaving", "closed"]
    assert [p.payload for p in s.taker.packets] == [b"x"]
    assert [type(p).__name__ for p in s.broker.heard] == ["ConnectPacket", "SubscribePacket", "DisconnectPacket"]
    assert not s.client.subscribed


async def test_a_lost_connection_comes_back() -> None:
    s = Session()
    run = s.start()
    await s.subscribed()
    s.broker.pipe.lose(ConnectionResetError("reset"))
    await s.subscribed(connections=2)
    await s.end(run)
    assert s.taker.calls.count("closed") == 2


async def test_a_receiver_that_is_not_ready_is_asked_again() -> None:
    s = Session()
    s.taker.faults = [Lost("Kafka is away"), Lost("Kafka is away")]
    run = s.start()
    await s.subscribed()
    await s.end(run)
    assert s.taker.calls.count("prepare") == 3
    assert s.broker.connects == 1


async def test_a_broker_that_cannot_be_reached_is_tried_again() -> None:
    s, failures = Session(), [OSError("refused"), TimeoutError()]

    async def connect(chosen: Options, receiver: Receiver) -> Link:
        if failures:
            raise failures.pop()
        return await s.broker.connect(chosen, receiver)

    s.client = Client(OPTIONS, s.taker, connect)
    run = s.start()
    await s.subscribed()
    await s.end(run)


@pytest.mark.parametrize("code", [C.BAD_USER_NAME_OR_PASSWORD, C.NOT_AUTHORIZED, C.CLIENT_ID_NOT_VALID, C.BANNED])
async def test_a_refused_connect_that_only_configuration_cures_ends_the_client(code: C) -> None:
    s = Session()
    s.broker.connack = code
    with pytest.raises(Refused) as caught:
        await asyncio.wait_for(s.start(), 5)
    assert caught.value.misconfigured
    assert s.broker.connects == 1


@pytest.mark.parametrize("code", [C.SERVER_UNAVAILABLE, C.SERVER_BUSY, C.QUOTA_EXCEEDED])
async def test_a_connect_refused_for_now_is_tried_again(code: C) -> None:
    s = Session()
    s.broker.connack = code
    run = s.start()

    async def tried() -> bool:
        return s.broker.connects >= 3

    await eventually_async(tried, 5)
    s.broker.connack = C.SUCCESS
    await s.subscribed()
    await s.end(run)


async def test_a_session_taken_over_is_left_to_the_other() -> None:
    s = Session()
    run = s.start()
    await s.subscribed()
    s.broker.feed(mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER).write())
    with pytest.raises(Refused) as caught:
        await asyncio.wait_for(run, 5)
    assert not caught.value.misconfigured
    assert s.broker.connects == 1
    assert s.taker.calls[-1] == "closed"


@pytest.mark.parametrize(
    "granted", [mqtt5.SubAckReasonCode.NOT_AUTHORIZED, mqtt5.SubAckReasonCode.GRANTED_QOS_AT_MOST_ONCE]
)
async def test_a_filter_that_is_not_granted_at_qos_1_ends_the_client(granted: mqtt5.SubAckReasonCode) -> None:
    s = Session()
    s.broker.granted = [granted]
    with pytest.raises(Refused, match="a/#"):
        await asyncio.wait_for(s.start(), 5)


async def test_a_broker_that_says_nothing_is_given_up() -> None:
    s = Session(replace(OPTIONS, timeout=0.01))
    s.broker.says_nothing = True
    run = s.start()

    async def tried() -> bool:
        return s.broker.connects >= 2

    await eventually_async(tried, 5)
    assert s.client.connections == 0
    await s.end(run)


async def test_silence_after_the_last_ping_is_given_up() -> None:
    s = Session(replace(OPTIONS, keep_alive=1))
    run = s.start()
    await s.subscribed()
    s.broker.answers_pings = False
    await s.subscribed(connections=2)
    await s.end(run)


async def test_no_ping_is_missed_while_reading_is_paused() -> None:
    s = Session(replace(OPTIONS, keep_alive=1))
    run = s.start()
    await s.subscribed()
    s.broker.link.pause("window")
    pings: list[int] = []

    async def pinged() -> bool:
        pings[:] = [1 for packet in s.broker.heard if isinstance(packet, mqtt5.PingReqPacket)]
        return len(pings) >= 6  # two seconds: without the pause it would be given up after one and a half

    await eventually_async(pinged, 10)
    assert s.client.connections == 1
    s.broker.link.resume("window")
    await s.end(run)


async def test_stopping_does_not_wait_for_a_receiver_that_is_never_ready() -> None:
    s = Session()

    class Stuck(Taker):
        async def prepare(self) -> None:
            await asyncio.Event().wait()

    s.client = Client(OPTIONS, Stuck(), s.broker.connect)
    run = s.start()
    await asyncio.sleep(0)
    await s.end(run)
    assert s.broker.connects == 0


def test_options_take_empty_settings_as_none() -> None:
    chosen = options(MqttSettings(), "me", ("a/#",), receive_max=10)
    assert (chosen.username, chosen.password, chosen.tls) == (None, None, None)


def test_options_carry_user_and_password() -> None:
    chosen = options(MqttSettings(username="hub", password=Secret("s")), "me", ("a/#",), receive_max=10)
    assert (chosen.username, chosen.password) == ("hub", b"s")


def test_options_verify_the_broker_against_the_given_authorities() -> None:
    bundle = ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"
    assert Path(bundle).exists()
    chosen = options(MqttSettings(tls_ca_file=bundle), "me", ("a/#",), receive_max=10)
    assert chosen.tls is not None
    assert chosen.tls.verify_mode is ssl.CERT_REQUIRED
    assert chosen.tls.check_hostname
