from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING

import pytest
import structlog

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def own_logging() -> Iterator[None]:
    """The test may configure logging: the process's is as before when it ends."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, sys.excepthook, threading.excepthook
    yield
    logging.captureWarnings(False)
    root.handlers[:], root.level = before[:2]
    sys.excepthook, threading.excepthook = before[2:]
    structlog.reset_defaults()
