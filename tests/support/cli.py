"""The command line as a script sees it: an API that answers as it is told to, and what a command printed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx
import msgspec

from cli.app import main
from cli.world import World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()

Answer: TypeAlias = "httpx.Response | Callable[[httpx.Request], httpx.Response] | dict[str, Any] | list[Any]"


class Asked(msgspec.Struct, frozen=True):
    method: str
    target: str
    body: Any
    headers: httpx.Headers


class FakeApi:
    """Answers by ``METHOD /path``; several answers are given in turn, the last one for ever."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self._answers = {call: list(given) if isinstance(given, list) else [given] for call, given in answers.items()}
        self.asked: list[Asked] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        target = request.url.raw_path.decode().removeprefix("/v1")
        body = json.loads(request.content) if request.content else None
        self.asked.append(Asked(request.method, target, body, request.headers))
        answers = self._answers.get(f"{request.method} {target.partition('?')[0]}")
        if answers is None:
            return problem(404, "unknown_path", f"{request.method} {target} is not expected here")
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if callable(answer):
            answer = answer(request)
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)


def problem(status: int, code: str, detail: str, **further: Any) -> httpx.Response:
    headers = {name: further.pop(name) for name in ("Retry-After",) if name in further}
    body = {"type": f"urn:{code}", "title": code, "status": status, "detail": detail, "code": code, **further}
    return httpx.Response(status, json=body, headers={"Content-Type": "application/problem+json", **headers})


class Ran(msgspec.Struct, frozen=True):
    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """What ``--json`` printed."""
        return [json.loads(line) for line in self.out.splitlines()]


class CommandLine:
    """Runs commands; ``environ`` may be changed before. No stack runs in its state directory."""

    def __init__(self, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.environ = {"FLEETLOG_API_URL": "http://hub.example", "FLEETLOG_API_KEY": "fl_key"}
        self.slept: list[float] = []
        self.api = FakeApi({})
        self._state, self._capsys = state, capsys

    def __call__(self, *arguments: str, api: dict[str, Any] | None = None) -> Ran:
        self.api = FakeApi(api or {})
        world = World(
            environ=self.environ,
            state=self._state,
            now=lambda: NOW,
            sleep=self.slept.append,
            zone=UTC,
            transport=httpx.MockTransport(self.api),
        )
        status = main(arguments, world)
        printed = self._capsys.readouterr()
        return Ran(status, printed.out, printed.err)
