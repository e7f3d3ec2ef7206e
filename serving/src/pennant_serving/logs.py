"""Logs as JSON lines on standard error: one event a line, with the request id, and never a secret.

Nothing here can print a header, a key or a feature value: callers pass named fields, and no caller
passes those.
"""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime

_log = logging.getLogger("pennant_serving")


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"at": moment, "level": record.levelname.lower(), "event": record.getMessage()}
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
            line["trace"] = "".join(traceback.format_tb(record.exc_info[2])[-6:])
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(level: str = "INFO") -> None:
    """Send every log of this process to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Uvicorn says what our own lines say better, one line a connection at info.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


def info(event: str, **fields: object) -> None:
    _log.info(event, extra={"fields": fields})


def warning(event: str, **fields: object) -> None:
    _log.warning(event, extra={"fields": fields})


def error(event: str, **fields: object) -> None:
    """Log a failure; inside an `except` block the place it came from is added, its message is not."""
    _log.error(event, extra={"fields": fields}, exc_info=sys.exc_info()[0] is not None)
