"""Logs: one JSON object a line on stderr, or lines for people on a terminal. Secrets never come this far."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

SECRET = ("secret", "token", "password", "authorization", "hash")


def _redact(_: Any, __: str, event: Any) -> Any:
    for key in event:
        if any(word in key.lower() for word in SECRET):
            event[key] = "…"
    return event


class _Library(logging.Handler):
    """What libraries log, as one of our own lines: a stack trace among lines of JSON is read by no program."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it in our own way."""
        structlog.get_logger().log(
            record.levelno,
            "library",
            library=record.name,
            message=record.getMessage(),
            exc_info=record.exc_info,
        )


def set_up_logs(level: str = "info") -> None:
    """Set up structlog for this process."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    people = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _redact,
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if people else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Library()], level=max(number, logging.WARNING), force=True)
