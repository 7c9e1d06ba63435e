"""Production is replaced by a cluster that is recovered beside: everything slow happens there, while production runs, if it does.

Then services and PostgreSQL are stopped for as long as a few renames take. The old files are kept.
"""

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from pgkeeper.model.cluster_replacement import ClusterReplacement
from pgkeeper.model.errors import OperationFailed, RefusedError
from pgkeeper.model.exchange import Place, exchange, kept_directory, kept_tablespace
from pgkeeper.model.sizes import format_size
from pgkeeper.operations.cluster_exchange import Exchanged, exchange_recovered
from pgkeeper.operations.cluster_replacements import ClusterJournal
from pgkeeper.operations.fit_for_production import prepare_for_production
from pgkeeper.operations.pitr_request import Planned
from pgkeeper.operations.production import Production, Replacing, require_writable
from pgkeeper.operations.recovered_pages import PagesSeen, check_all_pages
from pgkeeper.operations.recovery import Recovery, size_of
from pgkeeper.postgres.data_directory import major_of, tablespace_links, tablespace_version_directory
from pgkeeper.postgres.side_cluster import SideCluster

_RESERVE = 256 << 20
_IN_PLACE_COSTS = (
    "--in-place writes over production's files: it is down for the whole recovery then, and they are not kept, so there is no undo"
)


class ReplaceBeside:
    """One replacement on its way; the caller holds the lock."""

    def __init__(self, replacing: Replacing) -> None:
        self._replacing = replacing
        self._production = replacing.production
        stamp = replacing.stamp
        self._coming = Path(kept_directory(str(self._production.data), stamp, "next"))
        self._kept = kept_directory(str(self._production.data), stamp, "before")
        self._side = SideCluster(replacing.settings.pitr_dir / f"replace-{stamp}", self._coming)
        self.recovery = Recovery(replacing.planned, self._side, replacing.settings, replacing.progress)
        self.seen = PagesSeen()

    def run(self) -> tuple[ClusterReplacement, Exchanged]:
        """Do it; returns what the journal tells then, and what came of it. Raises PgkeeperError, after everything is as it was."""
        locations = self.recovery.tablespaces()
        self._side.require_usable()
        require_possible(self._replacing.planned, self._production, locations.values())
        coming = {oid: self._waits_in(location) for oid, location in locations.items()}
        unusable = bool(self._replacing.down)
        if unusable:
            aside = f"{self._kept}, and in .pgkeeper-before-{self._replacing.stamp} of tablespaces"
            self.recovery.warnings.append(f"what a recovery in place left unfinished lies in {aside}; it is of no use, remove it")
        journal = self._replacing.begin(
            kept_as=self._kept if self._production.there and not unusable else "",
            coming=tuple(map(str, (self._side.directory, self._coming, *coming.values()))),
            recovering=str(self._coming),
            found_unusable=unusable,
        )
        return exchange_recovered(
            journal, lambda: self._recover(journal, locations, coming), self._replacing.settings, self._replacing.progress
        )

    def _recover(self, journal: ClusterJournal, locations: Mapping[int, Path], coming: Mapping[int, Path]) -> None:
        self._side.directory.mkdir(mode=0o700, parents=True)
        self.recovery.fetch(coming)

        def place_for(location: Path) -> Path:
            require_writable(location)
            place = self._waits_in(location)
            whole = (self._side.directory, self._coming, *coming.values(), *self.recovery.made.values(), place)
            journal.note("begun", coming=tuple(map(str, whole)))
            return place

        found = self.recovery.recover(place_for)
        with self.recovery.phase("look into every page", "check"):
            self.seen = check_all_pages(self._side)
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
        return Place(used=str(self._production.data), coming=str(self._coming), kept=self._kept, lost=not self._production.there)

    def _tablespace(self, location: Path) -> Place:
        major = major_of(self._coming)
        inside = tablespace_version_directory(self._waits_in(location), major)
        if inside is None:
            raise OperationFailed(f"nothing was recovered of the tablespace in {location}", f"there is no PG_{major}_…")
        return tablespace_place(location, inside, kept_tablespace(str(location), self._replacing.stamp, "before"))

    def _waits_in(self, location: Path) -> Path:
        """Return where the recovered files of a tablespace wait."""
        return Path(kept_tablespace(str(location), self._replacing.stamp, "next"))


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
        require_writable(location)
    size = size_of(planned)
    free = shutil.disk_usage(data.parent).free
    if free < size + _RESERVE:
        raise RefusedError(
            f"there is too little space beside {data}",
            f"the recovered cluster takes {format_size(size)}, {format_size(free)} are free",
            f"free some space, as the files that are there now are kept until you remove them; or {_IN_PLACE_COSTS}",
        )


def tablespace_place(location: Path, coming: Path, kept: str) -> Place:
    """Return the exchange of one tablespace's files: the directory of PostgreSQL's version in its location."""
    used = location / coming.name
    return Place(used=str(used), coming=str(coming), kept=f"{kept}/{coming.name}", lost=not used.exists())
