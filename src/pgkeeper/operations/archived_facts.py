"""What was learnt of archived segments, kept so that none is fetched twice: what is archived never changes."""

import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pgkeeper.host.durable import replace_file
from pgkeeper.host.logs import log
from pgkeeper.model.coverage import Commit
from pgkeeper.model.errors import PgkeeperError
from pgkeeper.model.restore_point import RestorePoint
from pgkeeper.model.wal import format_lsn, parse_lsn
from pgkeeper.operations.pitr import pitr_state
from pgkeeper.pgbackrest.archive_get import archive_get
from pgkeeper.pgbackrest.archive_list import ArchivedFile
from pgkeeper.pgbackrest.configuration import configured_paths
from pgkeeper.pgbackrest.info import RepositoryInfo
from pgkeeper.pgbackrest.program import PgBackRest
from pgkeeper.postgres.control_stand_in import control_stand_in
from pgkeeper.postgres.data_directory import system_identifier_in
from pgkeeper.postgres.wal_reader import read_segment, records
from pgkeeper.settings import Settings

_LEFT_BEHIND_SECONDS = 3600.0


class SegmentFacts(BaseModel):
    """What one segment says. `bytes` is its size as PostgreSQL writes it, `minimal_from` the first position that no recovery passes."""

    model_config = ConfigDict(frozen=True)

    bytes: int
    commits: int
    last_commit: Commit | None
    restore_points: tuple[RestorePoint, ...]
    minimal_from: str | None


class _Fork(BaseModel):
    last_commit: Commit | None


class _Known(BaseModel):
    """`forks`: the last commits before positions in segments, by their keys and positions."""

    segments: dict[str, SegmentFacts] = {}
    forks: dict[str, _Fork] = {}


class ArchivedFacts:
    """Facts about segments, by their names and contents. Lost, they are fetched again."""

    def __init__(self, settings: Settings, program: PgBackRest) -> None:
        self._directory = pitr_state(settings)
        self._program = program
        known = _read(self._path)
        self._known, self._forks = dict(known.segments), dict(known.forks)
        self._changed = False
        self._production, _ = configured_paths(settings.pitr_config_file, settings.pitr_stanza)
        self._stand_ins: dict[str, Path] = {}

    @property
    def _path(self) -> Path:
        return self._directory / "segments.json"

    def of(self, repository: RepositoryInfo, segment: ArchivedFile) -> SegmentFacts:
        """Return what a segment says; it is fetched from the repository unless it was before.

        Raises PgBackRestFailed when it can't be had, IntegrityError when it is damaged, ConfigurationError without its major's pg_waldump.
        """
        if (known := self._known.get(segment.key)) is None:
            with self._fetched(repository, segment) as file:
                contents = read_segment(file, repository.major)
                known = SegmentFacts(
                    bytes=file.stat().st_size,
                    commits=contents.commits,
                    last_commit=contents.last_commit,
                    restore_points=contents.restore_points,
                    minimal_from=contents.minimal_from,
                )
            self._known[segment.key] = known
            self._changed = True
        return known

    def known_of(self, segment: ArchivedFile) -> SegmentFacts | None:
        """Return what a segment says, if it was read before."""
        return self._known.get(segment.key)

    def read(self, repository: RepositoryInfo, segments: Iterable[ArchivedFile], seconds: float) -> None:
        """Read segments that were not read before, in this order, for so long at most; what can't be read is left to whoever needs it."""
        until = time.monotonic() + seconds
        for segment in segments:
            if time.monotonic() >= until:
                return
            try:
                self.of(repository, segment)
            except PgkeeperError as error:
                log.warning("an archived segment cannot be read", segment=segment.name, error=str(error))

    def last_commit_before(self, repository: RepositoryInfo, segment: ArchivedFile, position: int) -> Commit | None:
        """Return the last commit of a segment whose record begins before a position. Raises what `of` raises."""
        last = self.of(repository, segment).last_commit
        if last is None or parse_lsn(last.lsn) < position:
            return last
        key = f"{segment.key}@{format_lsn(position)}"
        if key not in self._forks:
            found = [one for one in self.commits(repository, segment) if parse_lsn(one.lsn) < position]
            self._forks[key] = _Fork(last_commit=found[-1] if found else None)
            self._changed = True
        return self._forks[key].last_commit

    def commits(self, repository: RepositoryInfo, segment: ArchivedFile) -> tuple[Commit, ...]:
        """Return all commits of a segment, which is fetched each time. Raises what `of` raises."""
        with self._fetched(repository, segment) as file:
            return tuple(record for record in records(file, repository.major) if isinstance(record, Commit))

    @contextmanager
    def _fetched(self, repository: RepositoryInfo, segment: ArchivedFile) -> Iterator[Path]:
        stand_in = self._stand_in(repository)
        with tempfile.TemporaryDirectory(dir=_cleared(self._directory / "reading")) as directory:
            file = Path(directory) / segment.name
            archive_get(self._program, repository.repository, segment, file, stand_in)
            yield file

    def _stand_in(self, repository: RepositoryInfo) -> Path | None:
        """Return what pgBackRest takes for production's data directory; None where that is there, and not another cluster's."""
        wanted = repository.system_identifier
        if self._production is None or system_identifier_in(self._production) == wanted:
            return None
        if wanted not in self._stand_ins:
            directory = Path(tempfile.mkdtemp(dir=_cleared(self._directory / "reading")))
            # One serves for all segments, as making it takes longer than fetching one.
            weakref.finalize(self, shutil.rmtree, directory, ignore_errors=True)
            self._stand_ins[wanted] = control_stand_in(directory, repository.major, wanted)
        # A younger run removes what looks as if it had been left behind.
        os.utime(self._stand_ins[wanted].parent)
        return self._stand_ins[wanted]

    def keep(self, held: Collection[str] | None) -> None:
        """Write down what is known; forget all but the segments `held`, by their keys, unless it is None."""
        kept = self._known if held is None else {key: facts for key, facts in self._known.items() if key in held}
        forks = {key: fork for key, fork in self._forks.items() if key.partition("@")[0] in kept}
        if self._changed or len(kept) != len(self._known):
            try:
                replace_file(self._path, _Known(segments=kept, forks=forks).model_dump_json().encode())
            except OSError as error:
                log.warning("facts about archived segments could not be kept", error=error.strerror)


def _cleared(directory: Path) -> Path:
    """Make the directory for segments that are being read, and remove what a killed run left there."""
    directory.mkdir(mode=0o700, exist_ok=True)
    for path in directory.iterdir():
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _LEFT_BEHIND_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
    return directory


def _read(path: Path) -> _Known:
    try:
        return _Known.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return _Known()
    except (OSError, ValidationError) as error:
        log.warning("facts about archived segments could not be read", path=str(path), error=type(error).__name__)
        return _Known()
