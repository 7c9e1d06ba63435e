"""Production is replaced where there is no room for a second cluster: its own files are written over, and recovered.

It is down from the first byte to the last, and its files of before are gone. So its log is archived to the end first: a later moment can
still be recovered then. Killed in between, what is there is a mixture, and nothing starts PostgreSQL on it (`settle_cluster`).
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

from pgkeeper.host.owned import not_ours
from pgkeeper.host.used_space import bytes_in
from pgkeeper.model.cluster_replacement import ClusterReplacement
from pgkeeper.model.counts import count
from pgkeeper.model.errors import OperationFailed, RefusedError
from pgkeeper.model.shell import quoted
from pgkeeper.model.sizes import format_size
from pgkeeper.operations.cluster_exchange import Exchanged, exchange_in_place
from pgkeeper.operations.cluster_replacements import ClusterJournal
from pgkeeper.operations.fit_for_production import prepare_for_production, require_shut_down
from pgkeeper.operations.pitr import pgbackrest
from pgkeeper.operations.pitr_archiving import look_at_archiving
from pgkeeper.operations.pitr_request import Planned
from pgkeeper.operations.places import server
from pgkeeper.operations.production import Production, Replacing, require_writable
from pgkeeper.operations.recovered_pages import PagesSeen, check_all_pages
from pgkeeper.operations.recovery import Recovery, size_of
from pgkeeper.operations.side_place import productions_tablespaces
from pgkeeper.pgbackrest.archive_has import archive_has
from pgkeeper.pgbackrest.restore import backup_links
from pgkeeper.postgres.archiving import archives
from pgkeeper.postgres.data_directory import (
    control_facts,
    forget_dead_server,
    major_of,
    tablespace_links,
    tablespace_version_directory,
    waiting_for_archive,
)
from pgkeeper.postgres.side_cluster import SideCluster
from pgkeeper.settings import Settings

_ARCHIVED = timedelta(seconds=120)
_RESERVE = 64 << 20


class ReplaceInPlace:
    """One replacement on its way; the caller holds the lock."""

    def __init__(self, replacing: Replacing) -> None:
        self._replacing = replacing
        self._planned = replacing.planned
        self._settings = replacing.settings
        self._data = replacing.production.data
        self._side = SideCluster(replacing.settings.pitr_dir / f"replace-{replacing.stamp}", self._data)
        self.recovery = Recovery(replacing.planned, self._side, replacing.settings, replacing.progress, in_place=True)
        self.seen = PagesSeen()

    def run(self) -> tuple[ClusterReplacement, Exchanged]:
        """Do it; returns what the journal tells then, and what came of it.

        Raises PgkeeperError: before anything was written over everything is as it was, afterwards the message says how it is.
        """
        locations = set(self.recovery.tablespaces().values())
        self._side.require_usable()
        require_possible_in_place(self._planned, self._replacing.production, locations, self._settings)
        # Where production does not run nobody can be asked, later the links to them are gone.
        younger = [location for location in productions_tablespaces(self._settings) if location not in locations]
        unusable = bool(self._replacing.down) or not (self._data / "PG_VERSION").exists()
        if not self._replacing.production.running and (lost := _lost_log(self._data)):
            self.recovery.warnings.append(lost)
        journal = self._replacing.begin(coming=(str(self._side.directory),), in_place=True, found_unusable=unusable)
        return exchange_in_place(journal, self._archive, lambda: self._recover(journal, younger), self._settings, self._replacing.progress)

    def _archive(self) -> None:
        """See everything that was written until now archived, and refuse to go on otherwise: it is about to be written over."""
        if not self._replacing.production.running:
            return
        with self.recovery.phase("archive the log to its end", "archive"):
            problem = look_at_archiving(self._settings).problem
            if not problem:
                segment, problem = archives(server(self._settings), _ARCHIVED)
                archive_id = self._planned.contents.info.archive_id
                if not problem and not archive_has(pgbackrest(self._settings), self._planned.plan.repository, archive_id, segment):
                    problem = f"the server takes its log for archived, but segment {segment} is not in the repository"
        if problem:
            raise RefusedError(
                "production was not written over",
                f"its log cannot be archived to the end, and what was written last would be lost for good: {problem}",
                "`pgkeeper pitr check` says more",
            )

    def _recover(self, journal: ClusterJournal, younger: Iterable[Path]) -> None:
        if self._replacing.production.running:
            self._require_archived_to_the_end()
        journal.note("overwriting")
        forget_dead_server(self._data)
        if (self._data / "PG_VERSION").exists():
            for location in younger:
                self._clear(location)
        self._side.directory.mkdir(mode=0o700, parents=True)
        self.recovery.fetch_over()

        def place_for(location: Path) -> Path:
            # What lies there is of a later state, under the same names.
            require_writable(location)
            self._clear(location)
            return location

        found = self.recovery.recover(place_for)
        with self.recovery.phase("look into every page", "check"):
            self.seen = check_all_pages(self._side, only_copy=True)
        self.recovery.warnings += self.seen.warnings
        self._side.stop()
        require_shut_down(self._side, found.timeline)
        # From here on the files are whole. Only then do they get production's settings, by which somebody may start them and be reached.
        tablespaces = {oid: str(location) for oid, location in tablespace_links(self._data).items()}
        journal.note("recovered", timeline=found.timeline, tablespaces=tablespaces)
        prepare_for_production(self._side, found.timeline)

    def _require_archived_to_the_end(self) -> None:
        """Raise OperationFailed where something was written between the end of the last segment that was seen and PostgreSQL's own end."""
        state = control_facts(self._data).state
        if state != "shut down":
            raise OperationFailed("PostgreSQL was not shut down as it should be", state, "look into its log")
        if waiting := waiting_for_archive(self._data):
            why = f"the end of its log was not archived: {', '.join(waiting)}"
            raise OperationFailed("production was not written over", why, "`pgkeeper pitr check` says more")

    def _clear(self, location: Path) -> None:
        """Remove what a tablespace of production holds; it is none of the backup's."""
        inside = tablespace_version_directory(location, major_of(self._data))
        if inside is not None:
            shutil.rmtree(inside)


