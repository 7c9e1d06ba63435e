"""The sessions that one worker uses in a database being rebuilt: one for each owner it works for, opened when it is needed."""

import threading
from collections.abc import Callable
from contextlib import suppress

import psycopg

from pgkeeper.model.errors import OperationFailed
from pgkeeper.postgres.server import Session, cut

SUPERUSER = None
"""The owner whose statements we run as ourselves."""
_MOST = 4


class OwnerSessions:
    """Hands out sessions by owner; `SUPERUSER` is ours. Of all only the last few stay open, since owners may be many.

    `connect` opens a session for an owner and makes it ready.
    """

    def __init__(self, connect: Callable[[str | None], Session]) -> None:
        self._connect = connect
        self._open: dict[str | None, Session] = {}
        self._lock = threading.Lock()
        self._broken = False

    def of(self, owner: str | None) -> Session:
        """Return the session of `owner`. Raises OperationFailed after `break_off`."""
        session = self._open.get(owner) or self._connect(owner)
        with self._lock:
            # The one that was used last stands last.
            self._open.pop(owner, None)
            self._open[owner] = session
            if self._broken:
                cut(session)
                raise OperationFailed("the work in the database was stopped", "another part of it failed")
            superfluous = [self._open.pop(next(iter(self._open))) for _ in range(len(self._open) - _MOST)]
        for old in superfluous:
            old.close()
        return session

    def break_off(self) -> None:
        """Make whatever another thread does with these sessions fail at once, also with one that is just being opened."""
        with self._lock:
            self._broken = True
            for session in self._open.values():
                cut(session)

    def close(self) -> None:
        """End all. May be called while another thread breaks off."""
        with self._lock:
            sessions = list(self._open.values())
            self._open.clear()
        for session in sessions:
            with suppress(psycopg.Error):
                session.close()
