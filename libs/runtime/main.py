"""How a service's process begins and ends."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn, TypeVar

from . import logs
from .settings import ServiceSettings, Settings, SettingsError, describe, load

if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_USAGE = 64
EXIT_CONFIG = 78
"""The configuration is wrong: starting again without a change is useless (sysexits' EX_CONFIG)."""
EXIT_INTERRUPTED = 130

S = TypeVar("S", bound=ServiceSettings)


def run(service: str, settings: type[S], start: Callable[[S], int | None]) -> NoReturn:
    """Read the settings, begin logging, call ``start`` and exit with what it returns (None: 0).

    Wrong settings: one line per problem on standard error and exit status 78.
    ``--help`` lists the settings. SystemExit passes as it is; any other exception is logged and ends in status 1.
    """
    arguments = sys.argv[1:]
    if arguments in (["--help"], ["-h"]):
        sys.stdout.write(usage(service, settings))
        sys.exit(0)
    if arguments:
        sys.stderr.write(f"{service}: takes no arguments; --help lists its settings\n")
        sys.exit(EXIT_USAGE)
    try:
        loaded = load(settings, os.environ)
    except SettingsError as error:
        sys.stderr.writelines(f"{service}: {problem}\n" for problem in error.problems)
        sys.exit(EXIT_CONFIG)
    logs.configure(loaded.log, service)
    try:
        code = start(loaded)
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    sys.exit(code or 0)


def usage(service: str, settings: type[Settings]) -> str:
    lines = [f"{service} is configured by environment variables:", ""]
    for setting in describe(settings):
        default = "required" if setting.required else f"default: {setting.default_text or '(empty)'}"
        lines += [f"  {setting.variable}  ({setting.values}; {default})", f"      {setting.meaning}"]
    return "\n".join(lines) + "\n"
