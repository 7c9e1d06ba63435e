"""A side cluster: a copy of production's files that is recovered and runs beside it, and can do it no harm.

Its settings are ours. Those of production that came with its files would reach out: archive into production's repository, steal the slots
of its subscriptions, wait for its synchronous standbys, remove its pid file. They stay beside as a file, for reading. Ours stand in
postgresql.auto.conf, which wins over every other file, so that they also hold for whoever starts the cluster by hand.

Nor can its server write anywhere but to its own files (`host.confinement`). The log says of each tablespace where it was made: replaying
that would otherwise write into production's, as it bears the same names.
"""

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pgkeeper.host.confinement import confined, confinement_problem
from pgkeeper.host.durable import fsync_directory, replace_file
from pgkeeper.host.processes import run
from pgkeeper.model.errors import ConfigurationError, OperationFailed
from pgkeeper.postgres.data_directory import control_values, is_running, major_of, server_pid, tablespace_links
from pgkeeper.postgres.facts import ClusterIdentity, identify
from pgkeeper.postgres.programs import program
from pgkeeper.postgres.server import Server, told

PORT = 5432
_SOCKET = f".s.PGSQL.{PORT}"
_LONGEST_SOCKET_PATH = 107
_POLL_SECONDS = 0.1
_START_SECONDS = 60
_STOP_SECONDS = 300
_STILL_SECONDS = 900
"""For so long recovery may show no progress before it is given up: an archive that does not answer is asked again and again."""
_LAST_BYTES = 16 << 10
# But for what it tells those who ask too early, or too late: us.
_FATAL = re.compile(r"PANIC:|FATAL:  (?!the database system is )")
# What a confined server says of a tablespace that was made in the log it replays.
_MADE_ELSEWHERE = re.compile(r'could not set permissions on directory "(.+)": Read-only file system')
# The title of its startup process, while it replays a segment and while that is fetched (access/transam/xlogarchive.c, xlogrecovery.c).
_RECOVERING = re.compile(r"startup (?:recovering|waiting for) ([0-9A-F]{24})")
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
_PRODUCTIONS = "postgresql.auto.conf.production"
_AUTO = "postgresql.auto.conf"
_NAME = "side/"
# ALTER SYSTEM leaves the settings of a file, but no remark that would tell whose it is.
_OURS = re.compile(rf"^cluster_name = '{_NAME}", re.MULTILINE)

_ACCESS = "local all postgres peer map=owner\n"
_IDENTITIES = "owner postgres postgres\n"
_HARMLESS = {
    "listen_addresses": "",
    "port": str(PORT),
    "external_pid_file": "",
    "archive_mode": "off",
    "archive_command": "",
    "primary_conninfo": "",
    "primary_slot_name": "",
    "synchronous_standby_names": "",
    "max_logical_replication_workers": "0",
    # Schedulers and other workers of extensions, which would do again what production does.
    "shared_preload_libraries": "",
    "session_preload_libraries": "",
    "local_preload_libraries": "",
    "autovacuum": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
    "ssl": "off",
    "huge_pages": "off",
    "shared_buffers": "128MB",
    "restore_command": "",
    "recovery_end_command": "",
    "archive_cleanup_command": "",
    # Nobody reads while it recovers, and so production's limits need not be reached.
    "hot_standby": "off",
}
_SINCE = {"archive_library": 15, "event_triggers": 17, "summarize_wal": 17, "sync_replication_slots": 17}
_HARMLESS_SINCE = {"archive_library": "", "event_triggers": "off", "summarize_wal": "off", "sync_replication_slots": "off"}
# What recovery needs at least (pg_controldata): the server would not start with less.
_LIMITS = {
    "max_connections": "max_connections setting",
    "max_worker_processes": "max_worker_processes setting",
    "max_wal_senders": "max_wal_senders setting",
    "max_prepared_transactions": "max_prepared_xacts setting",
    "max_locks_per_transaction": "max_locks_per_xact setting",
}


