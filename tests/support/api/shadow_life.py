"""What must hold of the API's calls about shadows, whatever is behind it: as `life`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.api.life import create, problem

if TYPE_CHECKING:
    from httpx import AsyncClient

MERGE = {"Content-Type": "application/merge-patch+json"}


async def inhabited(client: AsyncClient, product: str, *devices: str, tags: tuple[str, ...] = ()) -> list[str]:
    """Create a product with devices; returns their paths."""
    await create(client, product)
    for device in devices:
        body = {"device_id": device, "tags": list(tags)}
        answer = await client.post(f"/v1/products/{product}/devices", json=body)
        assert answer.status_code == 201, answer.text
    return [f"/v1/products/{product}/devices/{device}" for device in devices]


async def shadow_life(client: AsyncClient, product: str) -> None:
    """A shadow is empty at first, merged into, changed conditionally, replaced, cleared and deleted; versions go on."""
    [device] = await inhabited(client, product, "press-1")
    path = f"{device}/shadow"
    empty = await client.get(path)
    assert empty.status_code == 200, empty.text
    assert (empty.json()["version"], empty.json()["state"], empty.headers["etag"]) == (0, {}, '"0"')

    content = b'{"interval_s": 5, "lamp": {"on": true, "colour": "red"}}'
    made = await client.patch(path, content=content, headers=MERGE)
    assert made.status_code == 200, made.text
    document = made.json()
    assert (document["version"], document["desired_version"], document["reported_version"]) == (1, 1, 0)
    assert document["delta"] == document["state"]["desired"] == {"interval_s": 5, "lamp": {"on": True, "colour": "red"}}
    assert document["metadata"]["desired"]["lamp"]["on"]["timestamp"] == document["updated_at"]
    assert document["pending_since"] == document["updated_at"]
    assert (await client.get(path)).json() == document
    assert (await client.get(path, headers={"If-None-Match": '"1"'})).status_code == 304
    assert (await client.patch(path, json={})).json() == document

    late = await client.patch(path, json={"interval_s": 7}, headers={"If-Match": '"0"'})
    assert problem(late, 409, "version_conflict")["current"] == document
    changed = await client.patch(path, json={"lamp": {"colour": None}}, headers={"If-Match": '"1"'})
    assert (changed.json()["version"], changed.json()["state"]["desired"]["lamp"]) == (2, {"on": True})
    deep: dict[str, Any] = {}
    for _ in range(9):
        deep = {"in": deep}
    problem(await client.patch(path, json=deep), 413, "document_too_deep")
    problem(await client.patch(path, json={"huge": 1 << 64}), 422, "invalid_request")
    problem(await client.patch(path, json=[1]), 422, "invalid_request")

    replaced = await client.put(path, json={"interval_s": 9})
    assert (replaced.json()["version"], replaced.json()["state"]["desired"]) == (3, {"interval_s": 9})
    shown = (await client.get(device)).json()
    assert shown["shadow"] == {"version": 3, "desired_version": 3, "reported_version": 0, "converged": False}
    assert (shown["status"], shown["shadows"]) == (None, {})
    cleared = await client.post(f"{path}:clear")
    assert (cleared.json()["version"], cleared.json()["state"], cleared.json()["delta"]) == (4, {}, {})
    assert (await client.delete(path, headers={"If-Match": '"4"'})).status_code == 204
    assert (await client.get(path)).json()["version"] == 5
    assert (await client.patch(path, json={"interval_s": 1})).json()["version"] == 6


async def named_life(client: AsyncClient, product: str) -> None:
    """Named shadows begin with their first change, beside the device's own; a repeated change is made once."""
    [device] = await inhabited(client, product, "press-1")
    path = f"{device}/shadows/network"
    problem(await client.get(path), 404, "unknown_shadow")
    problem(await client.post(f"{path}:clear"), 404, "unknown_shadow")
    problem(await client.delete(path), 404, "unknown_shadow")
    headers = {"Idempotency-Key": f"first-{product}"}
    first, again = [await client.patch(path, json={"ssid": "hall"}, headers=headers) for _ in range(2)]
    assert first.status_code == 200, first.text
    assert first.json() == again.json()
    assert (first.json()["shadow"], first.json()["version"]) == ("network", 1)
    problem(await client.patch(path, json={"ssid": "yard"}, headers=headers), 422, "idempotency_key_reused")
    other = await client.put(f"{device}/shadows/lamp", json={"on": True})
    assert other.status_code == 200, other.text
    listed = await client.get(f"{device}/shadows")
    assert listed.json() == {"items": [other.json(), first.json()], "next_cursor": None}
    assert (await client.get(f"{device}/shadow")).json()["state"] == {}
    assert sorted((await client.get(device)).json()["shadows"]) == ["lamp", "network"]
    assert (await client.delete(path)).status_code == 204
    problem(await client.get(path), 404, "unknown_shadow")
    problem(await client.get(f"{device}/shadows/no%20name"), 400, "invalid_name")
    problem(await client.get(f"{device}/status"), 404, "unknown_status")
    for missing in ("shadow", "shadows", "shadows/lamp", "status"):
        problem(await client.get(f"/v1/products/{product}/devices/nobody/{missing}"), 404, "unknown_device")
    problem(await client.patch(f"/v1/products/{product}/devices/nobody/shadow", json={"a": 1}), 404, "unknown_device")


async def tagged_life(client: AsyncClient, product: str) -> None:
    """A patch by tag changes all devices that carry the tag, and counts them; repeated, it changes none twice."""
    devices = await inhabited(client, product, "a", "b", "c", tags=("red",))
    for device in devices:  # from now on the shadow service knows of all of them
        assert (await client.get(f"{device}/shadow")).status_code == 200
    path = f"/v1/products/{product}/tags/red/shadow"
    headers = {**MERGE, "Idempotency-Key": f"all-{product}"}
    answer, again = [await client.post(path, json={"on": True}, headers=headers) for _ in range(2)]
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert again.json() == told
    assert (told["matched"], told["changed"], told["refused"], told["missing_partitions"]) == (3, 3, 0, [])
    for device in devices:
        shown = (await client.get(f"{device}/shadow")).json()
        assert (shown["version"], shown["state"]) == (1, {"desired": {"on": True}})
    other = await client.post(f"/v1/products/{product}/tags/blue/shadow", json={"on": False})
    assert other.json() == {**told, "patch_id": other.json()["patch_id"], "matched": 0, "changed": 0}
    assert other.json()["patch_id"] != told["patch_id"]
    named = await client.post(f"/v1/products/{product}/tags/red/shadows/lamp", json={"on": False})
    assert named.json()["changed"] == 3
    problem(await client.post("/v1/products/no-such/tags/red/shadow", json={}), 404, "unknown_product")


TALES = (shadow_life, named_life, tagged_life)
