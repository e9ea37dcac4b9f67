"""What a command prints: for people, or with ``--json`` one document or one line per item. Messages go to stderr."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from . import times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import tzinfo

WIDE = 1_000
"""Columns where nobody looks: a line of a pipe or a file is never broken."""


class Output:
    """``zone``: of times for people; None: the machine's."""

    def __init__(self, *, json: bool, zone: tzinfo | None = None) -> None:
        self.json, self._zone = json, zone
        terminal = sys.stdout.isatty()
        self._console = Console(highlight=False, width=None if terminal else WIDE, emoji=False)

    def document(self, document: Mapping[str, Any]) -> None:
        """Print one document, whatever is in it."""
        if self.json:
            self._write(document)
            return
        for name, value in _flat(document, self._zone):
            line = Text(name, style="dim")
            if value is not None:
                line.append(value, style="not dim")
            self._console.print(line, soft_wrap=True)

    def items(self, items: Iterable[Mapping[str, Any]], columns: Mapping[str, str], empty: str) -> None:
        """Print a list; ``columns``: titles by the fields that people see. ``empty``: the word where there is none."""
        if self.json:
            for item in items:
                self._write(item)
            return
        rows = [[_cell(_at(item, field), field.rpartition(".")[2], self._zone) for field in columns] for item in items]
        if not rows:
            self.note(empty)
            return
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for title in columns.values():
            table.add_column(title, overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        with self._console.capture() as printed:
            self._console.print(table)
        sys.stdout.writelines(f"{line.rstrip()}\n" for line in printed.get().splitlines())

    def line(self, text: str | Text) -> None:
        """Print a line for people; the caller prints something else for scripts."""
        self._console.print(text if isinstance(text, Text) else Text(text), soft_wrap=True)

    @contextmanager
    def changing(self) -> Iterator[Callable[[str], None]]:
        """Give what shows people a line that changes: in its place on a terminal, else as a line each time."""
        if self.json or not self._console.is_terminal:
            yield self.line
            return
        with Live(console=self._console, auto_refresh=False) as shown:
            yield lambda text: shown.update(Text(text), refresh=True)

    def json_line(self, document: Mapping[str, Any]) -> None:
        self._write(document)

    def done(self, sentence: str, document: Mapping[str, Any]) -> None:
        """Tell people a sentence, and scripts the document."""
        if self.json:
            self._write(document)
        else:
            self.line(sentence)

    def note(self, sentence: str) -> None:
        """Say something beside the result."""
        print(sentence, file=sys.stderr)

    def _write(self, document: Mapping[str, Any]) -> None:
        sys.stdout.write(msgspec.json.encode(times.for_scripts(document)).decode() + "\n")
        sys.stdout.flush()


def _flat(
    document: Mapping[str, Any], zone: tzinfo | None, indent: str = "", *, free: bool = False
) -> Iterable[tuple[str, str | None]]:
    """Yield (label, value) for each line; the value is None where a nested document follows."""
    width = max((len(name) for name in document), default=0) + 2
    for name, value in document.items():
        inside = free or times.is_free(name, value)
        if isinstance(value, dict) and value:
            yield f"{indent}{name}", None
            yield from _flat(value, zone, f"{indent}  ", free=inside)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield f"{indent}{name}", None
            for number, item in enumerate(value, 1):
                yield from _flat({f"{number}.": item}, zone, f"{indent}  ", free=inside)
        else:
            yield f"{indent}{name:<{width}}", _cell(value, "" if inside else name, zone)


def _cell(value: Any, name: str, zone: tzinfo | None) -> str:
    match value:
        case None | [] | {}:
            return "-"
        case bool():
            return "yes" if value else "no"
        case int() if times.is_moment(name, value):
            return times.local(value, zone)
        case list():
            return ", ".join(_cell(item, "", zone) for item in value)
        case dict():
            return msgspec.json.encode(value).decode()
        case _:
            return str(value)


def _at(item: Mapping[str, Any], path: str) -> Any:
    """Look up ``a.b``; None where it ends before."""
    value: Any = item
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
