"""Devices that hold their product's secret ask for their own, and then connect with it."""

from __future__ import annotations

import asyncio
import base64
import http.server
import json
import threading
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import aiomqtt
import pytest

from devstack.ports import HOST, free_port
from fleetlog_device import (
    Backoff,
    CredentialsRefused,
    Device,
    InvalidName,
    JoinRefused,
    MemoryStore,
    NoAnswer,
    SqliteStore,
    join,
    join_over_http,
)
from tests.support.device_hub import SECRETS, GuardedBroker, Hub, where

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PRODUCT_SECRET = SECRETS["p/$register"]
QUICK = Backoff(first=0.05, longest=0.2)
REFUSED = {"code": "device_exists", "detail": "p/d is registered already", "advice": "rotate"}


async def answer(hub: Hub, count: int, document: dict[str, Any]) -> str:
    """Answer the newest of so many questions; its message id."""
    topic, _ = (await hub.hears("register/", count=count))[-1]
    await hub.say(topic.replace("register/", "registered/", 1), json.dumps(document))
    return topic.split("/")[3]


async def test_a_device_joins_once_and_connects_with_what_it_got(
    broker: GuardedBroker, hub: Hub, tmp_path: Path
) -> None:
    store = tmp_path / "store.sqlite3"
    told = {"code": "ok", "secret": SECRETS["p/d"], "mqtt": {}}
    secret, message_id = await asyncio.gather(
        join("p", "d", PRODUCT_SECRET, store=store, **where(broker)), answer(hub, 1, told)
    )
    assert (secret, len(message_id) >= 22) == (SECRETS["p/d"], True)
    assert await join("p", "d", "not needed any more", store=store, **where(broker)) == secret
    async with Device("p", "d", store=SqliteStore(store), **where(broker)) as d:
        await d.wait_connected()
    assert len(hub.of("register/")) == 1


async def test_a_question_without_an_answer_is_asked_again_in_the_same_words(broker: GuardedBroker, hub: Hub) -> None:
    """Another device of the product takes the session over, then the hub has no time, then the process ends."""
    store = MemoryStore()

    async def meanwhile() -> set[str]:
        await hub.hears("register/")
        async with aiomqtt.Client(
            HOST, broker.port, username="p/$register", password=PRODUCT_SECRET, identifier="p/$register"
        ):
            pass
        first = await answer(hub, 2, {"code": "rate_limited", "detail": "too many"})
        await hub.hears("register/", count=3)
        return {first}

    asking = asyncio.create_task(join("p", "d", PRODUCT_SECRET, store=store, backoff=QUICK, **where(broker)))
    ids = await meanwhile()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    again = asyncio.create_task(join("p", "d", PRODUCT_SECRET, store=store, backoff=QUICK, **where(broker)))
    ids.add(await answer(hub, 4, {"code": "ok", "secret": "s", "mqtt": {}}))
    assert await again == "s"
    assert ids == {topic.split("/")[3] for topic, _ in hub.of("register/")}
    assert len(ids) == 1


async def test_a_refusal_has_the_hub_s_code(broker: GuardedBroker, hub: Hub) -> None:
    store = MemoryStore()
    asking = asyncio.create_task(join("p", "d", PRODUCT_SECRET, store=store, **where(broker)))
    await answer(hub, 1, REFUSED)
    with pytest.raises(JoinRefused, match="registered already") as refused:
        await asking
    assert (refused.value.code, store.get("secret")) == ("device_exists", None)


async def test_a_wrong_product_secret_is_the_end_and_silence_too(broker: GuardedBroker) -> None:
    with pytest.raises(CredentialsRefused):
        await join("p", "d", "wrong", store=MemoryStore(), **where(broker))
    with pytest.raises(NoAnswer):
        await join("p", "d", PRODUCT_SECRET, store=MemoryStore(), timeout=0.3, **where(broker))
    with pytest.raises(InvalidName):
        await join("p", "a/b", PRODUCT_SECRET, store=MemoryStore(), **where(broker))


class Api(http.server.BaseHTTPRequestHandler):
    """Answers as it is told to, in turn."""

    answers: list[tuple[HTTPStatus, bytes]]
    asked: list[tuple[str, str | None, str | None]]

    def do_POST(self) -> None:
        self.asked.append((self.path, self.headers["Authorization"], self.headers["Idempotency-Key"]))
        status, body = self.answers.pop(0)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Not to the tests' output."""


@contextmanager
def api(*answers: tuple[HTTPStatus, bytes]) -> Iterator[tuple[str, type[Api]]]:
    kind = type("ThisApi", (Api,), {"answers": list(answers), "asked": []})
    with http.server.ThreadingHTTPServer((HOST, free_port()), kind) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield f"http://{HOST}:{server.server_port}/", kind
        finally:
            server.shutdown()
            serving.join()


async def test_a_device_joins_over_http(tmp_path: Path) -> None:
    busy, done = (HTTPStatus.SERVICE_UNAVAILABLE, b""), (HTTPStatus.CREATED, b'{"code":"ok","secret":"s"}')
    store = tmp_path / "store.sqlite3"
    with api(busy, done) as (url, asked):
        for _ in range(2):
            assert await join_over_http("p", "d", "ps", url=url, store=store, backoff=QUICK) == "s"
    path, authorization, key = asked.asked[0]
    assert path == "/v1/products/p/devices/d:join"
    assert authorization == "Basic " + base64.b64encode(b"p/d:ps").decode()
    assert key is not None
    assert asked.asked == [asked.asked[0]] * 2, "asked again under the same key, and no more once it is known"


@pytest.mark.parametrize(
    ("body", "code"), [(json.dumps(REFUSED).encode(), "device_exists"), (b"<html>", "http_409"), (b"[]", "http_409")]
)
async def test_a_refusal_over_http_has_a_code_too(body: bytes, code: str) -> None:
    with api((HTTPStatus.CONFLICT, body)) as (url, _), pytest.raises(JoinRefused) as refused:
        await join_over_http("p", "d", "ps", url=url, store=MemoryStore())
    assert refused.value.code == code


async def test_nobody_there_over_http() -> None:
    with pytest.raises(NoAnswer):
        await join_over_http(
            "p", "d", "ps", url=f"http://{HOST}:{free_port()}", store=MemoryStore(), backoff=QUICK, timeout=0.3
        )
    with pytest.raises(ValueError, match="neither"):
        await join_over_http("p", "d", "ps", url="file:///etc", store=MemoryStore())
