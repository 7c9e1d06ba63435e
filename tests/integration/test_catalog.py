"""The catalog: whatever becomes of it, backups, checks, restores, lists and expiries go on as before."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from pgkeeper import __version__

from .support.hindrance import small_disk
from .support.product import DONE, FAILED, Pgkeeper
from .support.user import service_ids


def file(pgkeeper: Pgkeeper) -> Path:
    return pgkeeper.state / "catalog.db"


def overwrite(path: Path, content: bytes) -> None:
    """Change a file's content and nothing else."""
    with path.open("r+b") as opened:
        opened.truncate(0)
        opened.write(content)


@contextmanager
def deleted(pgkeeper: Pgkeeper) -> Iterator[None]:
    for path in pgkeeper.state.glob("catalog.db*"):
        path.unlink()
    yield


@contextmanager
def garbage(pgkeeper: Pgkeeper) -> Iterator[None]:
    overwrite(file(pgkeeper), b"planted garbage " * 4096)
    yield


@contextmanager
def truncated(pgkeeper: Pgkeeper) -> Iterator[None]:
    overwrite(file(pgkeeper), file(pgkeeper).read_bytes()[:10_000])
    yield


@contextmanager
def emptied(pgkeeper: Pgkeeper) -> Iterator[None]:
    overwrite(file(pgkeeper), b"")
    yield


@contextmanager
def damaged_inside(pgkeeper: Pgkeeper) -> Iterator[None]:
    """Every page but the first is noise."""
    content = file(pgkeeper).read_bytes()
    overwrite(file(pgkeeper), content[:4096] + os.urandom(len(content) - 4096))
    yield


@contextmanager
def read_only(pgkeeper: Pgkeeper) -> Iterator[None]:
    os.chown(file(pgkeeper), 0, 0)
    file(pgkeeper).chmod(0o444)
    yield


@contextmanager
def unreadable(pgkeeper: Pgkeeper) -> Iterator[None]:
    os.chown(file(pgkeeper), 0, 0)
    file(pgkeeper).chmod(0o000)
    yield


@contextmanager
def a_directory(pgkeeper: Pgkeeper) -> Iterator[None]:
    file(pgkeeper).unlink()
    file(pgkeeper).mkdir()
    yield


@contextmanager
def locked(pgkeeper: Pgkeeper) -> Iterator[None]:
    with closing(sqlite3.connect(file(pgkeeper), isolation_level=None)) as holder:
        holder.execute("pragma locking_mode=exclusive")
        holder.execute("begin exclusive")
        holder.execute("create table held (n int)")
        yield
        holder.execute("rollback")


@contextmanager
def newer(pgkeeper: Pgkeeper) -> Iterator[None]:
    with closing(sqlite3.connect(file(pgkeeper))) as connection, connection:
        connection.execute("update alembic_version set version_num = '9999'")
    yield
    with closing(sqlite3.connect(file(pgkeeper))) as connection:
        assert connection.execute("select version_num from alembic_version").fetchall() == [("9999",)], "it is left alone"


@contextmanager
def on_a_full_disk(pgkeeper: Pgkeeper) -> Iterator[None]:
    place = pgkeeper.home / "full"
    place.mkdir()
    with small_disk(place, 16):
        pgkeeper.configure(BACKUP_CATALOG_URL=f"sqlite:///{place}/catalog.db")
        (place / "filler").write_bytes(b"\0" * 8192)
        yield
        pgkeeper.configure(BACKUP_CATALOG_URL=None)


@contextmanager
def on_a_server_that_is_down(pgkeeper: Pgkeeper) -> Iterator[None]:
    pgkeeper.configure(BACKUP_CATALOG_URL="postgresql+psycopg://someone:planted-Catalog-Secret@127.0.0.1:1/catalog")
    yield
    pgkeeper.configure(BACKUP_CATALOG_URL=None)


