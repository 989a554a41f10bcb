"""Logs on standard error: constant events with key-values, JSON or for the eye, and never content.

The rule is kept where events are made; `Discretion` is the second net, and libraries' own logs pass through it too:
of theirs only the constant words are kept, since their arguments and exceptions may quote what they worked on.
"""

from __future__ import annotations

import logging
import logging.config
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import structlog

from broker.core.errors import CustodyError
from broker.discretion import LOGS, Discretion
from broker.settings import Profile, TelemetrySettings

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from structlog.typing import EventDict, Processor, WrappedLogger

_META = frozenset({"_record", "_from_structlog"})
_TRUSTED_ARGUMENTS = ("uvicorn.error",)
_SILENT = ("uvicorn.access", "aiohttp.access")
_FRAMES = 8
_PATH_PARTS = 3


def configure_logging(
    settings: TelemetrySettings, *, profile: Profile = Profile.DEVELOPMENT, discretion: Discretion = LOGS
) -> None:
    """Sends every log of this process to standard error."""
    as_json = settings.log_format == "json" or (
        settings.log_format == "auto" and (profile is Profile.PRODUCTION or not sys.stderr.isatty())
    )
    level = settings.log_level.upper()
    logging.config.dictConfig(_stdlib(level, _formatter(discretion, as_json=as_json)))
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _stdlib(level: str, formatter: logging.Formatter) -> dict[str, Any]:
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"custody": {"()": lambda: formatter}},
        "handlers": {
            "stderr": {"()": _StandardError, "formatter": "custody"},
            "nowhere": {"class": "logging.NullHandler"},  # without any, Python's handler of last resort prints
        },
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {
            **{name: {"level": level} for name in ("broker", "backends", "connectors")},
            **{name: {"level": "CRITICAL", "propagate": False, "handlers": ["nowhere"]} for name in _SILENT},
        },
    }


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at that moment. A full or closed pipe must not stop the work."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name that logging calls
        """Says nothing: the default prints the arguments of what could not be logged."""


def _formatter(discretion: Discretion, *, as_json: bool) -> structlog.stdlib.ProcessorFormatter:
    renderer: Processor = (
        structlog.processors.JSONRenderer(sort_keys=False)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), timestamp_key="time")
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            _constant_words,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        ],
        processors=[_name_error, Discreet(discretion), renderer],
        use_get_message=False,
        pass_foreign_args=True,
    )


def _constant_words(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A library's log: the first line of its words, without arguments unless they are known to be harmless."""
    words, arguments = str(event["event"]), event.pop("positional_args", ())
    if arguments and event["_record"].name in _TRUSTED_ARGUMENTS:
        words %= arguments
    event["event"] = (words.splitlines() or [""])[0]
    return event


def _name_error(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """An exception by its type and place. Its message only where it is one of Custody's, which hold no content."""
    event.pop("stack_info", None)
    told = event.pop("exc_info", None)
    error = sys.exc_info()[1] if told is True else told[1] if isinstance(told, tuple) else told
    if isinstance(error, BaseException):
        event.update(told_of(error))
    return event


def told_of(error: BaseException) -> dict[str, object]:
    """What may be told of an exception: its type, its code and words if it is Custody's, and where it was raised."""
    told: dict[str, object] = {"error_type": type(error).__name__, "trace": frames(error)}
    if isinstance(error, CustodyError):
        told |= {"code": error.code, "why": str(error)}
    return told


def frames(error: BaseException) -> list[str]:
    """The innermost places an exception came through, without a line of source."""
    return [
        f"{'/'.join(Path(frame.filename).parts[-_PATH_PARTS:])}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__, limit=-_FRAMES)
    ]


@dataclass(frozen=True, slots=True)
class Discreet:
    """Leaves out of an event what must not be told."""

    discretion: Discretion

    def __call__(self, _logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
        return {name: self.discretion.value(name, value) for name, value in event.items() if name not in _META}
