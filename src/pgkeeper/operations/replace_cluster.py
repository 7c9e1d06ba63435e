"""Recover the whole cluster to a moment, and put it in the place of production's.

Everything slow happens beside, while production runs, if it does: fetching, replaying, looking into every page. Then services and
PostgreSQL are stopped for as long as a few renames take. The old files are kept.
"""

import os
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import Field

from pgkeeper.host.locks import exclusive
from pgkeeper.host.logs import log
from pgkeeper.host.services import Services
from pgkeeper.model.cluster_replacement import ClusterReplacement
from pgkeeper.model.errors import ConfigurationError, OperationFailed, PgkeeperError, RefusedError
from pgkeeper.model.exchange import Place, exchange, kept_directory, kept_tablespace
from pgkeeper.model.progress import Progress
from pgkeeper.model.replacement import CONFIRMATION
from pgkeeper.model.repository import RepositoryName
from pgkeeper.model.sizes import format_size
from pgkeeper.operations.asked_before import asked_for, replaced_before
from pgkeeper.operations.cluster_exchange import exchange_recovered
from pgkeeper.operations.cluster_replacements import ClusterJournal
from pgkeeper.operations.pitr_backup import PitrBackupRequest, pitr_backup
from pgkeeper.operations.pitr_request import Planned, RecoveryWish, plan_wish
from pgkeeper.operations.places import server
from pgkeeper.operations.recovery import Recovery, check_all_pages, size_of, target_told
from pgkeeper.operations.reports import Message
from pgkeeper.operations.settle_cluster import server_unit, settle_clusters
from pgkeeper.pgbackrest.configuration import configured_paths
from pgkeeper.postgres.data_directory import announce_timeline, control_facts, major_of, tablespace_links, tablespace_version_directory
from pgkeeper.postgres.facts import identify
from pgkeeper.postgres.server import told
from pgkeeper.postgres.side_cluster import SideCluster
from pgkeeper.settings import Settings

_STAMP = "%Y%m%dT%H%M%SZ"
_RESERVE = 256 << 20


class ReplaceClusterRequest(Message):
    """To which moment production goes back. `confirmation` must be the word RESTORE. With a `request_id` it is done once for all."""

    wish: RecoveryWish
    confirmation: str = ""
    request_id: str | None = None
    wait: timedelta = timedelta()


class ReplaceClusterReport(Message):
    """What was done. `kept_as` holds production's files as they were; `downtime_seconds` is how long production was down.

    `timeline` is the one production is on now. `archived` is False where its log does not arrive in the repository, for `archive_problem`;
    `backup` is the full backup that was made afterwards, None where that failed. `unchecked` are databases whose pages could not be looked
    into. `changed` is False when the request was done before.
    """

    replacement_id: str
    target: str
    repository: RepositoryName | None
    recovered_from: str
    timeline: int
    kept_as: str
    changed: bool = True
    replaced_at: datetime
    downtime_seconds: float
    seconds: float
    archived: bool
    archive_problem: str = ""
    backup: str | None = None
    unchecked: tuple[str, ...] = ()
    phases: dict[str, float] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    request_id: str | None = None

    @property
    def exit_status(self) -> int:
        """Return 1 where production runs, but cannot be recovered again: its log is not archived, or there is no backup to go with it."""
        return int(self.changed and not (self.archived and self.backup))


@dataclass(frozen=True)
class Production:
    """What is to be replaced: its data directory, which may be gone, and whether its server runs."""

    data: Path
    there: bool
    running: bool


def replace_cluster(request: ReplaceClusterRequest, settings: Settings, progress: Progress) -> ReplaceClusterReport:
    """Put production back to a moment, and keep its files as they are beside.

    Raises PgkeeperError: RefusedError without the confirmation, or where it can't be done safely. Whatever goes wrong, production runs
    again as it did, unless the message says otherwise.
    """
    began = time.monotonic()
    with exclusive(settings.state_dir, "pitr replace", "a replacement of the cluster", request.wait):
        for said in settle_clusters(settings, progress):
            progress.note(said)
        before, _ = replaced_before("replace", request.request_id, asked_for(request.wish), settings)
        if before is not None:
            return as_before(before)
        planned = plan_wish(request.wish, settings, progress)
        production = find_production(settings)
        _require_confirmed(request, planned, production)
        require_helpers(settings)
        return _Replacing(request, planned, production, settings, progress).run(began)


