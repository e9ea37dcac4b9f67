"""Both stores keep the same promises; the one in a file keeps them through a restart."""

from __future__ import annotations

import sqlite3
import stat
from typing import TYPE_CHECKING

import pytest

from fleetlog_device.buffer import Uplink
from fleetlog_device.errors import StoreMismatch
from fleetlog_device.requests import Request
from fleetlog_device.sqlite_store import SqliteStore, default_path
from fleetlog_device.store import MemoryStore, Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "a" / "store.sqlite3")
    made.open("p/d")
    yield made
    made.close()


def reopened(store: Store) -> Store:
    store.close()
    store.open("p/d")
    return store


def test_a_request_is_kept_with_its_outcome(store: Store) -> None:
    running = Request("r1", 5, "cmd_resp/p/d/c/r1/r1")
    store.put_request(running)
    assert store.request("r1") == running
    done = Request("r1", 5, running.topic, b"\xff", answered=True)
    store.put_request(done)
    assert reopened(store).request("r1") == done
    assert store.request("r2") is None


def test_unanswered_requests_come_in_the_order_in_which_they_were_taken(store: Store) -> None:
    for name in ("b", "a", "c"):
        store.put_request(Request(name, 0, "t"))
    store.put_request(Request("b", 0, "t", b"done"))
    store.put_request(Request("a", 0, "t", b"done", answered=True))
    assert [request.request_id for request in reopened(store).unanswered()] == ["b", "c"]


def test_pruning_forgets_the_old_and_the_many_but_nothing_unanswered(store: Store) -> None:
    store.put_request(Request("owed", 0, "t"))
    for number in range(10):
        store.put_request(Request(f"r{number}", number, "t", b"", answered=True))
    store.prune_requests(before=3, keep=4)
    assert [number for number in range(10) if store.request(f"r{number}")] == [6, 7, 8, 9]
    store.prune_requests(before=8, keep=100)
    assert [number for number in range(10) if store.request(f"r{number}")] == [8, 9]
    assert store.request("owed")


def test_facts_are_replaced(store: Store) -> None:
    assert store.get("tags") is None
    store.put("tags", "1")
    store.put("tags", "2")
    assert reopened(store).get("tags") == "2"


def test_uplinks_come_in_order_and_go_one_by_one(store: Store) -> None:
    for number in (3, 1, 2):
        store.add_uplink(Uplink(number, "t", bytes([number])))
    store.remove_uplinks([2, 99])
    assert reopened(store).uplinks() == [Uplink(1, "t", b"\x01"), Uplink(3, "t", b"\x03")]


def test_only_uplinks_do_not_wait_for_the_disk(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.sqlite3")
    store.open("p/d")
    statements: list[str] = []
    store._db.set_trace_callback(statements.append)
    store.add_uplink(Uplink(1, "t", b""))
    store.put_request(Request("r1", 0, "t"))
    store.remove_uplinks([1])
    store.put("tags", "1")
    store.add_uplink(Uplink(2, "t", b""))
    with pytest.raises(sqlite3.IntegrityError):
        store.add_uplink(Uplink(2, "t", b""))
    store.put("tags", "2")
    store.close()
    level, written = "", []
    for statement in statements:
        if statement.startswith("PRAGMA synchronous="):
            level = statement.partition("=")[2]
        elif statement.startswith(("INSERT", "DELETE")):
            written.append((level or "FULL", next(t for t in ("uplinks", "requests", "facts") if t in statement)))
    assert written == [
        ("NORMAL", "uplinks"),
        ("FULL", "requests"),
        ("NORMAL", "uplinks"),
        ("FULL", "facts"),
        ("NORMAL", "uplinks"),
        ("NORMAL", "uplinks"),
        ("FULL", "facts"),
    ]


def test_a_store_is_of_one_device(store: Store) -> None:
    store.close()
    with pytest.raises(StoreMismatch, match="p/d"):
        store.open("p/other")


def test_the_file_is_its_owner_s_alone_and_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    store = SqliteStore(path)
    store.open("p/d")
    store.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=2")
    connection.close()
    with pytest.raises(StoreMismatch, match="another version"):
        store.open("p/d")
    with pytest.raises(ValueError, match="not open"):
        store.get("tags")


def test_the_default_place_follows_the_system_s_rule(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_path("p", "d") == tmp_path / "fleetlog-device" / "p" / "d.sqlite3"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_path("p", "d") == tmp_path / ".local" / "state" / "fleetlog-device" / "p" / "d.sqlite3"
