"""An application that writes all the time, and the services that run it: what a replacement of its database has to spare."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .cluster import Cluster
from .product import Pgkeeper
from .user import SERVICE_USER, make_service_directory
from .waiting import wait_until

HELPER = Path(__file__).parents[3] / "roles" / "pgkeeper" / "files" / "services.py"

# Tries again whatever happens, and writes down what was committed, and where. Started again, it goes on behind what it wrote down.
WRITER = """
import json, sys, time
import psycopg
host, port, database, acknowledged = sys.argv[1:]
with open(acknowledged, "a+", buffering=1) as file:
    file.seek(0)
    number = max((json.loads(line)[0] for line in file), default=0)
    while True:
        try:
            with psycopg.connect(host=host, port=port, user="postgres", dbname=database, autocommit=True, connect_timeout=5) as connection:
                while True:
                    number += 1
                    row = connection.execute(
                        "insert into written values (%s)"
                        " returning (select oid::bigint from pg_database where datname = current_database())",
                        (number,),
                    ).fetchone()
                    file.write(json.dumps([number, row[0]]) + "\\n")
                    time.sleep(0.002)
        except psycopg.Error:
            time.sleep(0.01)
"""

# What systemd is to the helper, here where there may be none: is-active, stop and start of real processes.
SYSTEMCTL = """#!/bin/sh
alive() {{ state=$(cat /proc/"$1"/stat 2>/dev/null) || return; case ${{state##*) }} in Z*) return 1 ;; esac; }}
verb=$1; shift
[ "$1" = --quiet ] && shift
for unit; do
  pid=$(cat "{units}/$unit.pid" 2>/dev/null)
  case $verb in
    is-active) [ -n "$pid" ] && alive "$pid" || exit 3 ;;
    stop)
      kill "$pid"
      while alive "$pid"; do sleep 0.01; done
      rm "{units}/$unit.pid"
      echo "stop $unit" >>"{units}/history" ;;
    start) setsid "{units}/$unit" >/dev/null 2>&1 </dev/null & echo $! >"{units}/$unit.pid"; echo "start $unit" >>"{units}/history" ;;
  esac
done
"""


class Writer:
    """A client that inserts rows into the table `written` and never gives up; `acknowledged` holds what was committed."""

    def __init__(self, cluster: Cluster, database: str, place: Path) -> None:
        self.acknowledged = place / "acknowledged"
        script = place / "writer.py"
        script.write_text(WRITER)
        self.command = [sys.executable, str(script), str(cluster.socket_directory), str(cluster.port), database, str(self.acknowledged)]

    def rows(self) -> dict[int, list[int]]:
        """Committed numbers by the OID of the database they went into."""
        found: dict[int, list[int]] = {}
        for line in self.acknowledged.read_text().splitlines():
            number, oid = json.loads(line)
            found.setdefault(oid, []).append(number)
        return found

    def count(self) -> int:
        """How many rows were committed so far."""
        return len(self.acknowledged.read_text().splitlines()) if self.acknowledged.exists() else 0

    def wait_for_more(self) -> None:
        """Wait until it has written something more."""
        before = self.count()
        wait_until(lambda: self.count() > before, "the writer to write")


@contextmanager
def writing(pgkeeper: Pgkeeper, database: str) -> Iterator[Writer]:
    """Run a writer that no service manager knows."""
    place = make_service_directory(pgkeeper.home / "writer")
    writer = Writer(pgkeeper.cluster, database, place)
    process = subprocess.Popen(writer.command, user=SERVICE_USER, group=SERVICE_USER, extra_groups=[], cwd="/")
    try:
        writer.wait_for_more()
        yield writer
    finally:
        process.kill()
        process.wait()


class Application:
    """A service that runs a writer, and root's helper that stops and starts it when pgkeeper asks."""

    def __init__(self, pgkeeper: Pgkeeper, database: str) -> None:
        self._spool = pgkeeper.state / "services"
        self.units = make_service_directory(pgkeeper.home / "units", 0o755)
        self._state = pgkeeper.home / "helper-state"
        self._state.mkdir()
        self._list = pgkeeper.home / "services"
        self._list.write_text("# what may be stopped\nwriter\nidle\n")
        self.writer = Writer(pgkeeper.cluster, database, make_service_directory(pgkeeper.home / "writer"))
        self._systemctl = self._script(self.units / "systemctl", SYSTEMCTL.format(units=self.units))
        command = " ".join(f"'{part}'" for part in self.writer.command)
        self._script(
            self.units / "writer", f"#!/bin/sh\nexec setpriv --reuid {SERVICE_USER} --regid {SERVICE_USER} --clear-groups {command}\n"
        )
        pgkeeper.configure(BACKUP_APP_SERVICES="writer, idle")
        self._over = threading.Event()
        self._helper = threading.Thread(target=self._serve)

    @staticmethod
    def _script(path: Path, text: str) -> Path:
        path.write_text(text)
        path.chmod(0o755)
        return path

    def systemctl(self, *arguments: str) -> bool:
        """Rule the services, as their owner would; returns whether it went well."""
        return subprocess.run([str(self._systemctl), *arguments], check=False).returncode == 0

    @property
    def runs(self) -> bool:
        """Whether the service runs."""
        return self.systemctl("is-active", "writer")

    def history(self) -> list[str]:
        """What was stopped and started, in order."""
        path = self.units / "history"
        return path.read_text().splitlines() if path.exists() else []

    def _serve(self) -> None:
        while not self._over.wait(0.01):
            if (self._spool / "request").exists():
                arguments = [str(self._spool), str(self._list), str(self._state), str(self._systemctl)]
                subprocess.run(["/usr/bin/python3", str(HELPER), *arguments], check=False, env={"PATH": os.environ["PATH"]})

    @contextmanager
    def running(self) -> Iterator[Application]:
        """Run the service and the helper for the length of the block."""
        self.systemctl("start", "writer")
        self._helper.start()
        try:
            self.writer.wait_for_more()
            yield self
        finally:
            self._over.set()
            self._helper.join()
            if self.runs:
                self.systemctl("stop", "writer")