Misfortune = Callable[[Pgkeeper], AbstractContextManager[None]]
MISFORTUNES: list[Misfortune] = [
    deleted, garbage, truncated, emptied, damaged_inside, read_only, unreadable, a_directory, locked, newer, on_a_full_disk,
    on_a_server_that_is_down,
]  # fmt: skip
SILENT: tuple[Misfortune, ...] = (deleted, emptied)
BEGUN_ANEW: tuple[Misfortune, ...] = (garbage, truncated, damaged_inside)


@pytest.mark.parametrize("misfortune", MISFORTUNES, ids=lambda misfortune: misfortune.__name__)
def test_nothing_fails_because_of_the_catalog(pgkeeper: Pgkeeper, misfortune: Misfortune) -> None:
    pgkeeper.create_database("app")
    first = pgkeeper.backup("app")
    with misfortune(pgkeeper):
        began = time.monotonic()
        run = pgkeeper("backup", "--database", "app", "--json").exits(DONE)
        # Twice the catalog's patience, and the backup itself.
        assert time.monotonic() - began < 15
        warnings = run.warnings.splitlines()
        assert len(warnings) == (misfortune not in SILENT), run.output
        if misfortune in BEGUN_ANEW:
            assert "pgkeeper catalog rebuild" in run.warnings
            assert len(list(pgkeeper.state.glob("catalog.db.damaged-*"))) == 1
        second = run.outcome("app")["backup_id"]
        assert {path.name for path in pgkeeper.published()} == {first, second}
        listed = pgkeeper("list", "--json").exits(DONE)
        assert [backup["backup_id"] for backup in listed.json["backups"]] == [second, first]
        assert all(backup["rows"] == 100 for backup in listed.json["backups"])
        pgkeeper("verify", second, "--job", "v1").exits(DONE)
        pgkeeper("expire").exits(DONE)
        pgkeeper("stats").exits(DONE)
        pgkeeper.restore(second, "--to", "app_again")
        assert "planted" not in pgkeeper("doctor").output + run.output
    assert "planted" not in "".join(path.read_text() for path in pgkeeper.logs.iterdir())


def test_only_the_newest_damaged_catalog_is_kept(pgkeeper: Pgkeeper) -> None:
    pgkeeper("expire").exits(DONE)
    for _ in range(3):
        with garbage(pgkeeper):
            pgkeeper("expire").exits(DONE)
    assert len(list(pgkeeper.state.glob("catalog.db.damaged-*"))) == 1
    assert file(pgkeeper).stat().st_mode & 0o777 == 0o600


