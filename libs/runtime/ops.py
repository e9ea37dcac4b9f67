"""The ops server: health and metrics of a process over HTTP, on threads of its own.

| path | answer |
|---|---|
| ``/health/live`` | 200, or 503 when the process should be restarted |
| ``/health/ready`` | 200, or 503 while it cannot work yet |
| ``/metrics`` | Prometheus' text format |

A stuck event loop cannot delay an answer, and a bad request cannot hurt the process: whatever a handler raises ends
that connection only and is logged.
"""

from __future__ import annotations

import logging
import socket
import socketserver
import sys
import threading
from http import HTTPStatus
from typing import IO, TYPE_CHECKING, Any, cast
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer

import msgspec
from prometheus_client import make_wsgi_app

from .health import Check, Verdict
from .metrics import registry

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from .settings import OpsSettings

log = logging.getLogger(__name__)

REQUEST_SECONDS = 5.0
"""How long a client may take to say what it wants."""
MAX_LINE = 65536
"""Bytes of a request line."""


def application(live: Check, ready: Check) -> WSGIApplication:
    """Compose the three routes into one WSGI application."""
    routes: dict[str, WSGIApplication] = {
        "/health/live": _health(live, "not live"),
        "/health/ready": _health(ready, "not ready"),
        "/metrics": make_wsgi_app(registry),
    }

    def route(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "GET":
            return _answer(start, "405 Method Not Allowed", {"reason": "only GET"}, ("Allow", "GET"))
        found = routes.get(environ["PATH_INFO"])
        if found is None:
            return _answer(start, "404 Not Found", {"reason": "paths: " + " ".join(routes)})
        return found(environ, start)

    return route


class Ops:
    """Serves `application` from `start` to `stop`."""

    def __init__(self, settings: OpsSettings, live: Check, ready: Check) -> None:
        self.settings = settings
        self._application = application(live, ready)
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that is bound. Raises RuntimeError before `start`."""
        if self._server is None:
            raise RuntimeError("the ops server is not started")
        return self._server.server_port

    def start(self) -> None:
        """Bind and serve. Raises OSError when the address is taken or not ours."""
        server = _Server((self.settings.host, self.settings.port), self._application)
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="ops", daemon=True)
        self._thread.start()
        log.info("ops server listens", extra={"host": self.settings.host, "port": self.port})

    def stop(self) -> None:
        """Stop accepting and wait for the accepting thread; answers under way are not waited for."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server = self._thread = None


def _health(check: Check, otherwise: str) -> WSGIApplication:
    def answer(_environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        found = check()
        verdict = found if isinstance(found, Verdict) else Verdict(found, "" if found else otherwise)
        return _answer(start, "200 OK" if verdict.ok else "503 Service Unavailable", verdict)

    return answer


def _answer(start: StartResponse, status: str, body: Any, *headers: tuple[str, str]) -> Iterable[bytes]:
    encoded = msgspec.json.encode(body)
    start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(encoded))), *headers])
    return [encoded]


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], answer: WSGIApplication) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.answer = answer
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own asks DNS for the host's full name, which can hold up a start for seconds.
        socketserver.TCPServer.server_bind(self)
        self.server_name = self.server_address[0]  # type: ignore[assignment]  # text for both address families
        self.server_port = self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class's signature
        log.warning("ops request failed", exc_info=sys.exception(), extra={"client": str(client_address)})


class _Response(ServerHandler):
    """Tells the log what a route raised, instead of standard error; the client gets a 500."""

    request_handler: WSGIRequestHandler
    """The base class logs each request through it."""

    def log_exception(self, exc_info: Any) -> None:
        log.error("ops answer failed", exc_info=exc_info)


class _Handler(WSGIRequestHandler):
    timeout = REQUEST_SECONDS

    def handle(self) -> None:
        """One request, as the base class handles it, answered by `_Response`."""
        self.raw_requestline = self.rfile.readline(MAX_LINE + 1)
        if len(self.raw_requestline) > MAX_LINE:
            self.requestline = self.request_version = self.command = ""
            self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG)
        elif self.parse_request():  # where it is not a request, the error is already sent
            streams = cast("tuple[IO[bytes], IO[bytes]]", (self.rfile, self.wfile))
            response = _Response(*streams, self.get_stderr(), self.get_environ())
            response.request_handler = self
            response.run(cast("_Server", self.server).answer)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        log.debug(format, *args)