class _Replacing:
    """One replacement on its way; the caller holds the lock."""

    def __init__(
        self, request: ReplaceClusterRequest, planned: Planned, production: Production, settings: Settings, progress: Progress
    ) -> None:
        self._request = request
        self._planned = planned
        self._production = production
        self._settings = settings
        self._progress = progress
        self._at = datetime.now(UTC)
        self._stamp = self._at.strftime(_STAMP)
        self._coming = Path(kept_directory(str(production.data), self._stamp, "next"))
        self._side = SideCluster(settings.pitr_dir / f"replace-{self._stamp}", self._coming)
        self._unchecked: tuple[str, ...] = ()

    def run(self, began: float) -> ReplaceClusterReport:
        recovery = Recovery(self._planned, self._side, self._settings, self._progress)
        locations = recovery.tablespaces()
        self._side.require_usable()
        require_possible(self._planned, self._production, locations.values())
        kept = kept_directory(str(self._production.data), self._stamp, "before")
        coming = {oid: self._waits_in(location) for oid, location in locations.items()}
        journal = ClusterJournal.begin(
            self._settings, self._at,
            kind="replace", system_identifier=self._planned.contents.info.system_identifier,
            data_directory=str(self._production.data), kept_as=kept if self._production.there else "", target=target_told(self._planned),
            coming=tuple(map(str, (self._side.directory, self._coming, *coming.values()))),
            backup=self._planned.plan.backup, request_id=self._request.request_id, asked=asked_for(self._request.wish),
        )  # fmt: skip
        known, exchanged = exchange_recovered(
            journal, lambda: self._recover(journal, recovery, locations, coming), self._settings, self._progress
        )
        log.info("cluster replaced", target=known.target, downtime_seconds=exchanged.downtime_seconds, kept_as=known.kept_as)
        label, warnings = back_up(self._settings, self._progress)
        return ReplaceClusterReport(
            replacement_id=known.replacement_id,
            target=known.target,
            repository=self._request.wish.source,
            recovered_from=known.backup,
            timeline=known.timeline,
            kept_as=known.kept_as,
            replaced_at=datetime.now(UTC),
            downtime_seconds=exchanged.downtime_seconds,
            seconds=round(time.monotonic() - began, 3),
            archived=exchanged.archived.arrived,
            archive_problem=exchanged.archived.problem,
            backup=label,
            unchecked=self._unchecked,
            phases=recovery.phases,
            warnings=(*recovery.warnings, *warnings),
            request_id=self._request.request_id,
        )

    def _recover(self, journal: ClusterJournal, recovery: Recovery, locations: Mapping[int, Path], coming: Mapping[int, Path]) -> None:
        self._side.directory.mkdir(mode=0o700, parents=True)
        recovery.fetch(coming)

        def place_for(location: Path) -> Path:
            _require_writable(location)
            place = self._waits_in(location)
            whole = (self._side.directory, self._coming, *coming.values(), *recovery.made.values(), place)
            journal.note("begun", coming=tuple(map(str, whole)))
            return place

        found = recovery.recover(place_for)
        with recovery.phase("look into every page", "check"):
            self._unchecked = check_all_pages(self._side)
        self._side.stop()
        prepare_for_production(self._side, found.timeline)
        # Those of the backup that are still there, and those that were made after it.
        lie_in = {coming[oid]: location for oid, location in locations.items()}
        tablespaces = {oid: lie_in.get(place, place) for oid, place in tablespace_links(self._coming).items()}
        journal.note(
            "recovered",
            moves=exchange(self._data(), [self._tablespace(location) for location in tablespaces.values()]),
            timeline=found.timeline,
            tablespaces={oid: str(location) for oid, location in tablespaces.items()},
        )

    def _data(self) -> Place:
        used = self._production.data
        kept = kept_directory(str(used), self._stamp, "before")
        return Place(used=str(used), coming=str(self._coming), kept=kept, lost=not self._production.there)

    def _tablespace(self, location: Path) -> Place:
        major = major_of(self._coming)
        inside = tablespace_version_directory(self._waits_in(location), major)
        if inside is None:
            raise OperationFailed(f"nothing was recovered of the tablespace in {location}", f"there is no PG_{major}_…")
        return tablespace_place(location, inside, kept_tablespace(str(location), self._stamp, "before"))

    def _waits_in(self, location: Path) -> Path:
        """Return where the recovered files of a tablespace wait."""
        return Path(kept_tablespace(str(location), self._stamp, "next"))


