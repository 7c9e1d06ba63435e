"""Stopping and starting services, the application's or PostgreSQL itself, which only root may: by asking a small helper of root's.

The helper (roles/pgkeeper/files/services.py, started by systemd when a request appears) knows its own list of services, so that whoever
can write a request can do no more than this. We write `request` in its spool, a directory in `BACKUP_STATE_DIR`, and wait for `answer`.
"""

import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pgkeeper.model.errors import OperationFailed, RefusedError

_ANSWER_SECONDS = 300
_PICKED_UP_SECONDS = 10
_POLL_SECONDS = 0.02
_DEPLOY = {
    "services": "deploy with pgkeeper_app_services, on a host with systemd; or leave BACKUP_APP_SERVICES empty",
    "server": "deploy with role pgkeeper_wal, on a host with systemd",
}


class Services:
    """The services `names`, and the helper that rules them; without names there is nothing to do.

    `spool` tells apart the helper of the application's `services` from that of the `server`, PostgreSQL.
    """

    def __init__(self, names: Sequence[str], state_dir: Path, spool: Literal["services", "server"] = "services") -> None:
        self.names = tuple(names)
        self._spool = spool
        self._place = state_dir / spool

    def require_helper(self) -> None:
        """Find out beforehand whether the helper listens. Raises RefusedError (exit status 6) when services are named and nobody does."""
        if self.names:
            self._ask("ready")

    def stop(self) -> None:
        """Stop those that run. Raises OperationFailed naming what did not stop."""
        if self.names:
            self._ask("stop")

    def start(self) -> None:
        """Start those that `stop` has stopped, maybe in another process, maybe before a restart of the machine. Raises OperationFailed."""
        if self.names:
            self._ask("start")

    def _ask(self, what: Literal["ready", "stop", "start"]) -> None:
        token = secrets.token_hex(8)
        request, answer = self._place / "request", self._place / "answer"
        try:
            self._place.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary = self._place / f".request-{token}"
            temporary.write_text(f"{what} {token}\n", encoding="ascii")
            temporary.rename(request)
        except OSError as error:
            raise OperationFailed(f"cannot write {request}", error.strerror or "", "it must belong to postgres and have space") from error
        asked = time.monotonic()
        while True:
            said = _read(answer)
            if said.startswith(f"{token} "):
                break
            waited = time.monotonic() - asked
            if waited > _PICKED_UP_SECONDS and request.exists():
                request.unlink(missing_ok=True)
                raise RefusedError(
                    f"{' and '.join(self.names)} cannot be stopped and started",
                    f"nobody answers: the unit pgkeeper-{self._spool}.path is not at work",
                    _DEPLOY[self._spool],
                )
            if waited > _ANSWER_SECONDS:
                raise OperationFailed(f"services did not {what}", f"no answer within {_ANSWER_SECONDS} s", self._hint)
            time.sleep(_POLL_SECONDS)
        verdict = said.strip().partition(" ")[2]
        if verdict != "done":
            raise OperationFailed(f"services did not {what}", verdict, self._hint)

    @property
    def _hint(self) -> str:
        return f"see systemctl status, and journalctl -u pgkeeper-{self._spool}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
