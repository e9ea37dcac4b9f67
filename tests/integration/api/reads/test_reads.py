"""What is known now and what was, over HTTP: from the workers that own it, and from ClickHouse."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest

from devstack.ports import free_port
from libs.runtime.settings import ClickHouseSettings
from libs.topics import names
from libs.topics.codec import encode
from libs.topics.messages.presence import ConnectionObserved
from libs.topics.messages.telemetry import DataUploaded
from services.api.history import History
from services.api.problems import Problem
from services.api.queries import presence_at
from services.api.settings import HistorySettings
from tests.support.names import unique
from tests.support.polling import eventually
from tests.support.records import produce, read_all

if TYPE_CHECKING:
    from devstack.stack import Stack


def now() -> int:
    return time.time_ns() // 1_000_000


def registered(client: httpx.Client, *devices: str) -> str:
    """A product of its own with these devices."""
    product = unique("p")
    assert client.post("/v1/products", json={"product_id": product}).status_code == 201
    for device in devices:
        assert client.post(f"/v1/products/{product}/devices", json={"device_id": device}).status_code == 201
    return product


def connect(stack: Stack, product: str, device: str, at: int) -> None:
    seen = ConnectionObserved(product, device, f"{product}/{device}", f"ch-{at}", "connect", at, "emqx:a", 1)
    produce(stack.kafka, names.PRESENCE_INBOX, [(f"{product}/{device}".encode(), encode(seen))])


def body(client: httpx.Client, path: str, **query: Any) -> Any:
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_device_comes_is_deleted_and_comes_again(stack: Stack, client: httpx.Client) -> None:
    product = registered(client, "d1", "d2")
    path = f"/v1/products/{product}/devices/d1"
    assert body(client, f"{path}/presence")["session"] == {"state": "offline", "since": None, "channels": []}
    came = now() - 5000
    connect(stack, product, "d1", came)
    eventually(lambda: body(client, f"{path}/presence")["session"]["state"] == "online", describe="d1 online")
    assert body(client, f"/v1/products/{product}/presence") == {"online": 1, "offline": 0, "unknown": 0}
    names_ = [{"product_id": product, "device_id": device} for device in ("d1", "d2", "d3")]
    batch = client.post("/v1/presence:batch", json={"devices": names_}).json()
    assert {one["device_id"]: one["session"]["state"] for one in batch["items"]} == {"d1": "online", "d2": "offline"}
    assert batch["unknown"] == names_[2:]

    before = now()
    assert client.delete(path).status_code == 204
    eventually(lambda: client.get(f"{path}/presence").status_code == 404, describe="d1 forgotten")
    connect(stack, product, "d1", came)  # delivered again
    assert client.post(f"/v1/products/{product}/devices", json={"device_id": "d1"}).status_code == 201
    again = now() + 2000
    connect(stack, product, "d1", again)
    eventually(lambda: body(client, f"{path}/presence")["session"]["since"] == again, describe="d1 online again")

    def causes() -> list[str] | None:
        """The newest first; the last one has just happened."""
        items = body(client, f"{path}/presence/history", to=str(again + 1))["items"]
        return [one["cause"] for one in items] if len(items) == 3 else None

    assert eventually(causes, describe="the past of both lives") == ["connected", "deleted", "connected"]
    first = body(client, f"{path}/presence/history", to=str(again + 1), limit=2)
    second = body(client, f"{path}/presence/history", to=str(again + 1), limit=2, cursor=first["next_cursor"])
    assert [one["at"] for one in second["items"]] == [came]
    assert second["next_cursor"] is None
    assert body(client, f"{path}/presence", at=str(before))["session"]["state"] == "online"
    assert body(client, f"{path}/presence", at=str(came - 1))["session"]["since"] is None
    withdrawn = [one for one in read_all(stack.kafka, names.PRESENCE_STATE) if one.key == f"{product}/d1".encode()]
    assert [one.value is None for one in withdrawn] == [False, True, False]


def test_telemetry_and_events_are_told_of_one_product_and_one_device(stack: Stack, client: httpx.Client) -> None:
    product, other = registered(client), registered(client)
    begin = (now() // 60_000 - 3) * 60_000

    def upload(owner: str, number: int, value: float) -> tuple[bytes, bytes]:
        payload = msgspec.Raw(msgspec.json.encode({"engine": {"rpm": value}}))
        event = DataUploaded(owner, "d1", "weather", f"m{number}", number, "json", payload, begin + number * 30_000)
        return f"{owner}/d1".encode(), encode(event)

    values = [upload(product, number, float(number)) for number in range(4)]
    produce(stack.kafka, names.DEVICE_TELEMETRY, [*values, upload(other, 0, 999.0)])
    query = {"device": "d1", "key": "engine.rpm", "from": str(begin), "to": str(begin + 180_000)}

    def series(owner: str, **more: Any) -> list[dict[str, Any]]:
        points: list[dict[str, Any]] = body(client, f"/v1/products/{owner}/telemetry", **query, **more)["points"]
        return points

    eventually(lambda: len(series(product)) == 4 and len(series(other)) == 1, describe="all stored")
    assert series(product) == [{"at": begin + n * 30_000, "value": float(n)} for n in range(4)]
    assert series(product, step=60) == [
        {"at": begin, "mean": 0.5, "least": 0.0, "most": 1.0, "count": 2},
        {"at": begin + 60_000, "mean": 2.5, "least": 2.0, "most": 3.0, "count": 2},
    ]
    path = f"/v1/products/{product}/devices/d1/events"
    found = body(client, path, limit=3, type="weather", **{"from": str(begin)})
    rest = body(client, path, limit=3, cursor=found["next_cursor"], **{"from": str(begin)})
    events = [*found["items"], *rest["items"]]
    assert [(one["message_id"], one["payload"]) for one in events] == [
        (f"m{number}", {"engine": {"rpm": float(number)}}) for number in (3, 2, 1, 0)
    ]
    assert rest["next_cursor"] is None
    assert body(client, path, type="other", **{"from": str(begin)})["items"] == []
    strange = client.get(f"/v1/products/{product}/telemetry", params={**query, "key": "x' OR '1'='1"})
    assert strange.json()["points"] == []


def test_the_registrys_history_stays(stack: Stack, client: httpx.Client) -> None:
    product = registered(client, "d1")
    assert client.delete(f"/v1/products/{product}/devices/d1").status_code == 204
    statement = f"SELECT type FROM {{}}.registry_events WHERE product_id = '{product}' ORDER BY at, version"
    database = ClickHouseSettings().database

    def kinds() -> list[str]:
        answer = httpx.post(stack.clickhouse_url, content=statement.format(database), timeout=10)
        found = answer.text.split()
        return found if len(found) == 3 else []

    wanted = ["product_changed", "device_registered", "device_deleted"]
    assert sorted(eventually(kinds, describe="three events stored")) == sorted(wanted)


async def test_a_store_that_is_away_is_unavailable() -> None:
    history = History(ClickHouseSettings(url=f"http://127.0.0.1:{free_port()}"), HistorySettings())
    with pytest.raises(Problem) as refused:
        await history.ask(presence_at("p1", "d1", 0))
    await history.stop()
    assert (refused.value.code, refused.value.status) == ("unavailable", 503)
    assert "Retry-After" in refused.value.headers