def find_production(settings: Settings) -> Production:
    """Return what is to be replaced. Raises ConfigurationError where nobody says where it is, OperationFailed for a standby."""
    try:
        with server(settings).connect_maintenance() as session, told("looking at production"):
            found = identify(session)
    except OperationFailed:
        data, _ = configured_paths(settings.pitr_config_file, settings.pitr_stanza)
        if data is None:
            raise ConfigurationError("nobody says where the cluster is", f"{settings.pitr_config_file} has no pg1-path") from None
        return Production(data, data.exists(), running=False)
    if found.standby:
        raise OperationFailed("this server cannot be replaced", "it is a standby", "set PGHOST and PGPORT to its primary")
    return Production(Path(found.data_directory), there=True, running=True)


def require_possible(planned: Planned, production: Production, locations: Iterable[Path]) -> None:
    """Refuse before anything is written what would be refused later; `locations` are the tablespaces' of the backup."""
    data = production.data
    if not os.access(data.parent, os.W_OK):
        raise RefusedError(
            f"{data} cannot be exchanged for another directory",
            f"user postgres may not write to {data.parent}",
            "make that directory postgres's own, or recover with --to-dir and move the files by hand",
        )
    for location in locations:
        _require_writable(location)
    size = size_of(planned)
    free = shutil.disk_usage(data.parent).free
    if free < size + _RESERVE:
        raise RefusedError(
            f"there is too little space beside {data}",
            f"the recovered cluster takes {format_size(size)}, {format_size(free)} are free",
            "free some space: the files that are there now are kept until you remove them",
        )


def _require_writable(location: Path) -> None:
    if not os.access(location, os.W_OK):
        raise RefusedError(
            f"the tablespace in {location} cannot be brought back", "it is not there, or not postgres's own", f"make {location}"
        )


def require_helpers(settings: Settings) -> None:
    """Find out beforehand whether services and PostgreSQL can be stopped and started. Raises RefusedError (exit status 6)."""
    Services(settings.app_services, settings.state_dir).require_helper()
    server_unit(settings).require_helper()


def prepare_for_production(side: SideCluster, timeline: int) -> None:
    """Make files that were recovered and shut down fit for production. Raises OperationFailed unless they are as they should be."""
    facts = control_facts(side.data)
    if not facts.clean or facts.timeline != timeline:
        raise OperationFailed("the recovered cluster was not shut down as it should be", f"{facts.state}, timeline {facts.timeline}")
    announce_timeline(side.data, timeline, facts)
    side.give_back()
    (side.data / "postmaster.opts").unlink(missing_ok=True)


def tablespace_place(location: Path, coming: Path, kept: str) -> Place:
    """Return the exchange of one tablespace's files: the directory of PostgreSQL's version in its location."""
    used = location / coming.name
    return Place(used=str(used), coming=str(coming), kept=f"{kept}/{coming.name}", lost=not used.exists())


def back_up(settings: Settings, progress: Progress) -> tuple[str | None, tuple[str, ...]]:
    """Make a full backup, with which recoveries on the new timeline begin; return its label, and warnings, of what goes wrong as well."""
    try:
        report = pitr_backup(PitrBackupRequest(kind="full"), settings, progress)
    except PgkeeperError as error:
        return None, (f"there is no full backup yet: {error}",)
    labels = [outcome.backup.label for outcome in report.outcomes if outcome.backup]
    problems = [f"there is no full backup yet in {outcome.repository}: {outcome.error}" for outcome in report.outcomes if outcome.error]
    return (labels[0] if labels else None), (*report.warnings, *problems)


def as_before(known: ClusterReplacement) -> ReplaceClusterReport:
    """Return what is known of a replacement that was done before."""
    return ReplaceClusterReport(
        replacement_id=known.replacement_id,
        target=known.target,
        repository=None,
        recovered_from=known.backup,
        timeline=known.timeline,
        kept_as=known.kept_as,
        changed=False,
        replaced_at=known.changed_at,
        downtime_seconds=0.0,
        seconds=0.0,
        archived=True,
        warnings=("this request was done before; production may have changed since",),
        request_id=known.request_id,
    )


def _require_confirmed(request: ReplaceClusterRequest, planned: Planned, production: Production) -> None:
    if request.confirmation == CONFIRMATION:
        return
    raise RefusedError(
        "the cluster was not replaced",
        f"all its databases would go back to {target_told(planned)}; what was written since would be put aside with {production.data}",
        f"confirm with --confirm {CONFIRMATION}",
    )
