"""A session at EMQX lives exactly as long as its right to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from libs.topics.messages.registry_events import DeviceDocument, OldSecret
from services.guard.emqx import Kicks, fault
from services.guard.emqx_api import Session, Unanswered
from tests.support.virtual_time import in_virtual_time, pass_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

DOCUMENT = DeviceDocument(
    product_id="p",
    device_id="d",
    version=3,
    enabled=True,
    credential_id="c2",
    secret_hash="$7$1$c2FsdHNhbHRzYWx0$eA==",
    old_secret=None,
    tags=(),
    tags_version=1,
    attributes={},
    origin="application",
    created_at=1,
    updated_at=2,
)
GRACE = OldSecret("$7$1$c2FsdHNhbHRzYWx0$eQ==", 10)
SESSION = Session("p/d", connected=True, username="p/d", client_attrs={"credential": "c2"})


@pytest.mark.parametrize(
    ("session", "document", "reason"),
    [
        ({}, {}, None),
        ({}, {"enabled": False}, "disabled"),
        ({}, None, "deleted"),
        ({}, {"credential_id": "c3"}, "secret_replaced"),
        ({}, {"credential_id": "c3", "old_secret": GRACE}, None),
        ({}, {"credential_id": "c3", "old_secret": GRACE, "enabled": False}, "disabled"),
        ({"client_attrs": {}}, {"credential_id": "c3"}, None),  # before EMQX 5.8 nobody can tell
        ({"connected": False}, {"enabled": False}, None),
        ({"connected": False}, {"credential_id": "c3"}, None),
        ({"connected": False}, None, "deleted"),
    ],
)
def test_why_a_session_may_not_be(session: dict[str, Any], document: dict[str, Any] | None, reason: str | None) -> None:
    registered = None if document is None else replace(DOCUMENT, **document)
    assert fault(replace(SESSION, **session), registered) == reason


class Broker:
    """The sessions of EMQX; ``failures``: how many questions it leaves unanswered."""

    def __init__(self, *sessions: Session) -> None:
        self.sessions, self.failures, self.questions = list(sessions), 0, 0

    async def of(self, username: str) -> list[Session]:
        self._ask()
        return [session for session in self.sessions if session.username == username]

    async def everyone(self) -> AsyncIterator[Session]:
        self._ask()
        for session in list(self.sessions):
            yield session

    async def end(self, client_id: str) -> None:
        self._ask()
        self.sessions = [session for session in self.sessions if session.clientid != client_id]

    def _ask(self) -> None:
        self.questions += 1
        if self.failures:
            self.failures -= 1
            raise Unanswered("GET clients: status 503")


class Scene:
    def __init__(self, broker: Broker, documents: dict[bytes, DeviceDocument]) -> None:
        self.broker, self.documents = broker, documents
        self.kicks = Kicks(broker, documents.get)
        self.kicks.changed(list(documents.items()))

    def change(self, document: DeviceDocument | None) -> None:
        if document is None:
            del self.documents[b"p/d"]
        else:
            self.documents[b"p/d"] = document
        self.kicks.changed([(b"p/d", document)])

    def play(self, *acts: Callable[[], None]) -> list[str]:
        """Each act after a minute; returns the client ids that are left a minute after the last."""
        in_virtual_time(self._play(acts))
        assert self.kicks.waiting == 0
        return [session.clientid for session in self.broker.sessions]

    async def _play(self, acts: tuple[Callable[[], None], ...]) -> None:
        running = asyncio.create_task(self.kicks.run())
        await pass_time(60)
        for act in acts:
            act()
            await pass_time(60)
        assert not running.done()


def scene(*sessions: Session, **document: Any) -> Scene:
    broker = Broker(*sessions)
    return Scene(broker, {b"p/d": replace(DOCUMENT, **document)})


OTHER = Session("p/e", connected=True, username="p/e", client_attrs={"credential": "x"})
HUB = Session("fleetlog-ingest-0", connected=True, username="hub")
JOINS = Session("p/$register", connected=True, username="p/$register")


def test_who_may_be_there_stays() -> None:
    world = scene(SESSION, HUB, JOINS)
    assert world.play(lambda: world.change(replace(DOCUMENT, tags=("red",), version=4))) == [
        "p/d",
        "fleetlog-ingest-0",
        "p/$register",
    ]


@pytest.mark.parametrize(
    "change",
    [None, replace(DOCUMENT, enabled=False), replace(DOCUMENT, credential_id="c3")],
    ids=["deleted", "disabled", "secret replaced"],
)
def test_a_change_ends_the_device_s_sessions_and_no_others(change: DeviceDocument | None) -> None:
    world = scene(SESSION, replace(SESSION, clientid="second"), HUB)
    assert world.play(lambda: world.change(change)) == ["fleetlog-ingest-0"]


def test_a_secret_within_its_grace_keeps_its_session_until_the_grace_is_over() -> None:
    world = scene(SESSION)
    rotated = replace(DOCUMENT, credential_id="c3", old_secret=GRACE)
    fresh = replace(SESSION, clientid="fresh", client_attrs={"credential": "c3"})
    left: list[int] = []

    def rotate() -> None:
        world.change(rotated)

    def reconnect() -> None:
        left.append(len(world.broker.sessions))
        world.broker.sessions.append(fresh)

    def expire() -> None:
        world.change(replace(rotated, old_secret=None, version=5))

    assert world.play(rotate, reconnect, expire) == ["fresh"]
    assert left == [1]


def test_a_connect_that_was_allowed_just_before_is_ended_by_the_second_look() -> None:
    world = scene()

    def disable() -> None:
        world.change(replace(DOCUMENT, enabled=False))
        asyncio.get_running_loop().call_later(0.5, world.broker.sessions.append, SESSION)

    assert world.play(disable) == []


def test_what_changed_while_nobody_watched_is_found_at_the_start() -> None:
    assert scene(SESSION, HUB, enabled=False).play() == ["fleetlog-ingest-0"]
    assert scene(SESSION, credential_id="c3").play() == []
    assert scene(SESSION, OTHER).play() == ["p/d"]  # p/e is registered nowhere


def test_a_device_registered_during_the_comparison_stays() -> None:
    world = scene(OTHER)

    async def play() -> None:
        running = asyncio.create_task(world.kicks.run())
        await pass_time(0.5)
        document = replace(DOCUMENT, device_id="e", credential_id="x")
        world.documents[b"p/e"] = document
        world.kicks.changed([(b"p/e", document)])
        await pass_time(60)
        assert not running.done()

    in_virtual_time(play())
    assert world.broker.sessions == [OTHER]


def test_a_broker_that_does_not_answer_is_asked_until_it_does() -> None:
    world = scene(SESSION)
    world.broker.failures = 5

    def disable() -> None:
        world.broker.failures = 6
        world.change(replace(DOCUMENT, enabled=False))

    assert world.play(disable) == []
    assert world.broker.failures == 0
    assert world.broker.questions < 30  # it is not asked without a pause
