"""Turning whatever went wrong into something the owner can act on."""

import errno

from pgkeeper.host.logs import log
from pgkeeper.model.errors import ErrorInfo, PgkeeperError

_HINTS = {
    errno.ENOSPC: "free some space on its disk",
    errno.EDQUOT: "raise the quota of user postgres, or free some space",
    errno.EACCES: "the directory must belong to postgres",
    errno.EROFS: "the file system is mounted read-only",
}


def as_error_info(error: Exception, what: str) -> ErrorInfo:
    """Return `error` as data for people; `what` names the work that failed.

    An error that nobody foresaw is logged with its traceback and shown as one line.
    """
    if isinstance(error, PgkeeperError):
        return error.info
    if isinstance(error, OSError):
        place = f" ({error.filename})" if error.filename else ""
        hint = _HINTS.get(error.errno or 0, "")
        return ErrorInfo(what=f"{what} failed", why=f"{error.strerror or error}{place}", hint=hint)
    log.error("unforeseen error", what=what, exc_info=error)
    return ErrorInfo(
        what=f"{what} failed",
        why=f"an unforeseen {type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'without words'}",
        hint="the log holds the details; please report it",
    )
