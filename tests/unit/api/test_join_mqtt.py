"""Questions over MQTT: each is answered on its own topic, whatever becomes of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import mqtt5
import msgspec
import pytest
from structlog.testing import capture_logs

from libs.runtime import metrics
from libs.runtime.requests.client import NoAnswer
from libs.topics.access import is_filter
from services.api.join_mqtt import UNDER_WAY, Desk, questions_of
from tests.unit.api.devices import emqx_world, product
from tests.unit.api.world import World, answered, refused

if TYPE_CHECKING:
    from libs.topics.messages.hub import RequestAnswered

MESSAGE = "A" * 22


class FakeLink:
    """What the desk writes."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def packets(self) -> list[Any]:
        found, at = list[Any](), 0
        while at < len(self.written):
            packet, size = mqtt5.read(memoryview(self.written)[at:])
            found.append(packet)
            at += size
        return found

    def answers(self) -> dict[str, dict[str, Any]]:
        told = [packet for packet in self.packets() if isinstance(packet, mqtt5.PublishPacket)]
        assert all(packet.qos == mqtt5.QoS.AT_MOST_ONCE and not packet.retain for packet in told)
        return {packet.topic: msgspec.json.decode(packet.payload) for packet in told}


@pytest.fixture
def world() -> World:
    made = emqx_world()
    product(made, "open", dynamic_registration=True)
    made.requests.answer = lambda _request: answered(None, 201)
    return made


async def ask(world: World, *topics: str) -> FakeLink:
    """Deliver these questions at once; returns when all are dealt with."""
    desk, link = Desk(world.hub, world.hub.joining), FakeLink()
    await desk.opened(cast("Any", link), session_present=False)
    desk.receive(
        [
            mqtt5.PublishPacket(topic, b"", qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=number)
            for number, topic in enumerate(topics, 1)
        ]
    )
    while left := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(left)
    acknowledged = [packet.packet_id for packet in link.packets() if isinstance(packet, mqtt5.PubAckPacket)]
    assert acknowledged == list(range(1, len(topics) + 1))
    return link


async def test_a_device_is_told_its_secret_on_a_topic_of_its_own(world: World) -> None:
    answers = (await ask(world, f"register/open/d1/{MESSAGE}")).answers()
    (answer,) = answers.values()
    assert set(answers) == {f"registered/open/d1/{MESSAGE}"}
    assert (answer["code"], answer["mqtt"]["client_id"]) == ("ok", "open/d1")
    assert (await ask(world, f"register/open/d1/{MESSAGE}")).answers() == answers


async def test_a_device_that_gets_none_is_told_why_and_what_to_do(world: World) -> None:
    def decide(request: Any) -> RequestAnswered:
        if request.device_id == "known":
            raise refused(409, "device_exists")
        raise NoAnswer("no answer from registry.inbox within 10 s")

    world.requests.answer = decide
    topics = [f"register/open/known/{MESSAGE}", f"register/open/d1/{MESSAGE}", f"register/p/d1/{MESSAGE}"]
    answers = (await ask(world, *topics, "register/open/d2/short")).answers()
    assert {topic: answer["code"] for topic, answer in answers.items()} == {
        f"registered/open/known/{MESSAGE}": "device_exists",
        f"registered/open/d1/{MESSAGE}": "no_answer",
        f"registered/p/d1/{MESSAGE}": "joining_off",
        "registered/open/d2/short": "invalid_message_id",
    }
    assert all(answer["detail"] and answer["advice"] for answer in answers.values())


async def test_what_is_no_name_is_not_answered(world: World) -> None:
    before = dropped("invalid_name")
    link = await ask(world, f"register/open/ä/{MESSAGE}", f"register/open//{MESSAGE}", "register/open/d1/a b")
    assert (link.answers(), dropped("invalid_name")) == ({}, before + 3)
    assert world.requests.asked == []


async def test_of_too_many_at_once_the_rest_must_ask_again(world: World) -> None:
    before = dropped("too_many")
    link = await ask(world, *(f"register/open/d{number}/{MESSAGE}" for number in range(UNDER_WAY + 5)))
    assert (len(link.answers()), dropped("too_many")) == (UNDER_WAY, before + 5)


async def test_a_fault_of_ours_is_in_the_log(world: World) -> None:
    def fail(_: object) -> RequestAnswered:
        raise ZeroDivisionError

    world.requests.answer = fail
    with capture_logs() as lines:
        assert (await ask(world, f"register/open/d1/{MESSAGE}")).answers() == {}
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["cannot_answer"]


def dropped(reason: str) -> float:
    return metrics.registry.get_sample_value("fleetlog_api_joins_dropped_total", {"reason": reason}) or 0.0


def test_the_replicas_of_a_hub_share_a_group_that_nobody_else_can_name() -> None:
    """mosquitto lets any device join any group, and gives it a share that is then lost."""
    ours = questions_of("0" * 32)
    share, group, questions = ours.split("/", 2)
    assert (share, questions) == ("$share", "register/+/+/+")
    assert ours == questions_of("0" * 32)
    assert ours != questions_of("1" * 32)
    assert len(group) == 32
    assert is_filter(f"{group}/{questions}")
