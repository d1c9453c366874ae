"""How `walnats run` logs: as text for people, or as JSON for machines, to the standard error."""

import json
import logging
import os
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any


class LogFormat(StrEnum):
    """How log records are written."""

    TEXT = 'text'
    JSON = 'json'


class LogLevel(StrEnum):
    """The least level that is logged."""

    DEBUG = 'debug'
    INFO = 'info'
    WARNING = 'warning'
    ERROR = 'error'
    CRITICAL = 'critical'


def configure_logs(form: LogFormat, level: LogLevel, worker: int | None) -> None:
    """Have all loggers write to the standard error.

    :param worker: the number of the worker process, None in the one that supervises them.
    """
    handler = logging.StreamHandler()
    if form is LogFormat.JSON:
        handler.setFormatter(JsonFormatter(worker))
    else:
        has_colours = sys.stderr.isatty() and not os.environ.get('NO_COLOR')
        handler.setFormatter(TextFormatter(worker, has_colours=has_colours))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(form is LogFormat.JSON)  # they would be lines without JSON
    # What changed is said by ourselves, and in fewer words.
    logging.getLogger('watchfiles').setLevel(logging.WARNING)


class JsonFormatter(logging.Formatter):
    """One object in each line: `time`, `level`, `logger`, `message`, and what else there is."""

    def __init__(self, worker: int | None) -> None:
        super().__init__()
        self._origin = {'pid': os.getpid()} | ({} if worker is None else {'worker': worker})

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        fields: dict[str, Any] = {
            'time': _show_moment(record),
            'level': record.levelname.lower(),
            'logger': record.name,
            'message': record.getMessage(),
            **self._origin,
        }
        if record.exc_info:
            fields['exception'] = self.formatException(record.exc_info)
        if record.stack_info:
            fields['stack'] = record.stack_info
        extras = {name: vars(record)[name] for name in vars(record).keys() - _STANDARD}
        pairs = [f'{json.dumps(name)}: {_encode(value)}' for name, value in fields.items()]
        pairs += [f'{json.dumps(name)}: {_encode(extras[name])}' for name in sorted(extras)]
        return f'{{{", ".join(pairs)}}}'


class TextFormatter(logging.Formatter):
    """One line for each record, and below it the traceback if there is one."""

    def __init__(self, worker: int | None, *, has_colours: bool) -> None:
        super().__init__()
        self._origin = '' if worker is None else f'[{worker}] '
        self._has_colours = has_colours

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- logging calls it so
        """Give the line. In a terminal it has the time of the day, else the moment."""
        level = f'{record.levelname:<7}'
        if self._has_colours:
            time = _moment(record).astimezone().strftime('%H:%M:%S.%f')[:-3]
            start = f'{_DIM}{time}{_RESET} {_COLOURS.get(record.levelno, "")}{level}{_RESET}'
        else:
            start = f'{_show_moment(record)} {level}'
        return f'{start} {self._origin}{record.name}: {record.message}'


_RESET = '\x1b[0m'
_DIM = '\x1b[2m'
_COLOURS = {
    logging.DEBUG: '\x1b[2m',
    logging.INFO: '\x1b[32m',
    logging.WARNING: '\x1b[33m',
    logging.ERROR: '\x1b[31m',
    logging.CRITICAL: '\x1b[1;31m',
}

# What each record has; anything else was given as `extra`.
_STANDARD = vars(logging.makeLogRecord({})).keys() | {
    'message',
    'asctime',
    'taskName',
    'time',
    'level',
    'logger',
    'pid',
    'worker',
    'exception',
    'stack',
}


def _moment(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _show_moment(record: logging.LogRecord) -> str:
    return _moment(record).isoformat(timespec='milliseconds').replace('+00:00', 'Z')


def _encode(value: Any) -> str:
    """Give the value as JSON, or else what it looks like: a record is never lost for an extra."""
    try:
        return json.dumps(value, default=repr, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return json.dumps(repr(value))
