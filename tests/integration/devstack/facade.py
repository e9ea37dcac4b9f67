"""The embedded ClickHouse in a process of its own, and plain HTTP to talk to it."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Self
from urllib.parse import quote_plus, urlencode

import msgspec

from devstack.clickhouse import program
from devstack.ports import HOST, free_port
from devstack.supervisor import Supervisor
from tests.support import clickhouse
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from clickhouse_connect.driver.client import Client


class Answer(msgspec.Struct, frozen=True):
    status: int
    code: str
    """ClickHouse's error number, "" where there is no error."""
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Facade:
    """Starts the server on a path; `restart` and `crash` end it in two ways and start it on the same path."""

    def __init__(self, directory: Path, *options: str, password: str = "") -> None:
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self._directory = directory
        plain = program.program(directory / "data", self.port, directory / "clickhouse.log")
        self._program = msgspec.structs.replace(
            plain,
            command=(*plain.command, *options),
            environment={**plain.environment, "CLICKHOUSE_PASSWORD": password},
        )
        self.supervisor = Supervisor(directory, print)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.supervisor.close()

    def start(self) -> None:
        self.supervisor.start(self._program)
        eventually(lambda: program.answers(self.url), describe="the server listens")

    def stop(self) -> None:
        self.supervisor.stop("clickhouse")

    def restart(self) -> None:
        self.stop()
        self.start()

    def log(self) -> str:
        return self._program.log.read_text()

    def client(self) -> Client:
        return clickhouse.client(self.url)

    def send(self, method: str, body: bytes | str, headers: Mapping[str, str], query: Mapping[str, str]) -> Answer:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        data = body.encode() if isinstance(body, str) else body
        try:
            connection.request(method, f"/?{urlencode(query, quote_via=quote_plus)}", data, dict(headers))
            response = connection.getresponse()
            code = response.headers.get("X-ClickHouse-Exception-Code", "")
            return Answer(response.status, code, dict(response.headers), response.read())
        finally:
            connection.close()

    def post(self, body: bytes | str = b"", *, headers: Mapping[str, str] | None = None, **query: str) -> Answer:
        """Every other argument is a query parameter."""
        return self.send("POST", body, headers or {}, query)

    def get(self, sql: str, **query: str) -> Answer:
        return self.send("GET", b"", {}, {"query": sql, **query})
