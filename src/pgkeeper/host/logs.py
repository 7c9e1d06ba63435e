"""The log: one JSON object a line in `BACKUP_LOG_DIR/pgkeeper.log`, safe to rotate underneath us."""

import logging
import logging.handlers
from pathlib import Path

import structlog

LOG_FILE = "pgkeeper.log"

_lines = logging.getLogger("pgkeeper")
_lines.propagate = False
_lines.setLevel(logging.INFO)
_lines.addHandler(logging.NullHandler())

log: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
    _lines,
    wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    processors=[
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ],
)
"""Where every operation writes what it did. Silent until a door has opened the log."""


def configure_logs(directory: Path) -> str:
    """Send log lines to the file in `directory`. Returns "" or why that can't be; then nothing is logged."""
    # A log that can't be written (a full disk) must not print tracebacks over the program's output.
    logging.raiseExceptions = False
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        handler = logging.handlers.WatchedFileHandler(directory / LOG_FILE, encoding="utf-8", errors="backslashreplace")
        (directory / LOG_FILE).chmod(0o600)
    except OSError as error:
        return f"nothing is logged: cannot write {directory / LOG_FILE}: {error.strerror}"
    for earlier in _lines.handlers:
        earlier.close()
    _lines.handlers[:] = [handler]
    return ""
