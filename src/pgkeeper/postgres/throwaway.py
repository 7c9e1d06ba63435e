"""A throwaway cluster: a PostgreSQL of our own in a sandbox, made for one proof and gone with it.

What is restored into it may run its owners' code as a superuser and take the server over. So nothing of production is where it runs
(`host/sandbox.py`), and we, who talk to it from outside, trust it with nothing: no passwords, no files, and no path to its socket that it
could bend. Durability is switched off: if it crashes, the proof starts again.
"""

import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pgkeeper.host.processes import Child, describe
from pgkeeper.host.sandbox import Inside, shut_in
from pgkeeper.model import more_room
from pgkeeper.model.errors import ConfigurationError, OperationFailed, PgkeeperError
from pgkeeper.model.manifest import ClusterFacts
from pgkeeper.model.sizes import format_size
from pgkeeper.postgres.facts import ClusterIdentity, identify
from pgkeeper.postgres.programs import program
from pgkeeper.postgres.server import Server, told

_PORT = "1"
_SOCKET = f".s.PGSQL.{_PORT}"
_LONGEST_SOCKET_PATH = 107
_INIT_SECONDS = 120
_START_SECONDS = 120
_POLL_SECONDS = 0.1
_ORDINARY_NAME = re.compile(r"[A-Za-z0-9_]{1,63}")
_MIB = 1 << 20
# An empty cluster takes 40 MiB, its WAL 128 MiB; WAL may grow past that for a moment, and sorting for indexes takes room, too.
_OVERHEAD_BYTES = 256 * _MIB

# Only the administrator and, by password, the loader get in; both over the socket, there is nothing else.
_ACCESS = 'local all "{superuser}" peer map=owner\nlocal all all scram-sha-256\n'
_IDENTITIES = "owner postgres {superuser}\n"
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_directories": "/run/cluster",
    "port": _PORT,
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # What is loaded or indexed in the transaction that made it is in no WAL; for the rest, checkpoints are cheap without fsync.
    "min_wal_size": "32MB",
    "max_wal_size": "128MB",
    "archive_mode": "off",
    "autovacuum": "off",
    # No background worker of an extension, no subscription, no parallel query: what runs is what we asked for.
    "max_worker_processes": "0",
    "max_logical_replication_workers": "0",
    "max_parallel_workers": "0",
    "jit": "off",
    "huge_pages": "off",
    # Tablespaces lie in the data directory instead of at production's paths.
    "allow_in_place_tablespaces": "on",
    "log_min_messages": "error",
    "log_min_error_statement": "panic",
}


# Each of these is said even where it is nothing: libpq takes from the environment, or from a service, what is not said. That would lead us
# to production (PGHOSTADDR), or hand its password (PGPASSWORD, ~/.pgpass) to a server that was taken over and asks for one.
_CONNECTION = {
    "PGHOSTADDR": "",
    "PGPORT": _PORT,
    "PGPASSWORD": "",
    "PGPASSFILE": "/nonexistent",
    "PGSSLMODE": "disable",
    "PGGSSENCMODE": "disable",
    "PGCHANNELBINDING": "disable",
    "PGREQUIREAUTH": "none,scram-sha-256",
    "PGREQUIREPEER": "",
    "PGTARGETSESSIONATTRS": "any",
}


@dataclass(frozen=True)
class ThrowawayCluster:
    """A running throwaway cluster; `dropped_libraries` are preload libraries of the original that are not installed here."""

    server: Server
    identity: ClusterIdentity
    dropped_libraries: tuple[str, ...]