def require_possible_in_place(planned: Planned, production: Production, locations: Iterable[Path], settings: Settings) -> None:
    """Refuse before anything is touched what would be refused, or fail, later; `locations` are the tablespaces' of the backup."""
    data = production.data
    _require_asked(production)
    for location in locations:
        require_writable(location)
    links = backup_links(pgbackrest(settings), planned.plan.repository, planned.plan.backup, data)
    for path in (data if data.exists() else data.parent, *links):
        if not os.access(path, os.W_OK):
            raise RefusedError(f"{data} cannot be written over", f"user postgres may not write to {path}", "make that postgres's own")
    used = (data, *_contents({*locations, *productions_tablespaces(settings)}))
    for place in used:
        # pgBackRest gives every file its owner, and would end in the middle.
        if (theirs := not_ours(place)) is not None:
            raise RefusedError(
                f"{data} cannot be written over", f"{theirs} is not postgres's own", f"chown -h postgres:postgres {quoted(theirs)}"
            )
    _require_same(data, planned.contents.info.system_identifier)
    size = size_of(planned)
    room = shutil.disk_usage(data if data.exists() else data.parent).free
    room += sum(bytes_in(place) for place in used)
    if room < size + _RESERVE:
        raise RefusedError(
            f"there is too little space in {data}",
            f"the recovered cluster takes {format_size(size)}, and there are {format_size(room)} with what is written over",
            "free some space, or begin with an earlier backup (--backup)",
        )


def _contents(tablespaces: Iterable[Path]) -> Iterator[Path]:
    for location in tablespaces:
        yield from location.glob("PG_*")


def cost_in_place(production: Production) -> str:
    """Return what whoever asks for it must know."""
    lost = "" if production.running else _lost_log(production.data)
    return "production would be down for the whole recovery, and nothing of its files would be kept" + (f"; {lost}" if lost else "")


def _lost_log(data: Path) -> str:
    """Return what is lost for good of the log of a server that does not run; empty where all of it is archived, or nothing known."""
    try:
        shut_down = control_facts(data).state == "shut down"
    except OperationFailed:
        return ""
    waiting = waiting_for_archive(data)
    if shut_down and not waiting:
        return ""
    files = f", {count(len(waiting), 'file')} and" if waiting else ","
    return f"PostgreSQL does not run, and the end of its log is not archived{files} what was written last: it is lost then"


def _require_asked(production: Production) -> None:
    """Refuse where PostgreSQL runs, but nobody can see to it that its log is archived to the end."""
    if (error := production.unreachable) is not None:
        raise RefusedError(
            f"{production.data} is not written over",
            f"PostgreSQL runs on it, but cannot be asked whether its log is archived to the end: {error.why or error.what}",
            f"{error.hint or 'let pgkeeper connect'}; or stop PostgreSQL, if what was written last may be lost",
        )


def _require_same(data: Path, system_identifier: str) -> None:
    """Refuse to write over another cluster than the one that the backup is of."""
    if not (data / "global" / "pg_control").exists():
        return
    found = control_facts(data).system_identifier
    if found != system_identifier:
        raise RefusedError(f"{data} is not written over", f"it holds another cluster, {found}, than the backup, {system_identifier}")
