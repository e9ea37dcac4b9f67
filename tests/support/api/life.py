"""What must hold of the API, whatever is behind it: told to a client alone.

The unit tests tell it on the hub in memory, the integration tests on the real Kafka and registry: so the fake cannot
say what the real one does not.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from httpx import AsyncClient, Response

DOCUMENT: Final = json.loads((Path(__file__).parents[3] / "docs/openapi.json").read_text(encoding="utf-8"))
CALLS: Final = [
    (method.upper(), path)
    for path, methods in DOCUMENT["paths"].items()
    for method, said in methods.items()
    if "{product_id}" in path and any("api_key" in way for way in said["security"])
]
"""Every call about one product that is made with an API key: writes, owner reads, the past, the stream."""
NO_NAMES: Final = [
    "a/b",
    "+",
    "#",
    "$SYS",
    "a b",
    " a",
    "a\0",
    "a\n",
    "a:b",
    "%u",
    "\uff41",  # full-width a
    "\u0430",  # Cyrillic a
    "a\u200b",
    65 * "a",
]


def problem(answer: Response, status: int, code: str) -> dict[str, Any]:
    """Assert that an answer is that problem, in full, and return it."""
    document: dict[str, Any] = answer.json()
    assert (answer.status_code, document["code"]) == (status, code), document
    assert answer.headers["content-type"] == "application/problem+json"
    assert document["type"] == f"urn:fleetlog:problem:{code}"
    assert document["status"] == status
    assert all(document[name] for name in ("title", "detail", "advice", "request_id"))
    return document


async def create(client: AsyncClient, product_id: str, **defaults: Any) -> dict[str, Any]:
    answer = await client.post("/v1/products", json={"product_id": product_id, **defaults})
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    assert answer.headers["etag"] == f'"{document["version"]}"'
    return document


async def product_life(client: AsyncClient, product: str) -> None:
    """A product is created, read, changed by merging, conditionally, and deleted once it is empty."""
    path = f"/v1/products/{product}"
    problem(await client.get(path), 404, "unknown_product")
    acl = [{"action": "subscribe", "topic": "recipes/{product}/#"}]
    created = await create(client, product, acl=acl, command_ttl_s=60, probe_interval_s=300)
    assert (created["secret"], created["has_secret"], created["acl"]) == (None, False, acl)
    problem(await client.post("/v1/products", json={"product_id": product}), 409, "product_exists")

    known = await client.get(path)
    assert {**known.json(), "secret": None} == created
    assert (await client.get(path, headers={"If-None-Match": known.headers["etag"]})).status_code == 304

    changed = await client.patch(path, json={"command_ttl_s": None, "dynamic_registration": True})
    assert changed.status_code == 200, changed.text
    assert changed.json()["version"] == created["version"] + 1
    assert (changed.json()["command_ttl_s"], changed.json()["dynamic_registration"]) == (None, True)
    assert changed.json()["probe_interval_s"] == 300
    assert changed.json()["acl"] == acl
    late = await client.patch(path, json={"device_to_device": True}, headers={"If-Match": known.headers["etag"]})
    problem(late, 409, "version_conflict")

    rotated = await client.post(f"{path}:rotate-secret")
    assert rotated.status_code == 200, rotated.text
    assert len(rotated.json()["secret"]) == 43
    assert rotated.json()["has_secret"]

    registered = await client.post(f"{path}/devices", json={"device_id": "press-1"})
    assert registered.status_code == 201, registered.text
    problem(await client.delete(path), 409, "product_has_devices")
    assert (await client.delete(f"{path}/devices/press-1")).status_code == 204
    gone = await client.delete(path)
    assert (gone.status_code, gone.content) == (204, b"")
    problem(await client.get(path), 404, "unknown_product")
    problem(await client.post(f"{path}/devices", json={"device_id": "press-1"}), 404, "unknown_product")


async def device_life(client: AsyncClient, product: str) -> None:
    """A device is registered, read, changed, disabled, enabled, given another secret, and deleted."""
    await create(client, product)
    path = f"/v1/products/{product}/devices/press-1"
    problem(await client.get(path), 404, "unknown_device")
    body = {"device_id": "press-1", "tags": ["b", "a", "b"], "attributes": {"line": 3, "old": True}}
    answer = await client.post(f"/v1/products/{product}/devices", json=body)
    assert answer.status_code == 201, answer.text
    device = answer.json()
    assert (device["tags"], device["attributes"], device["enabled"]) == (["a", "b"], body["attributes"], True)
    assert device["mqtt"]["username"] == device["mqtt"]["client_id"] == f"{product}/press-1"
    assert len(device["secret"]) == 43
    problem(await client.post(f"/v1/products/{product}/devices", json=body), 409, "device_exists")

    shown = (await client.get(path)).json()
    assert "secret" not in shown
    assert shown["version"] == device["version"]

    changed = await client.patch(path, json={"attributes": {"line": 4, "old": None}})
    assert changed.status_code == 200, changed.text
    assert changed.json()["attributes"] == {"line": 4}
    known = {"If-Match": changed.headers["etag"]}
    for verb, enabled in (("disable", False), ("enable", True)):
        done = await client.post(f"{path}:{verb}", headers=known)
        assert done.status_code == 200, done.text
        assert done.json()["enabled"] is enabled
        conflict = problem(await client.post(f"{path}:{verb}", headers=known), 409, "version_conflict")
        assert conflict["current"]["version"] == done.json()["version"]
        known = {"If-Match": done.headers["etag"]}

    rotated = await client.post(f"{path}:rotate-secret", json={"grace_s": 60}, headers=known)
    assert rotated.status_code == 200, rotated.text
    assert rotated.json()["secret"] not in (None, device["secret"])
    assert rotated.json()["old_secret_valid_until"] is not None
    assert (await client.delete(path)).status_code == 204
    problem(await client.delete(path), 404, "unknown_device")


async def tags_life(client: AsyncClient, product: str) -> None:
    """Tags are set, added and removed; whoever knows an old version is told the present one."""
    await create(client, product)
    await client.post(f"/v1/products/{product}/devices", json={"device_id": "press-1", "tags": ["a"]})
    path = f"/v1/products/{product}/devices/press-1/tags"
    tags = await client.put(path, json={"tags": ["c", "b"]})
    assert tags.json()["tags"] == ["b", "c"], tags.text
    version = tags.json()["tags_version"]
    assert tags.headers["etag"] == f'"{version}"'
    added = await client.post(f"{path}:add", json={"tags": ["a", "b"], "expected_version": version})
    assert added.json() == {"tags": ["a", "b", "c"], "tags_version": version + 1}
    late = await client.post(f"{path}:remove", json={"tags": ["a"]}, headers={"If-Match": f'"{version}"'})
    assert problem(late, 409, "version_conflict")["current"] == added.json()
    removed = await client.post(f"{path}:remove", json={"tags": ["a", "x"]}, headers={"If-Match": f'"{version + 1}"'})
    assert removed.json() == {"tags": ["b", "c"], "tags_version": version + 2}
    same = await client.post(f"{path}:add", json={"tags": ["b"]})
    assert same.json() == removed.json()


async def names(client: AsyncClient, product: str) -> None:
    """What would be a wildcard, a separator, a lie to the eye or too long is no name, wherever it is given."""
    await create(client, product)
    devices = f"/v1/products/{product}/devices"
    for name in NO_NAMES:
        for answer in (
            await client.post("/v1/products", json={"product_id": name}),
            await client.post(devices, json={"device_id": name}),
            await client.post(devices, json={"device_id": "d", "tags": [name]}),
        ):
            assert answer.status_code in (400, 422), f"{name!r}: {answer.text}"
            assert answer.json()["code"] in ("invalid_name", "invalid_request"), answer.text
        told = (await client.post(f"{devices}:bulk", json={"devices": [{"device_id": name}]})).json()["results"]
        assert [result["code"] for result in told] == ["invalid_name"]
        for path in (f"/v1/products/{quote(name, safe='')}", f"{devices}/{quote(name, safe='')}"):
            answer = await client.get(path)
            assert answer.status_code in (400, 404), f"{name!r}: {answer.text}"
            assert answer.json()["code"] in ("invalid_name", "unknown_path"), answer.text
    assert (await client.get(devices)).json()["items"] == []


async def repetitions(client: AsyncClient, product: str) -> None:
    """The same request with the same key is answered alike and done once; another one with that key is refused."""
    headers = {"Idempotency-Key": f"make-{product}"}
    body = {"product_id": product, "dynamic_registration": True}
    first, second = [await client.post("/v1/products", json=body, headers=headers) for _ in range(2)]
    assert first.status_code == 201, first.text
    assert (first.json(), first.status_code) == (second.json(), second.status_code)
    other = await client.post("/v1/products", json={**body, "device_to_device": True}, headers=headers)
    problem(other, 422, "idempotency_key_reused")

    path, headers = f"/v1/products/{product}/devices", {"Idempotency-Key": f"register-{product}"}
    first, second = [await client.post(path, json={"tags": ["a"]}, headers=headers) for _ in range(2)]
    assert first.status_code == 201, first.text
    assert first.json() == second.json()
    assert (await client.post(path, json={"tags": ["a"]})).json()["device_id"] != first.json()["device_id"]

    device = f"{path}/{first.json()['device_id']}"
    headers = {"Idempotency-Key": "rotate", "If-Match": first.headers["etag"]}
    once, twice = [await client.post(f"{device}:rotate-secret", headers=headers) for _ in range(2)]
    assert once.status_code == 200, once.text
    assert once.json() == twice.json()
    assert once.json()["secret"] != first.json()["secret"]


async def bulk(client: AsyncClient, product: str) -> None:
    """Many devices in one request: each is told of, in order, and a repetition completes what is missing."""
    await create(client, product)
    path = f"/v1/products/{product}/devices"
    await client.post(path, json={"device_id": "old"})
    names = ["n1", "old", "no name", "n2", "n1", "update", None]
    body = {"devices": [{"device_id": name, "tags": ["a"]} for name in names]}
    headers = {"Idempotency-Key": "many"}
    answer = await client.post(f"{path}:bulk", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert [result["outcome"] for result in results] == [
        "created",
        "exists",
        "refused",
        "created",
        "refused",
        "refused",
        "created",
    ]
    codes = [result.get("code") for result in results]
    assert codes == [None, "device_exists", "invalid_name", None, "repeated_device", "reserved_name", None]
    assert [answer.json()[kind] for kind in ("created", "exists", "refused", "unanswered")] == [3, 1, 3, 0]
    assert [result["device_id"] for result in results[:6]] == names[:6]
    assert results[0]["mqtt"]["username"] == f"{product}/n1"
    again = await client.post(f"{path}:bulk", json=body, headers=headers)
    assert again.json() == answer.json()
    devices = (await client.get(path)).json()["items"]
    assert sorted(one["device_id"] for one in devices) == sorted(["n1", "n2", "old", results[6]["device_id"]])
    problem(await client.post("/v1/products/no-such/devices:bulk", json={"devices": []}), 422, "invalid_request")
    nobody = await client.post("/v1/products/no-such/devices:bulk", json={"devices": [{}]})
    assert nobody.json()["results"][0]["code"] == "unknown_product"


async def listing(client: AsyncClient, product: str) -> None:
    """Devices are listed by id, page by page, by prefix and by tag."""
    await create(client, product)
    path = f"/v1/products/{product}/devices"
    names = [f"a-{number}" for number in range(5)] + [f"b-{number}" for number in range(4)]
    devices = [{"device_id": name, "tags": ["even"] if name[-1] in "02468" else []} for name in names]
    await client.post(f"{path}:bulk", json={"devices": devices})
    assert await pages(client, path, {"limit": 4}) == [names[:4], names[4:8], names[8:]]
    assert await pages(client, path, {"limit": 9}) == [names]
    assert await pages(client, path, {"prefix": "b-", "limit": 3}) == [names[5:8], names[8:]]
    assert await pages(client, path, {"tag": "even"}) == [["a-0", "a-2", "a-4", "b-0", "b-2"]]
    assert await pages(client, path, {"tag": "none"}) == [[]]
    problem(await client.get(path, params={"cursor": "x"}), 400, "invalid_cursor")
    problem(await client.get("/v1/products/no-such/devices"), 404, "unknown_product")


async def pages(client: AsyncClient, path: str, query: Mapping[str, str | int]) -> list[list[str]]:
    """Return the device ids of a list, page by page."""
    found: list[list[str]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await client.get(path, params={**query, **cursor})
        assert answer.status_code == 200, answer.text
        found.append([device["device_id"] for device in answer.json()["items"]])
        if answer.json()["next_cursor"] is None:
            return found
        cursor = {"cursor": answer.json()["next_cursor"]}


async def isolation(everyone: AsyncClient, limited: AsyncClient, own: str, other: str) -> None:
    """``limited`` shows a key of the product ``own``: nothing tells it that ``other`` exists, or that it does not."""
    await create(everyone, own)
    await create(everyone, other)
    await everyone.post(f"/v1/products/{other}/devices", json={"device_id": "press-1"})
    assert [one["product_id"] for one in (await limited.get("/v1/products")).json()["items"]] == [own]
    for method, path in CALLS:
        told = []
        for product in (other, "no-such"):
            at = re.sub(r"{\w+}", "any", path.replace("{product_id}", product).replace("{device_id}", "press-1"))
            body = {"for": "http"} if path.endswith(":issue-token") else None  # it asks who calls after the body
            told.append(problem(await limited.request(method, at, json=body), 404, "unknown_product"))
        shown = [{**one, "request_id": "", "detail": one["detail"].replace(other, "no-such")} for one in told]
        assert shown[0] == shown[1], f"{method} {path} tells that {other} exists"
    hidden = [{"product_id": product, "device_id": "press-1"} for product in (other, "no-such")]
    batch = (await limited.post("/v1/presence:batch", json={"devices": hidden})).json()
    assert (batch["items"], batch["unknown"], batch["unavailable"]) == ([], hidden, [])
    made = [await limited.post("/v1/products", json={"product_id": name}) for name in (other, "no-such")]
    assert {problem(answer, 403, "forbidden")["code"] for answer in made} == {"forbidden"}
    assert (await limited.post(f"/v1/products/{own}/devices", json={"device_id": "press-1"})).status_code == 201
