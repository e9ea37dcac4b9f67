"""How a command ends: exit statuses that scripts can rely on, and failures as people read them."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from . import times


class Exit(IntEnum):
    """What the exit status of ``fleetlog`` means."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4
    UNAVAILABLE = 5
    INTERRUPTED = 130


MEANINGS = {
    Exit.OK: "done",
    Exit.FAILED: "failed or refused; `topics diff`, `migrate --check`, `shadow verify`: there is something",
    Exit.USAGE: "the command line, a file or a setting is wrong",
    Exit.NOT_FOUND: "what was named does not exist",
    Exit.CONFLICT: "it exists already, or is at another version",
    Exit.UNAVAILABLE: "no answer, or too much was asked: try again",
    Exit.INTERRUPTED: "ended by Ctrl-C",
}

_BY_HTTP = {404: Exit.NOT_FOUND, 409: Exit.CONFLICT, 412: Exit.CONFLICT}
_BY_HTTP |= dict.fromkeys((408, 429, 502, 503, 504), Exit.UNAVAILABLE)
_BY_CODE = {"device_offline": Exit.UNAVAILABLE}


class Failure(Exception):
    """A command cannot do what it was asked to do."""

    def __init__(
        self, status: Exit, sentence: str, *, code: str, advice: str = "", further: dict[str, Any] | None = None
    ) -> None:
        """``code``: stable, in snake_case. ``further``: what else is known, such as the current document."""
        super().__init__(sentence)
        self.status, self.sentence, self.code, self.advice = status, sentence, code, advice
        self.further = further or {}

    def document(self) -> dict[str, Any]:
        """Return it as scripts read it, with moments in RFC 3339 as everywhere."""
        told = {"error": self.sentence, "code": self.code, "advice": self.advice}
        return {**told, **{name: times.for_scripts(value) for name, value in self.further.items()}}

    def lines(self) -> list[str]:
        """One block: the sentence, the code, and what to do."""
        facts = {"code": self.code, **self.further, "advice": self.advice}
        shown = {name: value for name, value in facts.items() if isinstance(value, str | int) and value != ""}
        width = max(map(len, shown))
        faults = [f"{fault['field']}: {fault['detail']}" for fault in self.further.get("errors", ())]
        further = [f"  {fault}" for fault in faults if fault != self.sentence]
        return [f"error: {self.sentence}", *further, *(f"  {name:<{width}}  {value}" for name, value in shown.items())]


def usage(sentence: str, advice: str = "") -> Failure:
    return Failure(Exit.USAGE, sentence, code="usage", advice=advice)


def of_http(status: int, code: str) -> Exit:
    """Which exit status a problem of the API has; ``code``: where it says more than its HTTP status."""
    return _BY_CODE.get(code) or _BY_HTTP.get(status, Exit.FAILED)
