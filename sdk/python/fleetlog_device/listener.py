"""What comes over a connection, and where it goes. The hub's own names end here."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from . import ota, shadows, tags
from .connection import first_of
from .errors import DeviceError
from .handlers import Calls, call, log, log_failure
from .ota import UPGRADE, failure_of
from .payload import BadPayload, to_object
from .shadow_dialects import Aliyun
from .tags import Tags
from .topics import CommandTopic, MessageTopic, PeerTopic, ProbeTopic, ShadowTopic

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiomqtt import Message

    from .clock import HubClock
    from .commands import Commands
    from .handlers import Handler
    from .link import Link
    from .ota import Upgrade
    from .shadows import Shadows
    from .store import Store
    from .topics import Topics
    from .uplinks import Uplinks

TAGS: Final = "tags"
TIME: Final = "$set_ntp"
SET_TAGS: Final = "$set_tags"
LONGEST: Final = 500
"""Characters of what the hub is told of an error."""
REMEMBERED: Final = 1_000
"""Messages of other devices, by sender and message id, and the hub's to this client, by topic and correlation data."""


@dataclass(slots=True)
class Hooks:
    """What the application wants to hear, apart from commands."""

    connected: Handler | None = None
    disconnected: Handler | None = None
    message: Handler | None = None
    peer: Handler | None = None
    tags: Handler | None = None
    upgrade: Handler | None = None


