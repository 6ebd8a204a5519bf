"""Structured logs on standard error: lines for people, or JSON for a collector; secrets masked.

Standard output is left to answers. Post text never belongs in a log line.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

from core.settings import LogSettings, Secret

_SECRET_WORDS = ("password", "secret", "token", "api_key")


def set_up(settings: LogSettings, service: str) -> None:
    """Configure structlog and the standard logging of libraries for one process.

    Args:
        settings: level and format.
        service: name of the process, on every line.
    """
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=32)
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        mask_secrets,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processor=renderer)
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries speak only when something is wrong: their chatter is not our operators' concern.
    root.setLevel(max(level, logging.WARNING))


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Return a logger whose lines carry the module's name."""
    return structlog.get_logger(module=name)


def mask_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace values whose key sounds like a secret, and every `Secret`, by stars.

    Example:
        >>> mask_secrets(None, "info", {"event": "connect", "redis_password": "x"})
        {'event': 'connect', 'redis_password': '********'}
    """
    for key, value in event.items():
        if isinstance(value, Secret) or any(word in key.lower() for word in _SECRET_WORDS):
            event[key] = "********"
    return event
