"""Writes ``docs/settings.md``, ``docs/metrics.md`` and ``docs/openapi.json`` from what the services declare.

``python -m libs.runtime.reference`` writes; with ``--check`` it only compares and exits 1 where a file is stale.
Services are found by directory, so that the runtime names none of them.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from . import metrics
from .settings import ServiceSettings, Setting, describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).resolve().parents[2]
COMMAND: Final = "python -m libs.runtime.reference"
NOTICE: Final = f"<!-- Written by `{COMMAND}` from the declarations in the code: do not edit. -->"
EVERY: Final = "Every service"

SETTINGS_INTRO: Final = """\
A service reads its settings from the environment once, at the start. A value that does not fit, a missing one and a
`FLEETLOG_` variable that the service does not know refuse the start: one line each on standard error, exit status 78.
`python -m services.<name> --help` prints the same list for one service. Secrets appear in no log."""

METRICS_INTRO: Final = """\
Each process serves these at `/metrics` of its ops address (`FLEETLOG_OPS_HOST`, `FLEETLOG_OPS_PORT`), beside
`process_…` and `python_…` about the process itself. A histogram has the usual `_bucket`, `_sum` and `_count`."""


def settings_classes() -> dict[str, type[ServiceSettings]]:
    """The settings of each service, by its name. Raises `LookupError` where a service has not exactly one class."""
    found = {}
    for directory in sorted((ROOT / "services").iterdir()):
        if not (directory / "settings.py").exists():
            continue
        module = importlib.import_module(f"services.{directory.name}.settings")
        own = [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, ServiceSettings) and value.__module__ == module.__name__
        ]
        if len(own) != 1:
            raise LookupError(f"{module.__name__} must have one class of settings, found {len(own)}")
        found[directory.name] = own[0]
    return found


def declared_metrics() -> dict[str, list[metrics.Metric]]:
    """Every metric, by the part of the code that declares it: a service, or the part of the runtime that it uses."""
    found: dict[str, list[metrics.Metric]] = {}
    known = set(metrics.declared())
    for root in ("libs.runtime", "services"):
        for name in sorted(_modules(root)):
            importlib.import_module(name)
            new = set(metrics.declared()) - known
            if new:
                found.setdefault(_part(name), []).extend(sorted(new))
                known |= new
    return found


def settings_page(services: Mapping[str, type[ServiceSettings]]) -> str:
    """The settings, one section for each set of services that share them."""
    users: dict[tuple[str, ...], list[str]] = {}
    for service, cls in services.items():
        for setting in describe(cls):
            users.setdefault(_cells(setting), []).append(service)
    sections: dict[str, list[Sequence[str]]] = {EVERY: []}
    for cells, names in users.items():
        heading = EVERY if len(names) == len(services) else ", ".join(f"`{name}`" for name in names)
        sections.setdefault(heading, []).append(cells)
    return _page("Settings", SETTINGS_INTRO, ("variable", "value", "default", "meaning"), sections)


def metrics_page(parts: Mapping[str, Iterable[metrics.Metric]]) -> str:
    sections = {
        part: [
            (f"`{metric.name}`", metric.kind, ", ".join(f"`{label}`" for label in metric.labels), metric.meaning)
            for metric in declared
        ]
        for part, declared in parts.items()
    }
    return _page("Metrics", METRICS_INTRO, ("metric", "kind", "labels", "meaning"), sections)


def documents() -> dict[Path, str]:
    """All files, by their path from the root of the repository; a service's ``app.reference()`` may add some."""
    services = settings_classes()
    pages = {
        Path("docs/settings.md"): settings_page(services),
        Path("docs/metrics.md"): metrics_page(declared_metrics()),
    }
    for service in services:
        own = getattr(importlib.import_module(f"services.{service}.app"), "reference", dict)
        pages |= {Path(path): text for path, text in own().items()}
    return pages


def main(arguments: list[str], root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(
        prog=COMMAND, description="Write settings, metrics and the API's document into docs/."
    )
    parser.add_argument("--check", action="store_true", help="only compare; exit status 1 where a file is stale")
    check = parser.parse_args(arguments).check
    stale = {path: text for path, text in documents().items() if not _holds(root / path, text)}
    for path, text in stale.items():
        if check:
            sys.stderr.write(f"{path} is stale: run `{COMMAND}`\n")
        else:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
    return int(check and bool(stale))


def _modules(root: str) -> Iterator[str]:
    package = importlib.import_module(root)
    for found in pkgutil.walk_packages(package.__path__, f"{root}."):
        if not found.name.endswith(".__main__"):
            yield found.name


def _part(module: str) -> str:
    names = module.split(".")
    return f"`{names[1]}`" if names[0] == "services" else f"Runtime: {names[2]}"


def _cells(setting: Setting) -> tuple[str, ...]:
    default = "*required*" if setting.required else f"`{setting.default_text}`" if setting.default_text else ""
    return f"`{setting.variable}`", setting.values, default, setting.meaning


def _page(title: str, intro: str, columns: Sequence[str], sections: Mapping[str, Iterable[Sequence[str]]]) -> str:
    lines = [f"# {title}", "", NOTICE, "", intro]
    for heading, rows in sections.items():
        lines += ["", f"## {heading}", "", _row(columns), _row(["---"] * len(columns))]
        lines += [_row(row) for row in rows]
    return "\n".join(lines) + "\n"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
