"""An HTTP server of one artifact, for downloads; it breaks off where it is told to."""

from __future__ import annotations

import hashlib
import http.server
import threading
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

from devstack.ports import HOST, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTENT = bytes(range(256)) * 1200
SHA256, MD5 = hashlib.sha256(CONTENT).hexdigest(), hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `CONTENT`; breaks off after ``breaks[n]`` bytes of the n-th answer."""

    breaks: list[int]
    ranges: bool
    asked: list[str | None]

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.asked.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.ranges else 0
        self.send_response(HTTPStatus.PARTIAL_CONTENT if start else HTTPStatus.OK)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        end = start + self.breaks.pop(0) if self.breaks else len(CONTENT)
        self.wfile.write(CONTENT[start:end])

    def log_message(self, *_: object) -> None:
        """Not to the tests' output."""


@contextmanager
def served(*breaks: int, ranges: bool = True) -> Iterator[tuple[str, type[Server]]]:
    kind = type("ThisServer", (Server,), {"breaks": list(breaks), "ranges": ranges, "asked": []})
    with http.server.ThreadingHTTPServer((HOST, free_port()), kind) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield f"http://{HOST}:{server.server_port}/a.bin", kind
        finally:
            server.shutdown()
            serving.join()
