"""HTTP in front of ClickHouse that can be told to fail the inserts that come through it."""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import parse_qs, urlsplit

import msgspec

from devstack.ports import HOST, free_port

if TYPE_CHECKING:
    from types import TracebackType

Kind = Literal["none", "slow", "away", "refuses", "mute"]
HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive"})


class Fault(msgspec.Struct, frozen=True):
    """What happens to an insert: ``slow`` (passed on after ``seconds``), ``away`` (connection closed), ``refuses``
    (ClickHouse's error ``code`` and ``name``), ``mute`` (stored, but the answer is lost)."""

    kind: Kind
    seconds: float = 0.0
    code: int = 0
    name: str = ""


HEALTHY = Fault("none")


class FaultyProxy:
    """Passes requests on to ``upstream``; `fail` and `heal` take effect at once, for waiting requests too."""

    def __init__(self, upstream: str) -> None:
        address = urlsplit(upstream)
        self.upstream = (address.hostname or HOST, address.port or 8123)
        self.failed = 0
        """Inserts that failed or were slow since `fail`."""
        self._faults: tuple[Fault, ...] = ()
        self.healed = threading.Event()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="faulty-proxy")
        self.url = f"http://{HOST}:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.heal()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fail(self, *faults: Fault) -> None:
        """From now on inserts meet these faults, one after the other and from the first again."""
        self.healed.clear()
        self.failed = 0
        self._faults = faults

    def heal(self) -> None:
        self._faults = ()
        self.healed.set()

    def next_fault(self) -> Fault:
        faults = self._faults
        if not faults:
            return HEALTHY
        self.failed += 1
        return faults[(self.failed - 1) % len(faults)]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: FaultyProxy) -> None:
        super().__init__((HOST, free_port()), _Handler)
        self.proxy = proxy


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by http.server
        """Say nothing: the sink's log says what it met."""

    def _pass_on(self) -> None:
        body = self._body()
        fault = self.server.proxy.next_fault() if self._inserts() else HEALTHY
        if fault.kind == "away":
            self.close_connection = True
        elif fault.kind == "refuses":
            text = f"Code: {fault.code}. DB::Exception: {fault.name}. ({fault.name})\n".encode()
            self._answer(500, {"X-ClickHouse-Exception-Code": str(fault.code)}, text)
        else:
            if fault.kind == "slow":
                self.server.proxy.healed.wait(fault.seconds)
            answer = self._ask(body)
            if fault.kind == "mute":
                self.close_connection = True
            else:
                self._answer(*answer)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _inserts(self) -> bool:
        """By the setting that every insert of ours has; the statement itself is in the compressed body."""
        return "insert_deduplication_token" in parse_qs(urlsplit(self.path).query)

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(*self.server.proxy.upstream, timeout=60)
        try:
            headers = {name: text for name, text in self.headers.items() if name.lower() not in HOP_BY_HOP}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            answered = {name: text for name, text in answer.getheaders() if name.lower() not in HOP_BY_HOP}
            return answer.status, answered, answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
