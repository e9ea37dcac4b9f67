"""Fail-stop: the only way out when a promise can no longer be kept.

`die` ends the process without running stop hooks, so nothing can commit an offset on the way out.
"""

from __future__ import annotations

import logging
import os
from typing import Any, NoReturn

EXIT_FATAL = 70
"""A delivery, a slice or the membership was lost: a restart replays."""

EXIT_CONFIG = 78
"""A start-up check refused: a restart does not help."""

log = logging.getLogger(__name__)


def die(reason: str, *args: Any, code: int = EXIT_FATAL) -> NoReturn:
    """Log ``reason % args`` as critical and end the process at once."""
    log.critical(f"fail-stop: {reason}", *args)  # noqa: G004 - a constant before the template
    logging.shutdown()
    os._exit(code)
