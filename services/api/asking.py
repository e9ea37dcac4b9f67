"""Requests to the owners of rows, in the name of the caller."""

from __future__ import annotations

from secrets import token_bytes
from typing import TYPE_CHECKING, Any

from litestar import Request as HttpRequest
from litestar.di import NamedDependency

from .access import Caller
from .hub import Hub
from .idempotency import credential_id, idempotency_of

if TYPE_CHECKING:
    from libs.topics.messages.base import Idempotency, Request
    from libs.topics.messages.hub import RequestAnswered


class Asker:
    """One HTTP request's way to the inboxes. A dependency: ``asker``."""

    def __init__(self, hub: Hub, caller: Caller, idempotency: Idempotency | None) -> None:
        self.hub, self.caller, self.idempotency = hub, caller, idempotency

    def stamp(self) -> dict[str, Any]:
        """Fields that every request to a lane has: ``DisableDevice(p, d, None, **asker.stamp())``."""
        return {
            "requested_by": self.caller.name,
            "requested_at": self.hub.clock(),
            "idempotency": self.idempotency,
        }

    def credential_id(self, owner: str) -> str:
        """Name the secret that this request makes for ``owner``: see `idempotency.credential_id`."""
        return credential_id(self.idempotency, owner, token_bytes(16))

    def device_id(self, product_id: str, place: int = 0) -> str:
        """Choose an id for a device that was given none: the same one where the request is a repetition.

        ``place``: of the device among those of the request.
        """
        return "d-" + self.credential_id(f"device-id/{product_id}/{place}")

    def patch_id(self, product_id: str, tag: str) -> str:
        """Name a patch by tag: the same one where the request is a repetition.

        Nobody remembers keys of patches, so another request under the same key is a patch of its own: rows that the
        first one has visited must not take it for that one.
        """
        asked = "" if self.idempotency is None else self.idempotency.fingerprint
        return self.credential_id(f"patch/{product_id}/{tag}/{asked}")

    def request_id(self, kind: str, receiver: str) -> str:
        """Name what this request makes for a device or a tag: ``kind``-…; the same name where it is a repetition.

        Another request under the same key makes another name: nobody may remember the key any more.
        """
        asked = "" if self.idempotency is None else self.idempotency.fingerprint
        return f"{kind}-" + self.credential_id(f"{kind}/{receiver}/{asked}")

    async def ask(self, inbox: str, key: bytes, request: Request, seconds: float | None = None) -> RequestAnswered:
        """Raises `Refused`, `NoAnswer`, `NotAsked`: all of them are problems that callers are told as they are.

        ``seconds``: that the owner gets; None: as the settings say.
        """
        limit = self.hub.settings.answer_s if seconds is None else seconds
        return await self.hub.requests.ask(inbox, key, request, limit)


async def asker_of(
    request: HttpRequest[Any, Any, Any], hub: NamedDependency[Hub], caller: NamedDependency[Caller]
) -> Asker:
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    header = request.headers.get("idempotency-key")
    body = await request.body() if header is not None else b""
    return Asker(hub, caller, idempotency_of(caller.key_id, header, request.method, target, body))
