"""Rounds of the keeper, with a broker and sessions that are told of and do as they are bidden."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from bench.support.documents import device_document, hashed, product_document
from libs.topics.messages.registry import ProductDefaults
from services.guard.broker import Process
from services.guard.keeper import AT_ONCE, Keeper
from services.guard.sessions import Unreachable
from tests.support.polling import eventually_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Mosquitto:
    """Both the process and its internal listener."""

    def __init__(self) -> None:
        self.process: Process | None = Process(7, 1)
        self.reloads = 0
        self.reachable = True
        self.ended: list[str] = []

    def find(self) -> Process | None:
        return self.process

    def reload(self, _process: Process) -> bool:
        self.reloads += 1
        return True

    async def reloaded(self) -> None:
        if not self.reachable:
            raise Unreachable("refused")

    async def end(self, client_ids: list[str]) -> None:
        if not self.reachable and client_ids:
            raise Unreachable("refused")
        self.ended += client_ids


class Desk:
    """A keeper at work in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.mosquitto = directory, Mosquitto()
        self.stop = asyncio.Event()
        self.keeper = self.made()

    def made(self) -> Keeper:
        return Keeper(self.directory, None, self.mosquitto, self.mosquitto, many_blocks=1)  # type: ignore[arg-type]  # by shape

    def begin(self) -> None:
        self.task = asyncio.create_task(self.keeper.run(self.stop, lambda: None))

    async def end(self) -> None:
        self.stop.set()
        await self.task

    def register(self, *users: str, born: int = 1) -> None:
        self.keeper.take_devices(
            [
                (f"{product}/{device}".encode(), device_document(product, device, "s", created_at=born))
                for product, device in (user.split("/") for user in users)
            ]
        )

    def delete(self, *users: str) -> None:
        self.keeper.take_devices([(user.encode(), None) for user in users])

    def users(self) -> list[str]:
        return [line.partition(":")[0] for line in (self.directory / "passwords").read_text().splitlines()]

    async def until_users(self, *users: str) -> None:
        async def same() -> bool:
            return (self.directory / "passwords").exists() and self.users() == list(users)

        await eventually_async(same, describe=f"the file lists {users}")


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path)
    desk.register("p/a", "p/b")
    desk.begin()
    await desk.until_users("p/a", "p/b")
    yield desk
    await desk.end()


async def until(desk: Desk, reloads: int) -> None:
    async def told() -> bool:
        return desk.mosquitto.reloads == reloads

    await eventually_async(told, describe=f"{reloads} SIGHUPs")


async def until_ended(desk: Desk, *users: str) -> None:
    async def ended() -> bool:
        return desk.mosquitto.ended == list(users) and (desk.directory / "owed").read_bytes() == b""

    await eventually_async(ended, describe=f"the sessions of {users} are ended")


async def test_many_changes_at_once_are_one_sighup(desk: Desk) -> None:
    await until(desk, 1)
    desk.register(*(f"p/n{number}" for number in range(100)))
    desk.delete("p/a")
    await until(desk, 2)
    assert len(desk.users()) == 101
    assert desk.keeper.verdict


async def test_before_the_topics_are_read_it_is_not_ready_and_writes_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.register("p/a")
    assert not desk.keeper.verdict
    assert not (tmp_path / "passwords").exists()


async def test_a_change_that_changes_no_file_is_no_sighup(desk: Desk) -> None:
    await until(desk, 1)
    desk.keeper.take_devices([(b"p/a", device_document("p", "a", "s", tags=("red",), version=2))])
    desk.keeper.take_products([(b"p", product_document("p", ProductDefaults(command_ttl=5)))])
    desk.register("p/c")
    await desk.until_users("p/a", "p/b", "p/c")
    await until(desk, 2)


async def test_a_broker_that_was_away_or_is_a_new_process_is_told(desk: Desk) -> None:
    await until(desk, 1)
    desk.mosquitto.process = None
    desk.register("p/c")
    await desk.until_users("p/a", "p/b", "p/c")
    assert desk.mosquitto.reloads == 1
    desk.mosquitto.process = Process(8, 2)
    await until(desk, 2)
    desk.mosquitto.process = Process(8, 3)
    await until(desk, 3)


async def test_the_session_of_a_deleted_device_is_ended_after_it_was_locked_out(desk: Desk) -> None:
    desk.delete("p/a")
    await until_ended(desk, "p/a")
    assert desk.users() == ["p/b"]
    desk.register("p/b", born=2)  # deleted and registered anew, between two rounds
    await until_ended(desk, "p/a", "p/b")


async def test_a_disabled_device_keeps_its_session(desk: Desk) -> None:
    desk.keeper.take_devices([(b"p/a", device_document("p", "a", "s", enabled=False))])
    await desk.until_users("p/b")
    desk.delete("p/b")
    await until_ended(desk, "p/b")


async def test_what_is_owed_outlives_the_guard(desk: Desk) -> None:
    desk.mosquitto.reachable = False
    desk.delete("p/a")
    await desk.until_users("p/b")
    await desk.end()
    assert (desk.directory / "owed").read_text() == "p/a\n"

    again = Desk(desk.directory)  # meanwhile p/b was deleted, too, and nobody was there
    again.register("p/c")
    again.begin()
    await until_ended(again, "p/a", "p/b")
    assert again.users() == ["p/c"]
    await again.end()


async def test_nobody_s_session_is_ended_for_a_line_that_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "passwords").write_text(f"fleetlog-ingest:x\np/+:y\n\np/a:{hashed('s')}\np/$register:z\n")
    desk = Desk(tmp_path)
    desk.register("p/b")
    desk.begin()
    await until_ended(desk, "p/a")
    await desk.end()


async def test_many_sessions_are_ended_in_turns(desk: Desk) -> None:
    crowd = [f"p/n{number:03}" for number in range(AT_ONCE + 50)]
    desk.register(*crowd)
    desk.delete(*crowd)
    await until_ended(desk, *crowd)


async def test_files_that_cannot_be_written_make_it_unready_until_they_can(tmp_path: Path) -> None:
    directory = tmp_path / "kept"
    desk = Desk(directory)
    desk.register("p/a")
    desk.begin()

    async def unready() -> bool:
        return "cannot be written" in desk.keeper.verdict.reason

    await eventually_async(unready)
    directory.mkdir()
    await desk.until_users("p/a")
    await until(desk, 1)
    assert desk.keeper.verdict
    await desk.end()


async def test_what_ended_the_following_ends_the_keeper(tmp_path: Path) -> None:
    def check() -> None:
        raise ConnectionError("Kafka is gone for good")

    with pytest.raises(ConnectionError):
        await Desk(tmp_path).keeper.run(asyncio.Event(), check)
