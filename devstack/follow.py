"""Shows the logs of all programs in one terminal, each line behind the name of its program."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from pathlib import Path

INTERVAL = 0.1
COLOURS = (36, 33, 32, 35, 34, 96, 93, 92)
"""ANSI foreground colours, one per program in the order of their first line."""
WIDTH = 10


class Follower:
    """Prints what is appended to ``*.log`` in ``directory`` between entry and exit."""

    def __init__(self, directory: Path, out: TextIO = sys.stdout) -> None:
        self._directory = directory
        self._out = out
        self._coloured = out.isatty()
        self._places: dict[str, int] = {file.name: file.stat().st_size for file in directory.glob("*.log")}
        self._colours: dict[str, int] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(INTERVAL):
            self._show_new()
        self._show_new()

    def _show_new(self) -> None:
        for file in sorted(self._directory.glob("*.log")):
            place = self._places.get(file.name, 0)
            size = file.stat().st_size
            if size < place:
                place = 0  # begun anew
            if size > place:
                with file.open("rb") as log:
                    log.seek(place)
                    text = log.read(size - place)
                complete = text[: text.rfind(b"\n") + 1]
                self._places[file.name] = place + len(complete)
                self._print(file.stem, complete.decode(errors="replace"))

    def _print(self, name: str, text: str) -> None:
        prefix = f"{name:<{WIDTH}} |"
        if self._coloured:
            colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        for line in text.splitlines():
            self._out.write(f"{prefix} {line}\n")
        self._out.flush()
