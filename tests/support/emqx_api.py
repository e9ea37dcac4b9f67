"""EMQX's REST interface in memory: nodes; clients by node and range of connects, by user name, by cursor; kicks.

It answers as the broker's source does: a page holds at most ``limit`` rows, ``hasnext`` tells that there are more, a
node that does not run is an error 500, and rows come in no order that means anything.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from aiohttp import encode_basic_auth, web

from devstack.ports import HOST, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

KEY, SECRET = "hub", "correct horse"
ZONE = timezone(timedelta(hours=8))


def client(number: int, at: int, node: str = "emqx@a", **fields: Any) -> dict[str, Any]:
    """A row as the interface has it, of device ``p/d{number}``, connected ``at`` (ms)."""
    moment = datetime.fromtimestamp(at // 1000, ZONE) + timedelta(milliseconds=at % 1000)
    return {
        "clientid": f"c{number}",
        "username": f"p/d{number}",
        "node": node,
        "connected": True,
        "connected_at": moment.isoformat(timespec="milliseconds"),
        "created_at": moment.isoformat(timespec="milliseconds"),
        "ip_address": "192.0.2.7",
        "port": 40_000 + number % 20_000,
        "proto_name": "MQTT",
        "proto_ver": 5,
        "keepalive": 60,
        "clean_start": True,
        "expiry_interval": 0,
        "is_bridge": False,
        "mountpoint": None,
        "listener": "tcp:default",
        "subscriptions_max": "infinity",
        "heap_size": 610,
    } | fields


class EmqxApi:
    """``answer``: in the place of the next answers, by path; a test sets it to break them."""

    def __init__(self) -> None:
        self.clients: list[dict[str, Any]] = []
        self.nodes = {"emqx@a": 60_000}
        self.largest = 10_000
        self.asked: list[dict[str, str]] = []
        self.answer: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {}
        self.kicked: list[str] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path in self.answer:
            return await self.answer[request.path](request)
        if request.headers.get("Authorization") != encode_basic_auth(KEY, SECRET):
            return web.json_response({"code": "BAD_API_KEY_OR_SECRET", "message": "Check api_key"}, status=401)
        if request.path == "/api/v5/nodes":
            return web.json_response([self._node(name) for name in (*self.nodes, "emqx@b")])
        if request.method == "DELETE":
            return self._kick(request.match_info["path"].removeprefix("api/v5/clients/"))
        return self._list(request)

    def _list(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.query))
        if request.path == "/api/v5/clients_v2":
            return self._by_cursor(int(request.query.get("cursor", "0")), int(request.query["limit"]))
        if "username" in request.query:
            return self._of(request.query["username"])
        return self._clients(request.query["node"], dict(request.query))

    def _node(self, name: str) -> dict[str, Any]:
        if name not in self.nodes:
            return {"node": name, "node_status": "stopped"}
        return {"node": name, "node_status": "running", "uptime": self.nodes[name], "version": "5.8.6"}

    def _clients(self, node: str, query: dict[str, str]) -> web.Response:
        limit, low, high = (int(query[name]) for name in ("limit", "gte_connected_at", "lte_connected_at"))
        if limit > self.largest or query["page"] != "1":
            return web.json_response({"code": "INVALID_PARAMETER", "message": "page_limit_invalid"}, status=400)
        if node not in self.nodes:
            return web.json_response({"code": "NODE_DOWN", "message": "badrpc"}, status=500)
        found = [
            row
            for row in self.clients
            if row["node"] == node and row["connected"] and low <= moment(row["connected_at"]) <= high
        ]
        meta = {"page": 1, "limit": limit, "count": len(found), "hasnext": len(found) > limit}
        return web.json_response({"data": found[:limit], "meta": meta})

    def _of(self, username: str) -> web.Response:
        found = [row for row in self.clients if row["username"] == username]
        meta = {"page": 1, "limit": 1000, "count": len(found), "hasnext": False}
        return web.json_response({"data": found, "meta": meta})

    def _by_cursor(self, begin: int, limit: int) -> web.Response:
        end = begin + limit
        more = {"cursor": str(end), "hasnext": True} if end < len(self.clients) else {"hasnext": False}
        return web.json_response({"data": self.clients[begin:end], "meta": {"count": limit, **more}})

    def _kick(self, client_id: str) -> web.Response:
        gone = [row for row in self.clients if row["clientid"] == client_id]
        if not gone:
            return web.json_response({"code": "CLIENTID_NOT_FOUND", "message": "Client ID not found"}, status=404)
        self.kicked.append(client_id)
        self.clients = [row for row in self.clients if row not in gone]
        return web.Response(status=204)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[EmqxApi]:
        application = web.Application()
        application.router.add_get("/{path:.*}", self.handle)
        application.router.add_delete("/{path:.*}", self.handle)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        try:
            port = free_port()
            await web.TCPSite(runner, HOST, port).start()
            self.url = f"http://{HOST}:{port}"
            yield self
        finally:
            await runner.cleanup()


def moment(text: str) -> int:
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
