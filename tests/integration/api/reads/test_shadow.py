"""A shadow over HTTP, with its device: waited for, followed as it happens, and any version of it asked for."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from libs.topics import names
from libs.topics.codec import encode
from libs.topics.messages.shadow import ShadowReported
from tests.integration.api.reads.test_reads import body, now, registered
from tests.integration.api.reads.test_stream import Listener
from tests.support.polling import eventually
from tests.support.records import produce
from tests.support.shadow_log import ShadowLog

if TYPE_CHECKING:
    import httpx

    from devstack.stack import Stack

VERSIONS = 70
"""More than two checkpoints."""


def report(stack: Stack, product: str, device: str, reported: dict[str, Any]) -> None:
    """Let a device report, in the native form."""
    at = now()
    payload = msgspec.Raw(msgspec.json.encode({"state": {"reported": reported}}))
    said = ShadowReported(product, device, f"m{at}", 1, "json", payload, at)
    produce(stack.kafka, names.SHADOW_INBOX, [(f"{product}/{device}".encode(), encode(said))])


def in_the_past(client: httpx.Client, path: str, **query: Any) -> Any:
    """Ask until it is stored: nothing else may be said meanwhile."""

    def told() -> Any:
        answer = client.get(path, params=query)
        if answer.status_code == 503:
            assert answer.json()["code"] == "version_not_stored_yet", answer.text
            return None
        assert answer.status_code == 200, answer.text
        return answer.json()

    return eventually(told, 60, describe=f"{query} stored")


def paged(client: httpx.Client, path: str, limit: int) -> list[int]:
    """List the versions of a history, so many on each page."""
    page = body(client, path, limit=limit)
    versions = [one["version"] for one in page["items"]]
    while page["next_cursor"] is not None:
        page = body(client, path, limit=limit, cursor=page["next_cursor"])
        versions += [one["version"] for one in page["items"]]
    return versions


def test_a_change_waits_for_the_device_and_is_followed_as_it_happens(stack: Stack, client: httpx.Client) -> None:
    product = registered(client, "d1")
    device = f"/v1/products/{product}/devices/d1"
    listener = Listener(client, product, "shadow_changed,status_changed")
    following = threading.Thread(target=listener.listen, kwargs={"until": 2})
    following.start()
    eventually(lambda: listener.last, describe="the stream has begun")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.patch, f"{device}/shadow", json={"n": {"x": 1}}, params={"wait": "30s"})
        eventually(lambda: body(client, f"{device}/shadow")["version"] == 1, describe="the change is made")
        assert not waiting.done()
        report(stack, product, "d1", {"n": {"x": 1}, "y": 2})
        answer = waiting.result(60)
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert (shown["version"], shown["delta"], shown["state"]["reported"]) == (2, {}, {"n": {"x": 1}, "y": 2})
    assert answer.headers["etag"] == '"2"'
    following.join(60)
    assert [(event.name, event.data["version"]) for event in listener.events] == [
        ("shadow_changed", 1),
        ("shadow_changed", 2),
    ]
    late = client.patch(f"{device}/shadow", json={"n": {"x": 3}}, params={"wait": "1s"})
    assert (late.status_code, late.json()["version"], late.json()["delta"]) == (202, 3, {"n": {"x": 3}})
    so_already = client.patch(f"{device}/shadow", json={"y": 2}, params={"wait": "30s"})
    assert (so_already.status_code, so_already.json()["version"]) == (200, 4)


def test_any_version_is_as_it_was_also_when_the_device_is_gone(stack: Stack, client: httpx.Client) -> None:
    product = registered(client, "d1")
    device = f"/v1/products/{product}/devices/d1"
    made = [client.patch(f"{device}/shadow", json={"n": n, f"k{n % 3}": n}).json() for n in range(1, VERSIONS + 1)]
    for version in (1, 31, 32, 33, 64, VERSIONS - 1, VERSIONS):
        told = in_the_past(client, f"{device}/shadow", version=version)
        assert told == made[version - 1]
        newest = [one for one in made if one["updated_at"] <= told["updated_at"]][-1]
        assert in_the_past(client, f"{device}/shadow", at=told["updated_at"]) == newest
    assert client.get(f"{device}/shadow", params={"version": VERSIONS + 1}).json()["code"] == "unknown_version"
    compared = body(client, f"{device}/shadow/diff", **{"from": 1, "to": 3})
    assert compared["desired"] == [
        {"path": "/k0", "new": 3},
        {"path": "/k2", "new": 2},
        {"path": "/n", "old": 1, "new": 3},
    ]
    refused = client.patch(f"{device}/shadow", json={"n": 0}, headers={"If-Match": '"1"'})
    assert refused.status_code == 409

    def history() -> list[dict[str, Any]] | None:
        first = body(client, f"{device}/shadow/history", limit=50)
        second = body(client, f"{device}/shadow/history", limit=50, cursor=first["next_cursor"])
        items = [*first["items"], *second["items"]]
        return items if len(items) == VERSIONS + 1 and second["next_cursor"] is None else None

    items = eventually(history, describe="all of it stored")
    assert items is not None
    assert (items[0]["type"], items[0]["code"]) == ("shadow_change_refused", "version_conflict")
    assert [one["version"] for one in items[1:]] == list(range(VERSIONS, 0, -1))

    assert client.delete(device).status_code == 204
    gone = f"version {VERSIONS + 1}"
    eventually(
        lambda: gone in client.get(f"{device}/shadow", params={"at": now()}).json().get("detail", ""),
        describe="the end of the shadow is stored",
    )
    assert in_the_past(client, f"{device}/shadow", version=VERSIONS) == made[-1]


def test_lives_and_repetitions_are_told_apart(stack: Stack, client: httpx.Client) -> None:
    """As a service that crashed, and a device that was deleted and registered anew, leave them in the log."""
    product, at = registered(client), now() - 200_000
    path = f"/v1/products/{product}/devices/ghost/shadow"
    first, second = ShadowLog(product, "ghost", at), ShadowLog(product, "ghost", at + 100_000)
    for log, begin in ((first, at), (second, at + 100_000)):
        for n in range(1, 41):
            log.desire(begin + n * 1000, {"n": n, "life": begin})
        log.delete(begin + 41_000, via="registry")
    later = [replace(event, id=f"later-{event.id}") for event in second.events]
    events = [*first.events, *first.events[-3:], *later[:20], *later[5:]]
    produce(stack.kafka, names.SHADOW_EVENTS, [(first.key, encode(event)) for event in events])

    def history() -> list[int] | None:
        versions = [one["version"] for one in body(client, f"{path}/history", limit=1000)["items"]]
        return versions if len(versions) == 82 else None

    versions = eventually(history, 60, describe="both lives stored")
    assert versions is not None
    assert sorted(versions) == sorted([*range(1, 42)] * 2)
    assert paged(client, f"{path}/history", 5) == versions, "of what is repeated, nothing comes on two pages"
    known = body(client, path, version=40)
    assert known["state"]["desired"] == {"n": 40, "life": at + 100_000}
    assert body(client, path, version=3)["state"]["desired"] == {"n": 3, "life": at + 100_000}
    assert body(client, path, at=at + 3500)["state"]["desired"] == {"n": 3, "life": at}
    assert body(client, path, at=at + 133_000)["state"]["desired"] == {"n": 33, "life": at + 100_000}
    for moment, code in ((at, "unknown_device"), (at + 50_000, "unknown_version"), (at + 150_000, "unknown_version")):
        answer = client.get(path, params={"at": moment})
        assert (answer.status_code, answer.json()["code"]) == (404, code)


def test_a_patch_by_tag_is_followed_until_its_devices_are_so(stack: Stack, client: httpx.Client) -> None:
    product = registered(client)
    for device in ("d1", "d2", "d3"):
        made = client.post(f"/v1/products/{product}/devices", json={"device_id": device, "tags": ["red"]})
        assert made.status_code == 201
        assert body(client, f"/v1/products/{product}/devices/{device}/shadow")["version"] == 0
    patch = client.post(f"/v1/products/{product}/tags/red/shadow", json={"on": True}).json()
    assert (patch["matched"], patch["changed"]) == (3, 3)
    report(stack, product, "d2", {"on": True})
    path = f"/v1/products/{product}/shadow-patches/{patch['patch_id']}"

    def progress() -> dict[str, Any] | None:
        answer = client.get(path)
        assert answer.status_code in (200, 404), answer.text
        told: dict[str, Any] = answer.json()
        return told if told.get("converged") == 1 else None

    told = eventually(progress, 60, describe="one of three has converged")
    assert told is not None
    assert (told["matched"], told["changed"], told["refused"], told["tag"]) == (3, 3, 0, "red")
    assert told["partitions"] == patch["partitions"]
