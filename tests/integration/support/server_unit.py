"""What systemd and root's helper are to PostgreSQL itself, here where there may be none of both."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .application import HELPER
from .binaries import server_binary
from .product import Pgkeeper
from .user import SERVICE_USER

# is-active, stop and start of one cluster.
SYSTEMCTL = """#!/bin/sh
verb=$1; shift
[ "$1" = --quiet ] && shift
echo "$verb" >>"{home}/server-history"
as_server() {{ setpriv --reuid {user} --regid {user} --clear-groups -- "$@"; }}
cd /
# It knows nothing of a server that it has not started, such as one that recovers production's files, with settings elsewhere.
active() {{ as_server {pg_ctl} status -D {data} >/dev/null && ! grep -qs config_file= {data}/postmaster.opts; }}
case $verb in
  is-active) active || exit 3 ;;
  stop) active || exit 0; as_server {pg_ctl} stop -w -m fast -D {data} ;;
  start)
    as_server {pg_ctl} status -D {data} >/dev/null && exit 0
    as_server {pg_ctl} start -w -D {data} -l {data}/server.log </dev/null >/dev/null 2>&1 || {{ echo "see {data}/server.log"; exit 1; }} ;;
esac
"""


class ServerUnit:
    """Root's helper for the cluster of a pgkeeper."""

    def __init__(self, pgkeeper: Pgkeeper) -> None:
        self._spool = pgkeeper.state / "server"
        self._home = pgkeeper.home
        self._state = pgkeeper.home / "server-helper"
        self._state.mkdir()
        self._list = pgkeeper.home / "server-list"
        self._list.write_text("postgresql\n")
        self._systemctl = pgkeeper.home / "server-systemctl"
        text = SYSTEMCTL.format(home=self._home, user=SERVICE_USER, pg_ctl=server_binary("pg_ctl"), data=pgkeeper.cluster.data)
        self._systemctl.write_text(text)
        self._systemctl.chmod(0o755)
        self._over = threading.Event()
        self._helper = threading.Thread(target=self._serve)

    def history(self) -> list[str]:
        """What was asked of systemd, in order, without questions."""
        path = self._home / "server-history"
        return [line for line in path.read_text().splitlines() if line != "is-active"] if path.exists() else []

    def _serve(self) -> None:
        while not self._over.wait(0.01):
            if (self._spool / "request").exists():
                arguments = ["--all", str(self._spool), str(self._list), str(self._state), str(self._systemctl)]
                subprocess.run(["/usr/bin/python3", str(HELPER), *arguments], check=False, env={"PATH": os.environ["PATH"]})

    @contextmanager
    def running(self) -> Iterator[ServerUnit]:
        """Have the helper listen for the length of the block."""
        self._helper.start()
        try:
            yield self
        finally:
            self._over.set()
            self._helper.join()
