"""Writes what is made from the catalog: schemas, ``docs/asyncapi.json``, ``docs/topics.md``.

``python -m libs.topics.generate`` writes; with ``--check`` it only compares and exits 1 where a file is stale.

``schemas/released`` is the baseline of the live topics. It follows compatible changes; an incompatible one is
refused, whatever was generated before: change the message in a compatible way, or give it another ``type``.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from .catalog import TOPICS
from .compatibility import breaking
from .describe import asyncapi, page, schema

ROOT: Final = Path(__file__).resolve().parents[2]
SCHEMAS: Final = Path("libs/topics/schemas")
RELEASED: Final = SCHEMAS / "released"
DOCUMENT_VERSION: Final = "0.1.0"
COMMAND: Final = "python -m libs.topics.generate"


def documents() -> dict[Path, str]:
    """Every generated file, by its path from the root of the repository."""
    kinds = {str(kind.__struct_config__.tag): kind for topic in TOPICS for kind in topic.types}
    live = {name for topic in TOPICS if topic.stage == "live" for name in topic.kinds}
    schemas = {name: schema.of(kind) for name, kind in sorted(kinds.items())}
    return {
        **{SCHEMAS / f"{name}.json": _pretty(content) for name, content in schemas.items()},
        **{RELEASED / f"{name}.json": _pretty(schema.form(schemas[name])) for name in sorted(live)},
        Path("docs/asyncapi.json"): _pretty(asyncapi.document(TOPICS, DOCUMENT_VERSION)),
        Path("docs/topics.md"): page.text(TOPICS),
    }


def refusals(root: Path, wanted: dict[Path, str]) -> list[str]:
    """Which released schemas would break, and how."""
    found = []
    for path in sorted((root / RELEASED).glob("*.json")):
        name = path.relative_to(root)
        if name not in wanted:
            found.append(f"{name}: the message type {path.stem} is gone from the live topics")
            continue
        changes = breaking(json.loads(path.read_text()), json.loads(wanted[name]))
        found += [f"{name}: {change}" for change in changes]
    return found


def stale(root: Path, wanted: dict[Path, str]) -> list[Path]:
    """Files that are missing, differ, or are not generated any more."""
    present = {path.relative_to(root) for path in (root / SCHEMAS).rglob("*.json")}
    differing = {path for path, text in wanted.items() if not _holds(root / path, text)}
    return sorted(differing | (present - wanted.keys()))


def write(root: Path, wanted: dict[Path, str]) -> None:
    for path in stale(root, wanted):
        if path in wanted:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(wanted[path], encoding="utf-8")
        else:
            (root / path).unlink()


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Exit code: 0 done or nothing stale, 1 stale or refused."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 where a file is stale")
    check = parser.parse_args(arguments).check
    wanted = documents()
    refused = refusals(root, wanted)
    if refused:
        print("A released message may only change compatibly:", *refused, sep="\n  ", file=sys.stderr)
        return 1
    if not check:
        write(root, wanted)
        return 0
    outdated = stale(root, wanted)
    if outdated:
        print("Stale:", *outdated, f"Mend it by: {COMMAND}", sep="\n  ", file=sys.stderr)
    return 1 if outdated else 0


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def _pretty(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
