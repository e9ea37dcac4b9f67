"""Registering the devices of a file: read it, send it in pieces, keep the secrets."""

from __future__ import annotations

import csv
import os
import secrets
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .exits import Exit, Failure, usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import TextIO

    from .api import Api
    from .output import Output
    from .world import Session

PIECE = 1000
"""Devices of one request; the API takes ten times as many, but then nobody sees that it goes on."""
ATTEMPTS = 6
"""How often a piece is sent while nobody answers."""
WAIT = 5.0
"""Seconds between two attempts, where the answer does not say how long."""
OUTCOMES = ("created", "exists", "refused", "unanswered")


class Given(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One device of a file."""

    device_id: str
    tags: tuple[str, ...] = ()
    attributes: dict[str, Any] = {}


class Written(Protocol):
    """Where results go."""

    def add(self, results: Sequence[Mapping[str, Any]]) -> None: ...


def beside(file: Path) -> Path:
    """``presses.csv`` has its secrets in ``presses.secrets.csv``."""
    return file.with_suffix(f".secrets{file.suffix}")


def read(file: Path) -> list[Given]:
    """Read a CSV or JSON lines file. Raises `Failure` with the number of a line that does not fit."""
    try:
        devices = list(_csv(file) if file.suffix.lower() == ".csv" else _json_lines(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise usage(f"{file} cannot be read: {error}", "save it as CSV or JSON lines in UTF-8") from error
    if not devices:
        raise usage(f"{file} names no device")
    seen = set[str]()
    for device in devices:
        if device.device_id in seen:
            raise usage(f"{file} names {device.device_id} twice")
        seen.add(device.device_id)
    return devices


def register(
    session: Session, api: Api, product_id: str, devices: Sequence[Given], *, results: Path, run: str | None
) -> None:
    """Send all pieces; raises `Failure` where one gets no answer, or a device is refused."""
    name = run or secrets.token_hex(6)
    counts = dict.fromkeys(OUTCOMES, 0)
    with _writing(results) as written, _progress(len(devices), session.out) as progress:
        session.out.note(f"This is run {name}. Where it breaks off, {_again(name)}")  # also where it is killed
        for begin in range(0, len(devices), PIECE):
            piece = devices[begin : begin + PIECE]
            send = _Sending(f"/products/{product_id}/devices:bulk", f"{name}-{begin}", session.world.sleep)
            try:
                answers = send(api, piece)
            except Failure as failure:
                failure.advice = _again(name)
                raise
            written.add(answers)
            for answer in answers:
                counts[answer["outcome"]] += 1
            progress(len(piece))
    told = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items() if count)
    session.out.done(f"{told}; secrets are in {results}", {**counts, "results": str(results), "run": name})
    _judge(counts, results, name)


def _judge(counts: Mapping[str, int], results: Path, run: str) -> None:
    """Raise `Failure` where not every device is registered."""
    if counts["unanswered"]:
        raise Failure(
            Exit.UNAVAILABLE,
            f"{counts['unanswered']:,} devices got no answer",
            code="devices_unanswered",
            advice=_again(run),
        )
    if counts["refused"]:
        raise Failure(
            Exit.FAILED,
            f"{counts['refused']:,} of {sum(counts.values()):,} devices were refused",
            code="devices_refused",
            advice=f"{results} says why for each; correct them and run it again",
        )


def _again(run: str) -> str:
    return f"go on with `--run {run}` and another results file: nothing is done twice"


class _Sending(msgspec.Struct, frozen=True):
    """Sends a piece, and again under the same key while there is no answer for all of it."""

    path: str
    key: str
    sleep: Callable[[float], None]

    def __call__(self, api: Api, piece: Sequence[Given]) -> list[dict[str, Any]]:
        """Return what became of each device, ``unanswered`` included where the last answer has some."""
        body = {"devices": [msgspec.to_builtins(device) for device in piece]}
        results: list[dict[str, Any]] = []
        for attempt in range(1, ATTEMPTS + 1):
            wait = WAIT
            try:
                results = api.send("POST", self.path, body, idempotency=self.key)["results"]
            except Failure as failure:
                if failure.status is not Exit.UNAVAILABLE or (attempt == ATTEMPTS and not results):
                    raise
                wait = _wait(failure)
            if results and not any(result["outcome"] == "unanswered" for result in results):
                break
            if attempt < ATTEMPTS:
                self.sleep(wait)
        return results


def _wait(failure: Failure) -> float:
    told = failure.further.get("retry_after_s")
    return float(told) if isinstance(told, int) else WAIT


def _csv(file: Path) -> Iterator[Given]:
    with file.open(newline="", encoding="utf-8-sig") as lines:  # spreadsheets begin with a byte order mark
        rows = csv.DictReader(lines)
        if "device_id" not in (rows.fieldnames or ()):
            raise usage(f"{file} has no column device_id", "begin with a line of column names")
        for row in rows:
            if None in row or None in row.values():
                raise usage(f"{file}, line {rows.line_num}: not as many fields as columns")
            device_id, tags = row.pop("device_id"), row.pop("tags", "")
            yield Given(device_id, tuple(tags.split()), {name: text for name, text in row.items() if text})


def _json_lines(file: Path) -> Iterator[Given]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                yield msgspec.json.decode(line, type=Given)
            except msgspec.DecodeError as error:
                raise usage(f"{file}, line {number}: {error}") from error


class _JsonLines:
    def __init__(self, file: TextIO) -> None:
        self._file = file

    def add(self, results: Sequence[Mapping[str, Any]]) -> None:
        self._file.writelines(msgspec.json.encode(result).decode() + "\n" for result in results)
        self._file.flush()


class _Csv:
    COLUMNS = ("device_id", "outcome", "username", "secret", "code", "detail")

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._rows = csv.DictWriter(file, self.COLUMNS, extrasaction="ignore", lineterminator="\n")
        self._rows.writeheader()

    def add(self, results: Sequence[Mapping[str, Any]]) -> None:
        self._rows.writerows({**result, **(result.get("mqtt") or {})} for result in results)
        self._file.flush()


@contextmanager
def _writing(file: Path) -> Iterator[Written]:
    """Make the file, for its owner alone from its first moment. Raises `Failure` where it exists."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise usage(f"{file} exists: secrets in it would be lost", "name another one with --results") from None
    except OSError as error:
        raise usage(f"{file} cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as lines:
        yield _Csv(lines) if file.suffix.lower() == ".csv" else _JsonLines(lines)


@contextmanager
def _progress(total: int, out: Output) -> Iterator[Any]:
    """Show on a terminal how far it is; yields what is called with each number of devices that are done."""
    console = Console(stderr=True)
    if out.json or not console.is_terminal:
        yield lambda _done: None
        return
    columns = (TextColumn("registering"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task("registering", total=total)
        yield lambda done: shown.advance(task, done)
