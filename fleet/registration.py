"""The hub's registry as a platform uses it: over the HTTP API. It lets a fleet in; secrets stay in memory."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any, Self

import httpx
import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType

    from .truth import Device

PIECE = 1000
"""Devices of one request."""
AT_ONCE = 8
"""Requests under way."""
PATIENCE = 60.0
"""Seconds that the hub gets for one thing, however often it says that it is busy."""
BUSY = frozenset({429, 503})


class NotRegistered(RuntimeError):
    """The hub refused, or did not answer. There is no run then."""


class ApiAccess(msgspec.Struct, frozen=True):
    """Where the API is and how one gets in; ``api.json`` of a dev stack holds the same."""

    url: str
    key: str

    def __repr__(self) -> str:
        return f"ApiAccess({self.url!r})"


class Registry:
    """``async with Registry(access) as registry``. All calls raise `NotRegistered`."""

    def __init__(self, access: ApiAccess, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url = access.url
        self._client = httpx.AsyncClient(
            base_url=f"{access.url.rstrip('/')}/v1",
            headers={"Authorization": f"Bearer {access.key}"},
            timeout=PATIENCE,
            transport=transport,
        )
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def enlist(self, devices: Iterable[Device]) -> dict[Device, str]:
        """Register devices and their products; the secret of each. One that exists already gets a new secret."""
        names: dict[str, list[str]] = {}
        for product_id, device_id in devices:
            names.setdefault(product_id, []).append(device_id)
        await asyncio.gather(*map(self._create, names))
        pieces = [
            (product_id, found[begin : begin + PIECE])
            for product_id, found in names.items()
            for begin in range(0, len(found), PIECE)
        ]
        known: dict[Device, str] = {}
        for part in await asyncio.gather(*(self._register(*piece) for piece in pieces)):
            known |= part
        return known

    async def disable(self, device: Device) -> None:
        await self._ask("POST", f"{_path(device)}:disable")

    async def enable(self, device: Device) -> None:
        await self._ask("POST", f"{_path(device)}:enable")

    async def delete(self, device: Device) -> None:
        await self._ask("DELETE", _path(device))

    async def rotate(self, device: Device) -> str:
        """Return the new secret; the old one is refused from now on."""
        return str((await self._ask("POST", f"{_path(device)}:rotate-secret"))["secret"])

    async def _create(self, product_id: str) -> None:
        await self._ask("POST", "/products", {"product_id": product_id}, unless="product_exists")

    async def _register(self, product_id: str, names: Sequence[str]) -> dict[Device, str]:
        body = {"devices": [{"device_id": name} for name in names]}
        answer = await self._ask("POST", f"/products/{product_id}/devices:bulk", body, until=_complete)
        known: dict[Device, str] = {}
        old: list[Device] = []
        for result in answer["results"]:
            device = (product_id, result["device_id"])
            if result["outcome"] == "created":
                known[device] = result["secret"]
            elif result["outcome"] == "exists":
                old.append(device)
            else:
                raise NotRegistered(f"{product_id}/{result['device_id']} was refused: {result}")
        rotated = await asyncio.gather(*map(self.rotate, old))
        return known | dict(zip(old, rotated, strict=True))

    async def _ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        unless: str = "",
        until: Callable[[httpx.Response], bool] = lambda _: True,
    ) -> Any:
        """Ask under one idempotency key until the hub has decided, and ``until`` holds of its answer.

        ``unless``: the refusal that is as good as done.
        """
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        try:
            async with self._slots, asyncio.timeout(PATIENCE):  # who waits for a slot has not asked
                while True:
                    answer = await self._client.request(method, path, headers=headers, json=body)
                    if answer.status_code not in BUSY and (answer.is_error or until(answer)):
                        break
                    await asyncio.sleep(float(answer.headers.get("Retry-After", "1")))
        except (httpx.HTTPError, TimeoutError) as error:
            raise NotRegistered(f"the API at {self._url} does not answer: {type(error).__name__} {error}") from error
        return _settled(answer, unless)


def _settled(answer: httpx.Response, unless: str) -> Any:
    if answer.is_success:
        return answer.json() if answer.content else None
    problem = _problem(answer)
    if unless and problem.get("code") == unless:
        return None
    told = f"{problem.get('code', '')}: {problem.get('detail', '')}"
    raise NotRegistered(f"{answer.request.method} {answer.request.url.path} was answered {answer.status_code} {told}")


def _complete(answer: httpx.Response) -> bool:
    return not answer.json()["unanswered"]


def _path(device: Device) -> str:
    product_id, device_id = device
    return f"/products/{product_id}/devices/{device_id}"


def _problem(answer: httpx.Response) -> dict[str, Any]:
    try:
        return msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.DecodeError:
        return {"detail": answer.text[:200]}