@contextmanager
def throwaway_cluster(
    place: Path, facts: ClusterFacts, libraries: Sequence[str], statements: int, must_end: Callable[[], str]
) -> Iterator[ThrowawayCluster]:
    """Yield a cluster fit for a backup of the cluster described by `facts`, in the directory `place`; it ends with the block.

    `libraries` are the original's shared_preload_libraries. `statements` make the schema, at least one for whatever dumping locks.
    `must_end` is asked all the time; when it answers with a reason, the cluster is ended at once, and that reason is what is raised.
    Raises OperationFailed or ConfigurationError when there is none to be had.
    """
    binaries = program("postgres", facts.major).parent
    superuser = _bootstrap_superuser(facts)
    data, run, door = (place / name for name in ("data", "s", "d"))
    if len(os.fsencode(door / _SOCKET)) > _LONGEST_SOCKET_PATH:
        raise ConfigurationError(
            "the path of BACKUP_PROOF_DIR is too long", f"{door / _SOCKET} cannot be a socket's", "choose a shorter one"
        )
    for directory in (data, run, door):
        directory.mkdir(mode=0o700)
    writable = {"/data": data, "/run/cluster": run}
    environment = {"PATH": f"{binaries}:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/tmp", "TZ": "UTC"}  # noqa: S108 - the sandbox's own
    inside = Inside(writable, environment, messages=place)
    _initialise(binaries, superuser, data, inside)
    kept = [name for name in libraries if _installed(name, binaries)]
    settings = _SETTINGS | _memory() | {"max_locks_per_transaction": str(max(128, statements // 50))}
    server = Server({"PGHOST": str(door), "PGUSER": superuser, **_CONNECTION})
    for preload in [kept, []] if kept else [[]]:
        options = _options(settings | {"shared_preload_libraries": ",".join(preload)})
        arguments: list[str | Path] = [binaries / "postgres", "-D", "/data", *options]
        # One that crashed may have left its socket.
        (run / _SOCKET).unlink(missing_ok=True)
        with shut_in(arguments, inside) as child:
            try:
                _wait_for(child, (run / _SOCKET).is_socket)
                _make_door(run, door)
                _wait_for(child, lambda: _answers(server))
            except OperationFailed:
                # One of the libraries may be what keeps it from starting.
                if preload and not child.running:
                    continue
                raise
            with _watched(child, must_end):
                with server.connect_maintenance() as session, told("looking at the throwaway cluster"):
                    identity = replace(identify(session), data_directory=str(data))
                dropped = tuple(name for name in libraries if name not in preload)
                yield ThrowawayCluster(server, identity, dropped)
        return


def require_space(directory: Path, size_bytes: int) -> None:
    """Raise OperationFailed unless a database of `size_bytes` can be restored in `directory` without filling its disk."""
    needed = size_bytes + size_bytes // 10 + _OVERHEAD_BYTES
    free, reserve = shutil.disk_usage(directory).free, reserve_bytes(directory)
    if free < needed + reserve:
        raise OperationFailed(
            "there is too little space for a proof",
            f"{directory} has {format_size(free)} free, it needs {format_size(needed)} and leaves {format_size(reserve)} alone",
            more_room.FOR_PROOFS,
        )


def reserve_bytes(directory: Path) -> int:
    """Return how much must stay free on the directory's disk, which production may share: 2 %, 1 GB at most."""
    return min(shutil.disk_usage(directory).total // 50, 10**9)


def _bootstrap_superuser(facts: ClusterFacts) -> str:
    """Return the superuser who owns what initdb makes: the original's, as far as that can be told."""
    superusers = [role.name for role in facts.roles if role.superuser]
    if "postgres" in superusers or len(superusers) != 1 or not _ORDINARY_NAME.fullmatch(superusers[0]):
        return "postgres"
    return superusers[0]


def _initialise(binaries: Path, superuser: str, data: Path, inside: Inside) -> None:
    options = [f"--username={superuser}", "--encoding=UTF8", "--locale=C.UTF-8", "--auth=reject", "--no-sync"]
    arguments: list[str | Path] = [binaries / "initdb", "-D", "/data", *options]
    with shut_in(arguments, inside) as child:
        status = child.wait(_INIT_SECONDS)
        if status != 0:
            raise OperationFailed("the throwaway cluster could not be made", describe(child, status))
    # Nothing of the backup has run yet: the directory is still what initdb made of it.
    (data / "pg_hba.conf").write_text(_ACCESS.format(superuser=superuser), encoding="ascii")
    (data / "pg_ident.conf").write_text(_IDENTITIES.format(superuser=superuser), encoding="ascii")


def _wait_for(child: Child, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not ready():
        if not child.running:
            raise OperationFailed("the throwaway cluster did not start", describe(child, child.wait()))
        if time.monotonic() > deadline:
            raise OperationFailed("the throwaway cluster did not start", f"nothing after {_START_SECONDS} s")
        time.sleep(_POLL_SECONDS)


def _make_door(run: Path, door: Path) -> None:
    """Make our own way to the server: a hard link to its socket, in a directory that it does not see.

    Whoever takes the server over could put a link to production's socket where its own was.
    """
    (door / _SOCKET).unlink(missing_ok=True)
    os.link(run / _SOCKET, door / _SOCKET, follow_symlinks=False)


def _answers(server: Server) -> bool:
    try:
        server.connect_maintenance().close()
    except OperationFailed:
        return False
    return True


@contextmanager
def _watched(child: Child, must_end: Callable[[], str]) -> Iterator[None]:
    """End the child as soon as `must_end` gives a reason, and raise that reason instead of what comes of it."""
    over = threading.Event()
    reasons: list[str] = []

    def watch() -> None:
        while not over.wait(_POLL_SECONDS * 5):
            if reason := must_end():
                reasons.append(reason)
                child.kill()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    except PgkeeperError as error:
        if reasons:
            raise OperationFailed("the proof was given up", reasons[0]) from error
        raise
    finally:
        over.set()
        watcher.join()


def _options(settings: dict[str, str]) -> list[str]:
    return [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]


def _memory() -> dict[str, str]:
    """A sixteenth of the machine's memory, between 32 and 256 MiB: production needs the rest."""
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 16 // _MIB
    chosen = f"{min(max(size, 32), 256)}MB"
    return {"shared_buffers": chosen, "maintenance_work_mem": chosen}


def _installed(library: str, binaries: Path) -> bool:
    """Tell whether a preload library is there for this version: Debian keeps them beside the programs, in lib/."""
    name = library.removeprefix("$libdir/").removesuffix(".so")
    return "/" not in name and (binaries.parent / "lib" / f"{name}.so").exists()