def test_a_list_reads_only_manifests_it_does_not_know(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    pgkeeper.backup("app")
    before = pgkeeper("list", "--json").exits(DONE).json
    manifest = pgkeeper.published()[0] / "manifest.json"
    manifest.chmod(0)
    os.chown(manifest, 0, 0)
    assert pgkeeper("list", "--json").exits(DONE).json == before, "it was read although it has not changed"
    assert "cannot be read" in pgkeeper("doctor").stdout, "whoever looks for damage looks at the files"
    os.chown(manifest, *service_ids())
    manifest.chmod(0o600)
    with manifest.open("ab") as opened:
        opened.write(b"x")
    assert pgkeeper("list", "--json").exits(DONE).json["backups"][0]["problem"]
    backup_id = pgkeeper.backup("app")
    pgkeeper("delete", backup_id, "--confirm", "DELETE").exits(DONE)
    assert backup_id not in pgkeeper("list").exits(DONE).stdout
    with closing(sqlite3.connect(file(pgkeeper))) as connection:
        paths = [path for (path,) in connection.execute("select path from manifests")]
    assert not any(backup_id in path for path in paths)


def test_what_an_older_release_kept_of_a_manifest_is_read_again(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    pgkeeper.backup("app")
    listed = pgkeeper("list", "--json").exits(DONE).json
    assert listed["backups"][0]["made_by"] == f"pgkeeper {__version__}"
    with closing(sqlite3.connect(file(pgkeeper))) as connection, connection:
        connection.execute("update manifests set summary = json_remove(json_set(summary, '$.rows', 7), '$.made_by')")
    assert pgkeeper("list", "--json").exits(DONE).json == listed


def test_a_rebuild_brings_back_what_files_know_and_keeps_the_rest(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    pgkeeper.backup("app")
    gone = pgkeeper.backup("app")
    pgkeeper("delete", gone, "--confirm", "DELETE").exits(DONE)
    report = pgkeeper("catalog", "rebuild", "--json").exits(DONE).json
    assert (report["backups"], report["sizes"], report["jobs"], report["moved_to"]) == (1, 2, 2, None)
    with newer(pgkeeper):
        pass
    report = pgkeeper("catalog", "rebuild", "--json").exits(DONE).json
    assert (report["backups"], report["sizes"], report["jobs"]) == (1, 1, 0)
    assert "catalog.db.newer-" in report["moved_to"]
    with damaged_inside(pgkeeper):
        pass
    report = pgkeeper("catalog", "rebuild", "--json").exits(DONE).json
    assert (report["backups"], report["jobs"]) == (1, 0)
    assert "catalog.db.damaged-" in report["moved_to"]
    assert "1 backup," in pgkeeper("catalog", "rebuild").exits(DONE).stdout
    with unreadable(pgkeeper):
        assert "forbidden" in pgkeeper("catalog", "rebuild", "--json").exits(DONE).json["moved_to"]
    with locked(pgkeeper):
        assert "locked" in pgkeeper("catalog", "rebuild").exits(FAILED).error


def test_growth_is_remembered_longer_than_backups(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    pgkeeper.backup("app")
    with closing(sqlite3.connect(file(pgkeeper))) as connection, connection:
        connection.execute(
            'insert into database_sizes (host, cluster, "database", at, bytes)'
            " select host, cluster, \"database\", datetime('now', '-20 days') || '.000000', 1000 from database_sizes"
        )
    pgkeeper("stats").exits(DONE)
    stats = pgkeeper("stats", "--json").exits(DONE).json
    (app,) = [database for database in stats["databases"] if database["database"] == "app"]
    assert [size["bytes"] for size in app["history"]] == [1000, app["size_bytes"]]
    assert app["growth"]["monthly"] > 0
    assert "daily" not in app["growth"]
    with closing(sqlite3.connect(file(pgkeeper))) as connection:
        (count,) = connection.execute("select count(*) from database_sizes where \"database\" = 'app'").fetchone()
    assert count == 2, "stats remembers at most one size an hour"


def test_a_fleet_shares_a_catalog_on_a_server(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    pgkeeper.create_database("fleet", "")
    host, port = pgkeeper.cluster.environment()["PGHOST"], pgkeeper.cluster.environment()["PGPORT"]
    pgkeeper.configure(BACKUP_CATALOG_URL=f"postgresql+psycopg://postgres@/fleet?host={host}&port={port}")
    run = pgkeeper("backup", "--database", "app", "--job", "b1").exits(DONE)
    assert not run.warnings, run.output
    (pgkeeper.state / "host-identity").write_text("db2\n")
    assert not pgkeeper("expire").exits(DONE).warnings
    jobs = pgkeeper("job", "list", "--json").exits(DONE).json["jobs"]
    assert [job["operation"] for job in jobs] == ["expire", "backup"]
    assert len({job["host"] for job in jobs}) == 2
    assert "HOST" in pgkeeper("job", "list").exits(DONE).stdout
    assert "dump of app" in pgkeeper("job", "log", "b1").exits(DONE).stdout
    pgkeeper("list").exits(DONE)
    assert "it lives in the cluster that it protects" in pgkeeper("doctor").stdout
    assert not (pgkeeper.state / "catalog.db").exists()