@dataclass(frozen=True)
class SideCluster:
    """A side cluster: its files are in `data`; sockets, access rules and log are in `directory`."""

    directory: Path
    data: Path

    @property
    def server(self) -> Server:
        """How to reach it. Everything is said, so that nothing in the environment leads to production."""
        return Server(
            {
                "PGHOST": str(self.directory),
                "PGHOSTADDR": "",
                "PGPORT": str(PORT),
                "PGUSER": "postgres",
                "PGPASSWORD": "",
                "PGSSLMODE": "disable",
            }
        )

    @property
    def log(self) -> Path:
        """What its server says."""
        return self.directory / "server.log"

    @property
    def running(self) -> bool:
        """Whether its server runs."""
        return is_running(self.data)

    @property
    def configured(self) -> bool:
        """Whether our settings stand in the place of production's. Only then can a server of ours be at work on the files."""
        return _are_ours(self.data / _AUTO)

    def require_usable(self) -> None:
        """Raise ConfigurationError (exit status 3) where no socket can be in the directory."""
        if len(os.fsencode(self.directory / _SOCKET)) > _LONGEST_SOCKET_PATH:
            longest = f"a socket's path has {_LONGEST_SOCKET_PATH} bytes at most"
            raise ConfigurationError(f"the path {self.directory} is too long", longest, "choose a shorter one")

    def configure(self, recovery: Mapping[str, str]) -> None:
        """Write our settings in the place of production's, and have the cluster recover by `recovery` when it is started.

        Safe to do twice.
        """
        major = major_of(self.data)
        facts = control_values(self.data)
        auto, kept = self.data / _AUTO, self.directory / _PRODUCTIONS
        if auto.exists() and not kept.exists() and not _are_ours(auto):
            replace_file(kept, auto.read_bytes())
        settings = _HARMLESS | {name: value for name, value in _HARMLESS_SINCE.items() if _SINCE[name] <= major}
        settings |= {name: facts[said] for name, said in _LIMITS.items() if said in facts}
        settings |= {"unix_socket_directories": str(self.directory), "cluster_name": f"{_NAME}{self.directory.name}"[:63], **recovery}
        replace_file(auto, "".join(f"{name} = {_literal(value)}\n" for name, value in settings.items()).encode())
        files = {"data_directory": self.data, "hba_file": self.directory / "pg_hba.conf", "ident_file": self.directory / "pg_ident.conf"}
        replace_file(self._settings, "".join(f"{name} = {_literal(str(path))}\n" for name, path in files.items()).encode())
        replace_file(files["hba_file"], _ACCESS.encode())
        replace_file(files["ident_file"], _IDENTITIES.encode())
        replace_file(self.data / "recovery.signal", b"")
        (self.data / "standby.signal").unlink(missing_ok=True)

    def recover(self, watch: Callable[[str], None], place_for: Callable[[Path], Path]) -> ClusterIdentity:
        """Start the server and return what it is once it has recovered and is open; `watch` is told which segment is being replayed.

        `place_for` makes a directory for a tablespace that was made in the log, and is told where; the files go there, and nowhere else.
        The links of the cluster still lead to where it was made: to production's files, for whoever starts the cluster by hand.
        The server goes on when we end. Raises OperationFailed with the server's own words when it ends before, or stands still.
        """
        instead: dict[Path, Path] = {}
        while (found := self._recover(watch, instead)) is None:
            location = Path(self._made_elsewhere())
            if location in instead:
                raise OperationFailed("recovery failed", self.last_words(), f"its log is {self.log}")
            instead[location] = place_for(location)
        return found

    def _recover(self, watch: Callable[[str], None], instead: Mapping[Path, Path]) -> ClusterIdentity | None:
        """Recover as `recover` does; None when the server has ended at a tablespace that has no place yet."""
        self._start(instead)
        before, since = "", time.monotonic()
        while True:
            if not self.running:
                if self._made_elsewhere():
                    return None
                raise OperationFailed("recovery failed", self.last_words() or "its server has ended", f"its log is {self.log}")
            now = _replaying(server_pid(self.data))
            if now != before:
                before, since = now, time.monotonic()
                watch(now)
            try:
                with self.server.connect_maintenance() as session, told("looking at the side cluster"):
                    if not identify(session).standby:
                        # The control file tells the new timeline from the next checkpoint on.
                        session.execute("CHECKPOINT")
                        return identify(session)
            except OperationFailed:
                if time.monotonic() - since > _STILL_SECONDS:
                    raise OperationFailed(
                        "recovery stands still",
                        f"nothing was replayed for {_STILL_SECONDS} s; {self.last_words()}",
                        f"its log is {self.log}",
                    ) from None
            time.sleep(_POLL_SECONDS)

    def _made_elsewhere(self) -> str:
        """Return where the tablespace was made at which the server has ended; empty when it ended at anything else."""
        found = _MADE_ELSEWHERE.search(self.last_words())
        return found[1] if found else ""

    def _start(self, instead: Mapping[Path, Path]) -> None:
        """Start the server, and return when there is one; it goes on when we end. Raises OperationFailed."""
        pg_ctl = program("pg_ctl", major_of(self.data), same=True)
        for left in (self.directory / _SOCKET, self.log):
            left.unlink(missing_ok=True)
        options = f"-c config_file={_shell(self._settings)}"
        call: Sequence[str | Path] = [pg_ctl, "start", "-W", "-s", "-D", self.data, "-l", self.log, "-o", options]
        if not confinement_problem():
            own = [self.directory, self.data, self.data / "pg_wal"]
            own += [location for location in tablespace_links(self.data).values() if location not in instead]
            call = confined(call, own, instead)
        run(call, _ENVIRONMENT, timeout=_START_SECONDS)
        deadline = time.monotonic() + _START_SECONDS
        while not self.running and time.monotonic() < deadline and not self.last_words():
            time.sleep(_POLL_SECONDS)

    def start(self) -> None:
        """Start the server of a cluster that was recovered, and return when it lets somebody in; nothing happens while it runs.

        Raises OperationFailed with the server's own words when it does not.
        """
        if not self.running:
            self._start({})
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                with self.server.connect_maintenance():
                    return
            except OperationFailed:
                if not self.running or time.monotonic() > deadline:
                    words = self.last_words() or "its server does not answer"
                    raise OperationFailed("the side cluster does not start", words, f"its log is {self.log}") from None
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Shut the server down; nothing happens when it does not run. Raises OperationFailed when it does not end."""
        if self.running:
            pg_ctl = program("pg_ctl", major_of(self.data), same=True)
            options = ["-w", "-s", "-m", "fast", "-t", str(_STOP_SECONDS)]
            run([pg_ctl, "stop", *options, "-D", self.data], _ENVIRONMENT, timeout=_STOP_SECONDS + 30)

    def give_back(self) -> None:
        """Take our settings away, and put those that came with the files in their place: the cluster is to be production.

        It was shut down before. Safe to do twice.
        """
        kept = self.directory / _PRODUCTIONS
        if self.configured:
            replace_file(self.data / _AUTO, kept.read_bytes() if kept.exists() else b"")
        # What the server was started with leads to our settings too.
        for name in ("recovery.signal", "standby.signal", "postmaster.opts"):
            (self.data / name).unlink(missing_ok=True)
        fsync_directory(self.data)

    def last_words(self) -> str:
        """Return the last fatal message of the server's log, with what it says more about it; empty when there is none."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - _LAST_BYTES))
                lines = file.read().decode("utf-8", "replace").splitlines()
        except FileNotFoundError:
            return ""
        last = max((number for number, line in enumerate(lines) if _FATAL.search(line)), default=None)
        if last is None:
            return ""
        words = [line.partition("FATAL:")[2] or line.partition("PANIC:")[2] or line for line in lines[last : last + 1]]
        more = [line.partition(sign)[2] for line in lines[last + 1 : last + 4] for sign in ("DETAIL:", "HINT:") if sign in line]
        return "; ".join(word.strip() for word in (*words, *more))

    @property
    def _settings(self) -> Path:
        return self.directory / "postgresql.conf"


def _are_ours(settings: Path) -> bool:
    """Tell whether a file of settings is one that we wrote for a side cluster, and not production's."""
    try:
        return bool(_OURS.search(settings.read_text(encoding="utf-8", errors="replace")))
    except FileNotFoundError:
        return False


def _replaying(pid: int | None) -> str:
    """Return which segment a server's startup process replays or fetches, as its title says; empty when it says none."""
    if pid is None:
        return ""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        titles = [Path(f"/proc/{child}/cmdline").read_bytes().decode("utf-8", "replace") for child in children]
    except OSError:
        return ""
    return next((found[1] for title in titles if (found := _RECOVERING.search(title))), "")


def _literal(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _shell(path: Path) -> str:
    return "'" + str(path).replace("'", "'\\''") + "'"
