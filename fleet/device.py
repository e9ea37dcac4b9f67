"""A simulated device: plays its script on real connections and enters in the truth what it sees."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiomqtt

from . import messages
from .link import Link
from .plan import Connect, Cut, Goodbye, Send, TakeOver
from .wire import WireLink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .dataset import WeatherRecord
    from .link import Endpoint
    from .plan import Action, Kind, Script
    from .truth import Connection, Ending, Sent, Truth

RETRIES = 8
"""Attempts to connect before the run is given up."""
PAUSE = 0.5
"""Seconds between two attempts."""


class CannotConnect(RuntimeError):
    """The broker refused, or was not there. The run says nothing about the hub then."""


class Device:
    """``clock`` gives Unix seconds; the script's times count from ``truth.started_at``.

    ``crowd``: one of so many that its connections have to be `WireLink`s. ``secret``: its password at the broker.

    Publishes and watches of connections run beside the script, in ``tasks``.
    """

    def __init__(
        self,
        script: Script,
        *,
        endpoint: Endpoint,
        truth: Truth,
        weather: Sequence[WeatherRecord],
        tasks: asyncio.TaskGroup,
        clock: Callable[[], float],
        crowd: bool = False,
        secret: str | None = None,
    ) -> None:
        self.script = script
        self.identity = (script.product_id, script.device_id)
        self._endpoint = endpoint
        self._truth = truth
        self._weather = weather
        self._tasks = tasks
        self._clock = clock
        self._crowd = crowd
        self._secret = secret
        self._link: Link | WireLink | None = None
        self._connection: Connection | None = None
        self._count = 0
        self._publishing: dict[asyncio.Task[None], Link | WireLink] = {}
        truth.enlist(self.identity)

    async def play(self) -> None:
        """Do everything in the script, each action at its time or, where the machine is slow, right after the last."""
        for action in self.script.actions:
            await asyncio.sleep(self._truth.started_at + action.at / 1000 - self._clock())
            await self._act(action)
        if self._link is not None and self._truth.up(self.identity) is None:
            await self._connect()

    async def quiet(self) -> None:
        """Return once no publish waits for its acknowledgement any more."""
        if self._publishing:
            await asyncio.wait(list(self._publishing))

    async def leave(self) -> None:
        """Wait for what is under way, then go in order. Does nothing when not connected."""
        await self.quiet()
        if self._link is not None:
            self._end("goodbye")
            link, self._link = self._link, None
            await link.goodbye()

    async def _act(self, action: Action) -> None:
        match action:
            case Connect():
                await self._connect()
            case TakeOver():
                self._end("taken_over")
                await self._connect()
            case Goodbye():
                await self.leave()
            case Cut(written=written):
                await self._cut(written)
            case Send(kind=kind):
                await self._send(kind)

    async def _cut(self, written: bool) -> None:
        link, self._link = self._link, None
        if link is not None:
            if written:
                await link.written()
            self._end("cut")
            link.cut()

    async def _connect(self) -> None:
        for _ in range(RETRIES):
            link = self._new_link()
            asked_at = self._clock()
            try:
                await link.open()
            except aiomqtt.MqttError as error:
                link.cut()
                refusal = error
                await asyncio.sleep(PAUSE)
            else:
                self._link = link
                self._connection = self._truth.opened(self.identity, asked_at, self._clock())
                self._tasks.create_task(self._watch(link, self._connection))
                return
        name = "/".join(self.identity)
        raise CannotConnect(f"{name} cannot connect to {self._endpoint}: {refusal}") from refusal

    def _new_link(self) -> Link | WireLink:
        if self._crowd:
            return WireLink(self._endpoint, self.identity, self._secret)
        return Link(self._endpoint, self.identity, self.script.protocol, self._secret)

    async def _watch(self, link: Link | WireLink, connection: Connection) -> None:
        """Notice an end that the device did not ask for; what was not acknowledged by then never will be."""
        await link.over()
        self._truth.closed(connection, self._clock(), "lost")
        for task, used in self._publishing.items():
            if used is link:
                task.cancel()

    async def _send(self, kind: Kind) -> None:
        if self._link is None or self._truth.up(self.identity) is None:
            await self._connect()
        assert self._link is not None
        now = self._clock()
        body = messages.payload(self.script, kind, self._count, now, self._weather)
        message = self._truth.publish(self.identity, kind, body, now)
        self._count += 1
        task = self._tasks.create_task(self._publish(self._link, message))
        self._publishing[task] = self._link
        task.add_done_callback(self._publishing.pop)
        await asyncio.sleep(0)  # the task hands the packet to the socket before the next action

    async def _publish(self, link: Link | WireLink, message: Sent) -> None:
        topic = messages.mqtt_topic(self.script, message.kind, message.message_id)
        try:
            await link.publish(topic, message.payload, qos=1)
        except aiomqtt.MqttError:
            return  # unacknowledged, which the truth already says
        self._truth.acknowledged(message, self._clock())

    def _end(self, ending: Ending) -> None:
        """Enter the end before it happens, so that the broker cannot be earlier."""
        if self._connection is not None:
            self._truth.closed(self._connection, self._clock(), ending)
