"""Structured logs on standard error: lines for people, or JSON for a collector; secrets masked.

Standard output is left to answers. Neither a post nor its author belongs in a log line, and an
exception may quote both: its message (`KeyError('ana')`) and the local variables of its frames are
left out, whoever logs it.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from types import TracebackType
from typing import Any, Final

import structlog
from structlog.typing import EventDict, WrappedLogger

from core.errors import GroundswellError
from core.settings import LogSettings, Secret

_PLAIN_SPOKEN: Final = ("kafka", "aiokafka", "redis")
"""Packages whose errors speak of servers, never of what is sent to them."""

_SECRET_WORDS = ("password", "secret", "token", "api_key")


def set_up(settings: LogSettings, service: str) -> None:
    """Configure structlog and the standard logging of libraries for one process.

    Args:
        settings: The level and the format.
        service: The name of the process, on every line.
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
        structlog.processors.ExceptionRenderer(_rendered),
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    formatter = structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processor=renderer)
    _set_up_libraries(level, formatter)
    sys.excepthook = _log_the_end
    if threading.excepthook is threading.__excepthook__:  # a test runner has its own
        threading.excepthook = lambda ended: _log_the_end(
            ended.exc_type, ended.exc_value, ended.exc_traceback
        )


def _set_up_libraries(level: int, formatter: logging.Formatter) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(quiet_about_errors)
    handler.setFormatter(formatter)
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


def describe_error(error: BaseException) -> str:
    """Return what may be said of an exception: its kind, and its message if that quotes nobody.

    Example:
        >>> describe_error(KeyError("ana")), describe_error(ConnectionResetError(104, "reset"))
        ('KeyError', 'ConnectionResetError: [Errno 104] reset')
    """
    kind = type(error)
    is_plain = isinstance(error, GroundswellError | OSError)
    if is_plain or kind.__module__.partition(".")[0] in _PLAIN_SPOKEN:
        return f"{kind.__name__}: {error}"
    return kind.__name__


def describe_traceback(error: BaseException) -> str:
    """Return where an exception came from, causes first, and what may be said of each."""
    parts: list[str] = []
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        stack = "".join(traceback.format_tb(link.__traceback__))
        parts.append(f"{stack}{describe_error(link)}")
        grouped: tuple[BaseException, ...] = getattr(link, "exceptions", ())
        parts[-1] += "".join(f"\n  of it: {describe_traceback(one)}" for one in grouped)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return "\n\nled to\n\n".join(reversed(parts))


def quiet_about_errors(record: logging.LogRecord) -> bool:
    """Take what exceptions say out of a library's log record; keeps every record.

    They stand among its arguments, and asyncio writes them into the lines after the first.
    """
    if isinstance(record.args, tuple):
        record.args = tuple(
            describe_error(one) if isinstance(one, BaseException) else one for one in record.args
        )
    if record.name == "asyncio":
        record.msg = str(record.msg).partition("\n")[0]
    return True


def _rendered(exc_info: Any) -> str:
    return "" if exc_info is None or exc_info[1] is None else describe_traceback(exc_info[1])


def _log_the_end(
    _kind: type[BaseException], error: BaseException | None, _stack: TracebackType | None
) -> None:
    """Log what ends a process or a thread, as Python itself would write it with its message."""
    get_logger(__name__).critical("ended by an error nobody caught", exc_info=error)
