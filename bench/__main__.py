"""``python -m bench``: list the benchmarks; ``python -m bench NAME [--quick]``: run one, or ``all`` of them.

The last line of standard output is one JSON object. The exit status is 1 if anything was lost, doubled or wrong.
``all`` writes `bench/results.md`.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from bench.registry import BENCHES, CORRECT

RESULTS = Path(__file__).with_name("results.md")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name", nargs="?", choices=[*BENCHES, "all"], metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="at most 45 s, for a first impression")
    given = parser.parse_args(arguments)
    if given.name is None:
        for name, bench in BENCHES.items():
            summary = (importlib.import_module(bench.module).__doc__ or "").partition("\n")[0]
            print(f"{name:16}{summary}")
        return 0
    names = list(BENCHES) if given.name == "all" else [given.name]
    reports = {name: report(name, quick=given.quick) for name in names}
    if given.name == "all":
        RESULTS.write_text(as_markdown(reports))
    last = reports[given.name] if given.name != "all" else reports
    print(msgspec.json.encode(last).decode(), flush=True)
    return 1 if any(found.get(field, 0) != 0 for found in reports.values() for field in CORRECT) else 0


def report(name: str, *, quick: bool) -> dict[str, Any]:
    """Run one benchmark. Raises LookupError when it does not report what it should."""
    bench = BENCHES[name]
    found: dict[str, Any] = importlib.import_module(bench.module).run(quick)
    if missing := [field for field in bench.fields if field not in found]:
        raise LookupError(f"{name} does not report {', '.join(missing)}")
    return found


def as_markdown(reports: dict[str, dict[str, Any]]) -> str:
    """One table per benchmark, with when and on what it ran."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    lines = [
        "# Results",
        "",
        (
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, {memory:.0f} GiB, Python "
            f"{platform.python_version()}, {platform.system()} {platform.machine()}; brokers and load share them."
        ),
    ]
    for name, found in reports.items():
        lines += ["", f"## {name}", "", "| figure | value |", "|---|---|"]
        lines += [f"| `{field}` | {value} |" for field, value in found.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
