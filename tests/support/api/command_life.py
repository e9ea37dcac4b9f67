"""What must hold of the API's calls about commands, whatever is behind it: as `life`. No device ever comes online."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.api.life import problem
from tests.support.api.shadow_life import inhabited

if TYPE_CHECKING:
    from httpx import AsyncClient


async def command_life(client: AsyncClient, product: str) -> None:
    """A command to a device that is offline waits, is shown, repeated without being doubled, and cancelled once."""
    [device] = await inhabited(client, product, "press-1")
    path = f"{device}/commands"
    headers = {"Idempotency-Key": f"first-{product}"}
    body = {"name": "unlock", "payload": {"door": 2}, "ttl_s": 3600}
    sent = await client.post(path, json=body, headers=headers)
    assert sent.status_code == 202, sent.text
    command = sent.json()
    assert (command["state"], command["mode"], command["command"], command["attempts"]) == (
        "queued",
        "cmd",
        "unlock",
        0,
    )
    assert command["expires_at"] - command["accepted_at"] == 3_600_000
    assert (await client.post(path, json=body, headers=headers)).json() == command
    problem(await client.post(path, json={"name": "lock"}, headers=headers), 422, "idempotency_key_reused")

    where = sent.headers["location"]
    assert where == f"/v1/commands/{command['request_id']}?device={product}/press-1"
    for found in (where, where.partition("?")[0]):
        told = await client.get(found)
        assert told.status_code == 200, told.text
        assert {name: value for name, value in told.json().items() if name != "steps"} == command

    other = (await client.post(path, json={"name": "reboot", "payload_base64": "AAEC"})).json()
    listed = await client.get(path)
    assert listed.json() == {"items": [command, other], "next_cursor": None}
    assert (await client.get(f"{path}?state=sent")).json()["items"] == []
    assert (await client.get(f"{path}?state=queued")).json()["items"] == [command, other]
    assert (await client.get(device)).json()["pending_commands"] == {"open": 2, "queued": 2}

    cancel = f"/v1/commands/{command['request_id']}:cancel"
    ended = await client.post(cancel, headers={"Idempotency-Key": f"end-{product}"})
    assert (ended.status_code, ended.json()["state"]) == (200, "cancelled"), ended.text
    again = await client.post(cancel, headers={"Idempotency-Key": f"end-{product}"})
    assert again.json() == ended.json()
    over = problem(await client.post(f"{cancel}?device={product}/press-1"), 409, "command_over")
    assert over["current"] == ended.json()
    assert (await client.get(path)).json()["items"] == [other]
    problem(await client.post("/v1/commands/c-nobody:cancel"), 404, "unknown_command")
    problem(await client.get(f"/v1/commands/c-nobody?device={product}/press-1"), 404, "unknown_command")


async def refused_life(client: AsyncClient, product: str) -> None:
    """What no device could get is refused by name, and a device has only so many commands open."""
    [device] = await inhabited(client, product, "press-1")
    path = f"{device}/commands"
    problem(await client.post(path, json={"name": "$set_ntp"}), 422, "invalid_request")
    problem(await client.post(path, json={"name": "p2p"}), 400, "reserved_name")
    problem(await client.post(path, json={"name": "a", "payload": 1, "payload_base64": "AA=="}), 422, "invalid_request")
    problem(await client.post(path, json={"name": "a", "payload_base64": "A"}), 422, "invalid_request")
    problem(await client.post(path, json={"name": "a", "payload": "x" * 65536}), 413, "payload_too_large")
    problem(await client.post(path, json={"name": "a", "ttl_s": 31 * 24 * 3600}), 400, "invalid_ttl")
    nobody = f"/v1/products/{product}/devices/nobody"
    for call in ("commands", "rpc"):
        problem(await client.post(f"{nobody}/{call}", json={"name": "a"}), 404, "unknown_device")
    problem(await client.get(f"{nobody}/commands"), 404, "unknown_device")
    for _ in range(100):
        assert (await client.post(path, json={"name": "a"})).status_code == 202
    problem(await client.post(path, json={"name": "a"}), 429, "queue_full")


async def rpc_life(client: AsyncClient, product: str) -> None:
    """A device that is offline is not waited for; that it was called is known under the request id."""
    [device] = await inhabited(client, product, "press-1")
    refused = problem(await client.post(f"{device}/rpc", json={"name": "unlock"}), 409, "device_offline")
    command = refused["current"]
    assert (command["mode"], command["state"], command["reply"]) == ("rpc", "rejected", None)
    told = (await client.get(f"/v1/commands/{command['request_id']}")).json()
    assert {**told, "steps": 0} == {**command, "steps": 0}
    problem(await client.post(f"{device}/rpc", json={"name": "unlock", "timeout_s": 31}), 422, "invalid_request")


async def fanout_life(client: AsyncClient, product: str) -> None:
    """A command reaches all devices of a tag at once, each for itself; it is counted, and cancelled at once."""
    devices = await inhabited(client, product, "a", "b", "c", tags=("red",))
    for device in devices:  # from now on the commands service knows of all of them
        told = await client.post(f"{device}/commands", json={"name": "first"})
        assert told.status_code == 202, told.text
    path = f"/v1/products/{product}/tags/red/commands"
    headers = {"Idempotency-Key": f"all-{product}"}
    begun, again = [await client.post(path, json={"name": "unlock"}, headers=headers) for _ in range(2)]
    assert begun.status_code == 202, begun.text
    fanout = begun.json()
    assert again.json() == fanout
    counts = {name: fanout[name] for name in ("members", "accepted", "queued", "refused", "rejected")}
    assert counts == {"members": 3, "accepted": 0, "queued": 3, "refused": 0, "rejected": 0}
    assert fanout["missing_partitions"] == []
    where = begun.headers["location"]
    assert where == f"/v1/fanouts/{fanout['fanout_id']}"
    progress = await client.get(where)
    assert progress.status_code == 200, progress.text
    told = progress.json()
    assert (told["product_id"], told["members"], told["queued"], told["open"]) == (product, 3, 3, 3)

    one = f"/v1/commands/{fanout['fanout_id']}"
    assert problem(await client.get(one), 422, "invalid_request")["errors"][0]["field"] == "device"
    member = (await client.get(f"{one}?device={product}/b")).json()
    assert (member["fanout_id"], member["request_id"], member["device_id"]) == (*[fanout["fanout_id"]] * 2, "b")
    cancelled = await client.post(f"{one}:cancel?device={product}/b")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled"), cancelled.text
    ended = await client.post(f"{where}:cancel")
    assert (ended.status_code, ended.json()["cancelled"]) == (200, 2), ended.text
    assert (await client.get(where)).json()["cancelled"] == 3
    assert len((await client.get(f"{devices[0]}/commands")).json()["items"]) == 1

    nobody = (await client.post(f"/v1/products/{product}/tags/blue/commands", json={"name": "unlock"})).json()
    assert (nobody["members"], nobody["fanout_id"] != fanout["fanout_id"]) == (0, True)
    problem(await client.post("/v1/products/no-such/tags/red/commands", json={"name": "a"}), 404, "unknown_product")
    problem(await client.post(path, json={"name": "a", "ttl_s": 31 * 24 * 3600}), 400, "invalid_ttl")
    problem(await client.post(path, json={"name": "p2p"}), 400, "reserved_name")
    problem(await client.get("/v1/fanouts/f-nobody"), 404, "unknown_fanout")
    problem(await client.post("/v1/fanouts/f-nobody:cancel"), 404, "unknown_fanout")


async def group_life(client: AsyncClient, product: str) -> None:
    """A call of a tag whose devices are all offline is over at once."""
    devices = await inhabited(client, product, "a", "b", tags=("red",))
    for device in devices:
        problem(await client.post(f"{device}/rpc", json={"name": "first"}), 409, "device_offline")
    path = f"/v1/products/{product}/tags/red/rpc"
    told = await client.post(path, json={"name": "unlock", "timeout_s": 30})
    assert told.status_code == 200, told.text
    counts = {name: told.json()[name] for name in ("members", "replied", "rejected", "refused", "open", "replies")}
    assert counts == {"members": 2, "replied": 0, "rejected": 2, "refused": 0, "open": 0, "replies": []}
    problem(await client.post(path, json={"name": "unlock", "wait": "share"}), 422, "invalid_request")
    problem(await client.post(path, json={"name": "unlock", "share": 0.5}), 422, "invalid_request")


async def message_life(client: AsyncClient, product: str) -> None:
    """A message for one device is taken for a topic that is nobody else's."""
    [device] = await inhabited(client, product, "press-1")
    path = f"{device}/messages"
    headers = {"Idempotency-Key": f"message-{product}"}
    body = {"topic": "recipes", "payload": {"recipe": 12}}
    first, again = [await client.post(path, json=body, headers=headers) for _ in range(2)]
    assert (first.status_code, first.json()) == (202, again.json()), first.text
    for topic in ("", "$SYS/x", "a/#", "cmd/p/d/x", "/shadow/p/d", "a/p2p/b", "1/2/3/4/5"):
        told = problem(await client.post(path, json={**body, "topic": topic}), 422, "invalid_request")
        assert told["errors"][0]["field"] == "topic"
    missing = f"/v1/products/{product}/devices/nobody/messages"
    problem(await client.post(missing, json=body), 404, "unknown_device")


TALES = (command_life, refused_life, rpc_life, fanout_life, group_life, message_life)
