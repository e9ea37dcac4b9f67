"""``register/{product}/{device}/{message_id}`` over MQTT, answered on ``registered/...``.

Whoever publishes there holds the product's secret: the broker lets nobody else in under the name that may (the guard's
files for mosquitto, the API's hooks for EMQX). The answer goes out at QoS 0 and is not kept: a device that has not got
it asks again, in the same words, and is answered in the same words.

The session is shared by all replicas and ends with its connection, so that a replica that is gone takes no questions.
The name of their group is a secret: mosquitto grants every SUBSCRIBE, gives a member of a group its share, and drops
that where the member may not read it. A device in our group would swallow the questions of others.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hmac
import uuid
from typing import TYPE_CHECKING, Final

import mqtt5
import msgspec

from libs.runtime import logs, metrics
from libs.runtime.background import Background
from libs.runtime.mqtt.client import Client
from libs.runtime.mqtt.options import options
from libs.runtime.requests.client import NoAnswer, NotAsked, Refused
from libs.topics.codec import encode
from libs.topics.identity import is_name

from .problems import Problem, problem_of

if TYPE_CHECKING:
    from libs.runtime.mqtt.session import Link

    from .hub import Hub
    from .joining import Joined, Joining

log = logs.get(__name__)

UNDER_WAY: Final = 100
"""Questions that are answered at a time; more are dropped, and come again."""
LEAVE: Final = 2.0
"""Seconds that the last answers and the goodbye may take."""

DROPPED = metrics.counter(
    "api_joins_dropped", "Questions over MQTT that were not answered: too many, or not a name.", ("reason",)
)


def questions_of(hub_key: str) -> str:
    """Return the filter that all replicas of a hub subscribe to: its group is derived from the key that they share."""
    group = hmac.digest(hub_key.encode(), b"join-group", "sha256").hex()
    return f"$share/{group[:32]}/register/+/+/+"


class Told(msgspec.Struct, frozen=True):
    """What a device is told that did not get credentials."""

    code: str
    detail: str
    advice: str


class Desk(Background):
    """The session and the answers. Make it inside the event loop."""

    def __init__(self, hub: Hub, joining: Joining) -> None:
        """Raises OSError where a file for TLS is missing or not PEM."""
        super().__init__()
        self._hub, self._joining = hub, joining
        name = f"fleetlog-join-{uuid.uuid4().hex[:12]}"
        questions = (questions_of(hub.settings.secrets_key.reveal()),)
        session = options(hub.settings.mqtt, name, questions, receive_max=UNDER_WAY)
        self._client = Client(dataclasses.replace(session, session_expiry=0), self)
        self._told_to_stop = asyncio.Event()
        self._answering: set[asyncio.Task[None]] = set()
        self._link: Link | None = None

    async def stop(self) -> None:
        self._told_to_stop.set()
        await super().stop()

    async def _run(self) -> None:
        """Raises `libs.runtime.mqtt.session.Refused` where only another configuration can help."""
        self._ready.set()  # a broker that is away keeps nobody from the rest of the API
        await self._client.run(self._told_to_stop)

    # -- the session's receiver

    async def prepare(self) -> None:
        """Nothing is left over from a connection."""

    async def opened(self, link: Link, *, session_present: bool) -> None:  # noqa: ARG002  (the receiver's form)
        self._link = link

    def receive(self, packets: list[mqtt5.PublishPacket]) -> None:
        for packet in packets:
            if packet.packet_id is not None and self._link is not None:
                self._link.write(b"\x40\x02" + packet.packet_id.to_bytes(2, "big"))  # PUBACK
            if len(self._answering) >= UNDER_WAY:
                DROPPED.labels("too_many").inc()
                continue
            task = asyncio.get_running_loop().create_task(self._answer(packet.topic))
            self._answering.add(task)
            task.add_done_callback(self._answered)

    async def leaving(self, link: Link) -> None:
        if self._answering:
            await asyncio.wait(self._answering, timeout=LEAVE)
        await link.leave(LEAVE)

    def closed(self) -> None:
        self._link = None

    # -- one question

    async def _answer(self, topic: str) -> None:
        _, *names = topic.split("/")
        if not all(map(is_name, names)):
            DROPPED.labels("invalid_name").inc()  # nobody could be waiting on such a topic
            return
        product_id, device_id, message_id = names
        answer: Joined | Told
        try:
            answer = await self._joining.join(product_id, device_id, message_id)
        except (Problem, Refused, NoAnswer, NotAsked) as error:
            document = problem_of(error).document
            answer = Told(document.code, document.detail, document.advice)
            self._hub.refusals.refuse("join_mqtt", document.code, device=f"{product_id}/{device_id}")
        else:
            self._hub.refusals.allow("join_mqtt")
        if self._link is not None:
            reply = mqtt5.PublishPacket(f"registered/{product_id}/{device_id}/{message_id}", payload=encode(answer))
            self._link.write(reply.write())

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._answering.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("cannot_answer", exc_info=error)
