"""Structured logs on standard output, one line per record; records of the standard library's loggers included.

JSON carries ``time`` (UTC), ``level``, ``service``, ``logger`` and ``event`` first, then the record's own fields.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
from typing import TYPE_CHECKING, TextIO

import structlog

if TYPE_CHECKING:
    from types import TracebackType

    from structlog.types import EventDict, Processor, WrappedLogger

    from .settings import LogSettings

ORDER = ("time", "level", "service", "logger", "event")


def configure(settings: LogSettings, service: str, stream: TextIO | None = None) -> None:
    """Send everything that is logged in this process to ``stream`` (standard output).

    Uncaught exceptions of the main and of other threads become records too.
    """

    def say_service(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        say_service,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(settings)],
        )
    )
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


class Repetitions(logging.Filter):
    """Lets the same message through once in ``seconds``, by the records' own time.

    A client that cannot connect says so at each attempt, hundreds of times a minute. Durations within a message do
    not make it another one. The last `KEPT` messages are remembered.
    """

    KEPT = 64
    DURATION = re.compile(r"\d+ms")

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        message = self.DURATION.sub("", record.getMessage())
        last = self._said.pop(message, None)
        again = last is not None and record.created - last < self.seconds
        self._said[message] = last if last is not None and again else record.created
        if len(self._said) > self.KEPT:
            del self._said[next(iter(self._said))]
        return not again


def get(name: str) -> structlog.stdlib.BoundLogger:
    """Get a logger; ``name`` is the module's ``__name__``."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def _rendering(settings: LogSettings) -> list[Processor]:
    if settings.format == "console":
        # structlog's default traceback prints local variables, and among them may be secrets
        plain = structlog.dev.plain_traceback
        return [_one_line, structlog.dev.ConsoleRenderer(colors=False, timestamp_key="time", exception_formatter=plain)]
    return [structlog.processors.format_exc_info, _in_order, structlog.processors.JSONRenderer()]


def _in_order(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {name: event.pop(name, None) for name in ORDER} | dict(event)


def _one_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Keep a text from outside from beginning a line. Tracebacks have lines of their own: this form is for people."""
    event["event"] = str(event["event"]).replace("\r", "\\r").replace("\n", "\\n")
    return event


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("uncaught").critical("uncaught exception", exc_info=(kind, error, trace))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is None:  # cleared before the hook ran, at interpreter shutdown
        return
    logging.getLogger("uncaught").critical(
        "uncaught exception in thread %s",
        args.thread.name if args.thread else "?",
        exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
    )
