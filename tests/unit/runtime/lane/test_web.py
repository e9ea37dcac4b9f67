"""What a worker answers over HTTP: its own rows, and problems with a stable code for everything else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer

from libs.runtime import metrics
from libs.runtime.lane.reads import Reads
from libs.runtime.lane.web import MAX_BODY, MAX_KEYS, application
from tests.unit.runtime.lane.lab import Lab, Thing, World, broadcast, event, tally

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

COUNT = "/things/things/count"


class Count(msgspec.Struct, frozen=True):
    key: str
    count: int
    broadcasts: int


def count(key: bytes, row: Thing | None, world: World) -> Count | None:
    return None if row is None else Count(key.decode(), row.count, world.broadcasts)


def listed(_row: Thing) -> tuple[tuple[str, str]]:
    return (("all", ""),)


def fails(_key: bytes, _row: Thing | None, _world: World) -> Count | None:
    raise ValueError("a bug in a view")


class Tables:
    actives_ready = True


class Worker:
    """A lane with rows of partition 0, of so many, and the client of its server."""

    def __init__(self, lab: Lab, partitions: int = 1) -> None:
        lab.lane.app.tables = Tables()
        lab.lane.reads = Reads(lab.lane, partitions)
        self.closed = False
        routes = application("things", {"things": lab.lane}, lambda: self.closed)
        self.client = TestClient(TestServer(routes))

    async def ask(self, path: str, body: bytes | None = None) -> tuple[int, Any]:
        """Status and decoded body of the answer; refusals are problem documents, others JSON."""
        method = "GET" if body is None else "POST"
        async with self.client.request(method, path, data=body) as answer:
            problem = "application/problem+json"
            assert answer.content_type == ("application/json" if answer.status == 200 else problem)
            return answer.status, await answer.json(content_type=answer.content_type)

    async def batch(self, *keys: str) -> tuple[int, Any]:
        return await self.ask(COUNT, json.dumps({"keys": keys}).encode())


@pytest.fixture
def lab() -> Lab:
    made = Lab(views={"count": count, "fails": fails}, tally=tally, listing=listed)
    made.feed(event(b"p/a", 0), event(b"p/a", 1), broadcast(2, "note"), event(b"p/b", 3, tag="red"))
    return made


@pytest.fixture
async def worker(lab: Lab) -> AsyncIterator[Worker]:
    made = Worker(lab)
    async with made.client:
        yield made


async def test_a_view_shows_a_row_with_the_shared_data(worker: Worker) -> None:
    assert await worker.ask(f"{COUNT}/p/a") == (200, {"key": "p/a", "count": 2, "broadcasts": 1})


async def test_a_batch_answers_for_every_key_once(worker: Worker) -> None:
    status, answer = await worker.batch("p/a", "p/nobody", "p/b", "p/a")
    assert status == 200
    assert {key: found["count"] for key, found in answer["found"].items()} == {"p/a": 2, "p/b": 1}
    assert (answer["missing"], answer["elsewhere"]) == (["p/nobody"], [])


async def test_documents_are_listed_in_the_order_of_their_keys(worker: Worker) -> None:
    a, b = ({"key": key, "count": n, "broadcasts": 1} for key, n in (("p/a", 2), ("p/b", 1)))
    both = [{"key": "p/a", "document": a}, {"key": "p/b", "document": b}]
    for query, items in (
        ("", both),
        ("&after=p/a&limit=1000", both[1:]),
        ("&prefix=p%2Fa&partitions=0,3", both[:1]),
        ("&limit=1", both[:1]),
        ("&after=p/b", []),
    ):
        assert await worker.ask(f"{COUNT}?term=all:{query}") == (200, {"partitions": [0], "items": items})
    assert await worker.ask(f"{COUNT}?term=all:&partitions=1") == (200, {"partitions": [], "items": []})
    assert await worker.ask(f"{COUNT}?term=other:p:q") == (200, {"partitions": [0], "items": []})


async def test_a_table_that_lists_nothing_says_so(lab: Lab) -> None:
    lab.lane.lists = False
    worker = Worker(lab)
    async with worker.client:
        status, problem = await worker.ask(f"{COUNT}?term=all:")
        assert (status, problem["code"]) == (404, "not_listed")


async def test_a_tally_is_told_by_partition(worker: Worker) -> None:
    assert await worker.ask("/things/things/tally") == (200, {"partitions": {"0": {"p/red": 1}}})


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        (f"{COUNT}/p/nobody", None, 404, "unknown_key"),
        ("/things/things/other/p/a", None, 404, "unknown_view"),
        ("/things/others/count/p/a", None, 404, "unknown_table"),
        ("/others/things/count/p/a", None, 404, "unknown_table"),
        ("/things/others/tally", None, 404, "unknown_table"),
        ("/elsewhere", None, 404, "not_found"),
        (COUNT, None, 400, "invalid_query"),
        (f"{COUNT}?term=all", None, 400, "invalid_query"),
        (f"{COUNT}?term=all:&limit=0", None, 400, "invalid_query"),
        (f"{COUNT}?term=all:&limit=1001", None, 400, "invalid_query"),
        (f"{COUNT}?term=all:&limit=many", None, 400, "invalid_query"),
        (f"{COUNT}?term=all:&partitions=1,", None, 400, "invalid_query"),
        (f"{COUNT}?term=all:&befor=a", None, 400, "invalid_query"),
        (f"{COUNT}/p/a", b"{}", 405, "method_not_allowed"),
        (f"{COUNT}/p%2Fq/a", None, 400, "invalid_name"),
        (f"{COUNT}/p/{'a' * 65}", None, 400, "invalid_name"),
        (COUNT, b'{"keys":["\\u0000broadcast"]}', 400, "invalid_name"),
        (COUNT, b'{"keys":["p/a/b"]}', 400, "invalid_name"),
        (COUNT, b'{"keys":"p/a"}', 400, "invalid_body"),
        (COUNT, b'{"keys":["\xff"]}', 400, "invalid_body"),
        (COUNT, b"[" * 3000, 400, "invalid_body"),
        (COUNT, b"", 400, "invalid_body"),
        (COUNT, json.dumps({"keys": ["p/a"] * (MAX_KEYS + 1)}).encode(), 400, "too_many_keys"),
        (COUNT, b" " * (MAX_BODY + 1), 413, "request_entity_too_large"),
    ],
)
async def test_what_cannot_be_answered_is_a_problem(
    worker: Worker, path: str, body: bytes | None, status: int, code: str
) -> None:
    told, problem = await worker.ask(path, body)
    assert (told, problem["status"], problem["code"]) == (status, status, code)
    assert problem["title"]
    assert problem["detail"]


async def test_the_largest_batch_of_the_longest_names_fits(worker: Worker) -> None:
    keys = [f"{'p' * 64}/{number:064}" for number in range(MAX_KEYS)]
    status, answer = await worker.batch(*keys)
    assert (status, len(answer["missing"])) == (200, MAX_KEYS)


async def test_a_partition_that_is_not_served_here_is_asked_elsewhere(lab: Lab) -> None:
    worker = Worker(lab, partitions=1000)
    async with worker.client:
        status, problem = await worker.ask(f"{COUNT}/p/a")
        assert (status, problem["code"]) == (421, "not_served_here")
        _, answer = await worker.batch("p/a", "p/b")
        assert answer["elsewhere"] == ["p/a", "p/b"]


async def test_nothing_is_served_after_the_goodbye(worker: Worker) -> None:
    worker.closed = True
    assert (await worker.ask(f"{COUNT}/p/a"))[0] == 421
    assert (await worker.batch("p/a"))[1]["elsewhere"] == ["p/a"]
    assert await worker.ask("/things/things/tally") == (200, {"partitions": {}})
    assert await worker.ask(f"{COUNT}?term=all:") == (200, {"partitions": [], "items": []})


async def test_a_view_that_fails_ends_its_request_only(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    labels = {"service": "things", "table": "things", "status": "500"}
    before = metrics.registry.get_sample_value("fleetlog_lane_reads_total", labels) or 0.0
    status, problem = await worker.ask("/things/things/fails/p/a")
    assert (status, problem["code"]) == (500, "internal_error")
    assert "a bug in a view" not in problem["detail"], "what failed is for the log"
    assert "a bug in a view" in caplog.text
    assert metrics.registry.get_sample_value("fleetlog_lane_reads_total", labels) == before + 1
    assert (await worker.ask(f"{COUNT}/p/a"))[0] == 200


async def test_answers_are_counted_under_tables_that_exist(worker: Worker) -> None:
    def counted(table: str, status: str) -> float:
        labels = {"service": "things", "table": table, "status": status}
        return metrics.registry.get_sample_value("fleetlog_lane_reads_total", labels) or 0.0

    before = counted("things", "200"), counted("", "404")
    await worker.ask(f"{COUNT}/p/a")
    await worker.ask("/things/made-up/count/p/a")
    assert (counted("things", "200"), counted("", "404")) == (before[0] + 1, before[1] + 1)
