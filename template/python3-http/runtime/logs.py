"""One JSON line per log record, on stderr, flushed line by line."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime

from pythonjsonlogger.json import JsonFormatter

CALL_ID: ContextVar[str | None] = ContextVar("call_id", default=None)

log = logging.getLogger("function")

_shown_path: Callable[[str], str] = str


class JsonLines(JsonFormatter):
    """time (UTC, ISO 8601), level, msg, logger, function, the record's own fields, call_id, traceback."""

    def __init__(self, function_name: str) -> None:
        super().__init__(
            ["levelname", "message", "name"],
            rename_fields={"levelname": "level", "message": "msg", "name": "logger", "exc_info": "traceback"},
            static_fields={"function": function_name},
        )

    def add_fields(self, log_data, record, message_dict) -> None:
        moment = datetime.fromtimestamp(record.created, UTC)
        log_data["time"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        super().add_fields(log_data, record, message_dict)
        log_data["level"] = record.levelname.lower()
        if call_id := CALL_ID.get():
            log_data.setdefault("call_id", call_id)


def configure(function_name: str) -> None:
    """Send every logger, warning and uncaught exception of the process to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(function_name))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # Only our own loggers speak below WARNING: SDKs log whole URLs, with what their queries hold, at INFO.
    for ours in ("function", "pushcart"):
        logging.getLogger(ours).setLevel(logging.INFO)
    # A burst would add a line per queued call to the one per call that is written anyway.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    logging.captureWarnings(True)
    threading.excepthook = _log_thread_failure


def show_paths_as(shown: Callable[[str], str]) -> None:
    """What the log is to show of each path from now on, for a function whose address holds a secret."""
    global _shown_path
    _shown_path = shown


def log_request(*, method: str, path: str, status: int, ms: float, call_id: str, fields: dict | None = None) -> None:
    """Write the one line of a finished call; never its query string, body or header values."""
    shown = _shown_path(path)
    line = {"msg": "request", "method": method, "path": shown, "status": status, "ms": round(ms, 1), "call_id": call_id}
    extra = {name: value for name, value in (fields or {}).items() if name not in line}
    log.log(logging.ERROR if status >= 500 else logging.INFO, line | extra)


def _log_thread_failure(failure: threading.ExceptHookArgs) -> None:
    if failure.exc_type is SystemExit:
        return
    thread = failure.thread.name if failure.thread else "unknown"
    log.error("the thread %s died", thread, exc_info=(failure.exc_type, failure.exc_value, failure.exc_traceback))
