"""`pgbackrest restore`: the files of a physical backup, written where nothing is yet, or over production's own."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from pgkeeper.model.errors import OperationFailed
from pgkeeper.model.progress import Progress
from pgkeeper.pgbackrest.program import PgBackRest
from pgkeeper.pgbackrest.under_way import under_way

_SECONDS = 300.0
_PERCENT = re.compile(r"restore file .*\(.*?([0-9.]+)%\)")


def backup_tablespaces(program: PgBackRest, repository: int, label: str) -> dict[int, Path]:
    """Return the tablespaces in a backup: where each lay in production, by OID. Raises PgBackRestFailed."""
    text = program.output("info", "--output=json", f"--repo={repository}", f"--set={label}", timeout=_SECONDS)
    try:
        (backup,) = json.loads(text)[0]["backup"]
        return {int(one["oid"]): Path(one["destination"]) for one in backup["tablespace"] or ()}
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise OperationFailed("pgbackrest info cannot be understood", f"{type(error).__name__}: {error}") from error


def backup_links(program: PgBackRest, repository: int, label: str, data: Path) -> tuple[Path, ...]:
    """Return where links out of the data directory lead in a backup, those of tablespaces left out. Raises PgBackRestFailed.

    They come back there where `restore_over` writes to `data`.
    """
    text = program.output("info", "--output=json", f"--repo={repository}", f"--set={label}", timeout=_SECONDS)
    try:
        (backup,) = json.loads(text)[0]["backup"]
        return tuple(data / one["destination"] for one in backup["link"] or ())
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise OperationFailed("pgbackrest info cannot be understood", f"{type(error).__name__}: {error}") from error


def restore(
    program: PgBackRest, repository: int, label: str, data: Path, tablespaces: Mapping[int, Path], size_bytes: int, progress: Progress
) -> tuple[str, ...]:
    """Write a backup's files into the directory `data`, and those of its tablespaces into `tablespaces`; returns warnings.

    Neither exists before, or is empty: nothing is ever written over (no `--delta`). Every tablespace of the backup must be named, or
    pgBackRest would write it where production has it. Links out of the data directory, such as that of pg_wal, become directories. How
    recovery goes on is not said here (`--type=none`). Raises PgBackRestFailed.
    """
    where = [f"--pg1-path={data}", *(f"--tablespace-map={oid}={path}" for oid, path in tablespaces.items())]
    return program.told(
        "restore", f"--repo={repository}", f"--set={label}", "--type=none", "--no-delta", *where, line=_watching(size_bytes, progress)
    )


def restore_over(program: PgBackRest, repository: int, label: str, data: Path, size_bytes: int, progress: Progress) -> tuple[str, ...]:
    """Write a backup's files OVER those in `data`, production's own data directory, and in its tablespaces; returns warnings.

    What differs from the backup is replaced, and what is not in it is removed, for good. Tablespaces, and what links lead out of the data
    directory to, come back to the places they had in the backup. For nothing but a recovery in place: no server may run on the files, and
    what they hold must be wanted by nobody any more. How recovery goes on is not said here (`--type=none`). Raises PgBackRestFailed.
    """
    options = ["--type=none", "--delta", "--link-all", f"--pg1-path={data}"]
    watch = _watching(size_bytes, progress)
    return program.told("restore", f"--repo={repository}", f"--set={label}", *options, line=watch)


def is_restoring(data: Path) -> bool:
    """Tell whether a pgBackRest still writes to a data directory: its workers outlive it by the file each is at, when it is killed."""
    return bool(under_way("restore", [f"--pg1-path={data}"]))


def restore_command(program: PgBackRest, repository: int, data: Path) -> str:
    """Return the restore_command by which a cluster in `data` reads the log out of a repository.

    PostgreSQL takes an exit status up to 125 for the end of the log, and opens the cluster there. pgBackRest's is 1 where a file is not in
    the repository, and between 25 and 125 for all that goes wrong: that must end the recovery instead.
    """
    # Asynchronously it would fetch what follows as well, into the spool directory that production's server restores from. What it says goes
    # into the server's own log: it may not be able to write to another.
    call = program.arguments("archive-get", f"--repo={repository}", f"--pg1-path={data}", "--no-archive-async", "--log-level-file=off")
    return " ".join([*map(_quoted, call), "%f", '"%p"', "|| exit $(($? > 1 ? 255 : 1))"])


def _watching(size_bytes: int, progress: Progress) -> Callable[[str], None]:
    def watch(line: str) -> None:
        if found := _PERCENT.search(line):
            progress.advance(round(float(found[1]) / 100 * size_bytes), size_bytes)

    return watch


def _quoted(word: str) -> str:
    """Return a word as the shell reads it; PostgreSQL replaces what follows a percent sign before that."""
    return "'" + word.replace("'", "'\\''").replace("%", "%%") + "'"