class Listener:
    """A `fleetlog_device.connection.Session`."""

    def __init__(
        self,
        *,
        topics: Topics,
        store: Store,
        uplinks: Uplinks,
        commands: Commands,
        shadows: Shadows,
        clock: HubClock,
        tell: Callable[[bytes], Awaitable[object]],
        greet: Callable[[], None],
        tagged: Callable[[], None],
    ) -> None:
        """``tell`` takes the payload of an upgrade's report.

        ``greet`` is called when a connection is ready, ``tagged`` when other tags than before are subscribed to.
        """
        self._topics, self._store, self._uplinks, self._commands = topics, store, uplinks, commands
        self._shadows, self._clock, self._tell, self._greet, self._tagged = shadows, clock, tell, greet, tagged
        self.hooks = Hooks()
        self.calls = Calls()
        self.upgrades = Calls()
        self.tags = Tags()
        self.follows = False
        """Whether the broker has granted the topics of all its tags, as far as it says so."""
        self.link: Link | None = None
        self.linked = asyncio.Event()
        self.closing = False
        self.times: dict[int, asyncio.Future[None]] = {}
        """Who waits for the hub's time, by ``device_time``."""
        self._seen: deque[MessageTopic | tuple[str, bytes | None]] = deque(maxlen=REMEMBERED)

    def restore(self) -> None:
        """Know the tags that the process before knew."""
        kept = self._store.get(TAGS)
        if kept is not None:
            self.tags = tags.read(json.loads(kept))

    async def hold(self, link: Link) -> None:
        """See `fleetlog_device.connection.Session`."""
        self._commands.connected()
        wanted = {self._topics.tag(tag) for tag in self.tags.names}
        self.follows = wanted.isdisjoint(await self._subscribe(link, (*self._topics.standing(), *sorted(wanted))))
        self.link = link
        self.linked.set()
        self._greet()
        await self.calls.put("on_connected", self.hooks.connected)
        try:
            await first_of(self._receive(link), self._uplinks.pump(link))
        finally:
            self.link = None
            self.linked.clear()

    async def lost(self, reason: Exception) -> None:
        """See `fleetlog_device.connection.Session`."""
        await self.calls.put("on_disconnected", self.hooks.disconnected, reason)

    @staticmethod
    async def _subscribe(link: Link, filters: tuple[str, ...]) -> tuple[str, ...]:
        """Those that were refused."""
        refused = await link.subscribe(filters)
        if refused:
            log.warning("the broker refused subscriptions: %s", ", ".join(refused))
        return refused

    async def _receive(self, link: Link) -> None:
        async for message in link.messages():
            if self.closing:
                continue  # not acknowledged: it comes again
            try:
                await self._take(link, message)
            except BadPayload as error:
                log.warning("dropped a message on %s: %s", message.topic.value, error)
            link.acknowledge(message)

    async def _take(self, link: Link, message: Message) -> None:
        payload = bytes(message.payload)
        match self._topics.read(message.topic.value):
            case CommandTopic() as topic:
                await self._command(link, topic, payload, getattr(message.properties, "MessageExpiryInterval", None))
            case ProbeTopic(message_id):
                self._uplinks.reply(self._topics.probe_answer(message_id), payload)
            case MessageTopic() as topic if self._is_new(topic):
                await self.calls.put("on_message", self.hooks.message, topic.sender, payload)
            case PeerTopic(topic) if self._is_new((topic, getattr(message.properties, "CorrelationData", None))):
                await self.calls.put("on_p2p", self.hooks.peer, topic, payload)
            case ShadowTopic() if self._shadows.own.speaks(Aliyun):
                self._shadows.own.receive(Aliyun.read(payload))
            case None:
                log.info("nothing of the protocol: %s", message.topic.value)

    def _is_new(self, message: MessageTopic | tuple[str, bytes | None]) -> bool:
        """Whether it is no repetition; of a message to this client only the hub's are named."""
        if message in self._seen:
            return False
        if not isinstance(message, tuple) or message[1] is not None:
            self._seen.append(message)
        return True

    async def _command(self, link: Link, topic: CommandTopic, payload: bytes, remaining: int | None) -> None:
        if topic.tag is not None and topic.tag not in self.tags.names:
            await link.unsubscribe([self._topics.tag(topic.tag)])  # left over from a session of before
        elif not topic.command.startswith("$"):
            await self._commands.take(topic, payload, remaining)
        elif topic.command == TIME:
            self._take_time(to_object(payload))
        elif topic.command == SET_TAGS:
            await self._take_tags(link, tags.read(to_object(payload)))
        elif topic.command in shadows.COMMANDS:
            self._shadows.receive(topic.command, payload)
        elif topic.command == UPGRADE:
            await self._take_upgrade(topic, payload)
        else:
            log.warning("this version does not know the hub's %s", topic.command)

    def _take_time(self, document: dict[str, Any]) -> None:
        asked = self._clock.answer(document)
        waiting = None if asked is None else self.times.pop(asked, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    async def _take_tags(self, link: Link, told: Tags) -> None:
        old, self.tags = self.tags, tags.apply(self.tags, told)
        if self.tags is old:
            return
        self._store.put(TAGS, json.dumps(self.tags.document()))
        if gone := old.names - self.tags.names:
            await link.unsubscribe(map(self._topics.tag, sorted(gone)))
        if new := self.tags.names - old.names:
            refused = await self._subscribe(link, tuple(map(self._topics.tag, sorted(new))))
            self.follows = self.follows and not refused
        self._tagged()
        await self.calls.put("on_tags", self.hooks.tags, self.tags.names)

    async def _take_upgrade(self, topic: CommandTopic, payload: bytes) -> None:
        if self._commands.remember(topic):
            upgrade = ota.read(to_object(payload), self._tell)
            await self.upgrades.put("on_upgrade", self._upgrade, upgrade)

    async def _upgrade(self, upgrade: Upgrade) -> None:
        if self.hooks.upgrade is None:
            await upgrade.fail(ota.UpgradeFailure.OTHER, "this device installs no upgrades")
            return
        try:
            await call(self.hooks.upgrade, upgrade)
        except DeviceError as error:
            log.warning("the upgrade to %s failed: %s", upgrade.version, error)
            await upgrade.fail(failure_of(error), str(error)[:LONGEST])
        except Exception as error:  # noqa: BLE001 - an application may raise anything, and the hub hears of it
            log_failure("on_upgrade", error)
            await upgrade.fail(failure_of(error), f"{type(error).__name__}: {error}"[:LONGEST])
