"""The catalog as a file."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pgkeeper.catalog.catalog import Catalog
from pgkeeper.catalog.errors import CatalogNewer, CatalogUnusable
from pgkeeper.catalog.health import look
from pgkeeper.catalog.schema import revision
from pgkeeper.catalog.tables import REVISION, metadata
from tests.contracts.catalog import CatalogContract, a_job, jobs, put

CUT_OFF = """
import os, sys
from pathlib import Path
from pgkeeper.catalog.catalog import Catalog
from pgkeeper.catalog.rebuild import rebuild

def sizes():
    yield ("15-main", "app", __import__("datetime").datetime.now(__import__("datetime").UTC), 1)
    os.kill(os.getpid(), 9)

rebuild(Catalog(Path(sys.argv[1]), ""), {}, sizes())
"""
DYING = """
import os, sys, time
from datetime import UTC, datetime
from pathlib import Path
from pgkeeper.catalog.catalog import Catalog
from pgkeeper.catalog.jobs import read_jobs
from pgkeeper.catalog.orphans import job_lock
from pgkeeper.catalog.recorder import JobRecorder
from pgkeeper.model.job import Job
from pgkeeper.model.progress import NullProgress

catalog, now = Catalog(Path(sys.argv[1]), ""), datetime.now(UTC)
job = Job(job_id="j1", host=catalog.host, pid=os.getpid(), operation="backup", state="running", started_at=now, heartbeat_at=now)
with job_lock(catalog.state_dir, "j1"):
    JobRecorder(catalog, job, NullProgress()).phase("dump of app")
    while not any(job.phase for job in catalog.run(read_jobs)):
        time.sleep(0.01)
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path, "")


class TestFile(CatalogContract):
    """The promises of every catalog."""


def run(script: str, state: Path) -> int:
    return subprocess.run([sys.executable, "-c", script, state], check=False).returncode


def test_the_file_is_for_our_eyes_only_whatever_the_umask(catalog: Catalog, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        put(catalog, a_job(catalog))
    finally:
        os.umask(before)
    assert (tmp_path / "catalog.db").stat().st_mode & 0o777 == 0o600


def test_the_tables_are_those_that_migrations_make(catalog: Catalog) -> None:
    from sqlalchemy import inspect

    def columns(connection: object) -> dict[str, dict[str, bool]]:
        found = inspect(connection)
        return {table: {column["name"]: column["nullable"] for column in found.get_columns(table)} for table in metadata.tables}

    made = catalog.run(columns)
    assert made == {name: {column.name: bool(column.nullable) for column in table.columns} for name, table in metadata.tables.items()}
    assert catalog.run(revision) == REVISION


def test_alembic_is_imported_only_to_change_something(catalog: Catalog, tmp_path: Path) -> None:
    look(catalog)
    code = (
        "import sys; from pathlib import Path; from pgkeeper.catalog.catalog import Catalog; from pgkeeper.catalog.health import look;"
        "look(Catalog(Path(sys.argv[1]), '')); sys.exit('alembic' in sys.modules)"
    )
    assert run(code, tmp_path) == 0


def test_migrations_are_in_the_package() -> None:
    from importlib.resources import files

    assert (files("pgkeeper.catalog") / "migrations" / "env.py").is_file()


@pytest.mark.parametrize(
    "content", [b"x" * 600, b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 5000], ids=["short", "noise", "header"]
)
def test_a_damaged_file_is_moved_aside_and_said_once(catalog: Catalog, tmp_path: Path, content: bytes) -> None:
    told: list[str] = []
    catalog.tell = told.append
    (tmp_path / "catalog.db").write_bytes(content)
    put(catalog, a_job(catalog))
    assert len(jobs(catalog)) == 1
    (aside,) = tmp_path.glob("catalog.db.damaged-*")
    assert aside.read_bytes() == content
    assert len(told) == 1
    assert "pgkeeper catalog rebuild" in told[0]


def test_whoever_comes_late_to_a_damaged_file_leaves_the_new_one_alone(catalog: Catalog) -> None:
    put(catalog, a_job(catalog))
    assert not catalog.begin_anew("damaged", inode=1)
    assert len(jobs(catalog)) == 1


def test_a_catalog_of_a_newer_release_is_left_alone(catalog: Catalog, tmp_path: Path) -> None:
    put(catalog, a_job(catalog))
    with closing(sqlite3.connect(tmp_path / "catalog.db")) as connection, connection:
        connection.execute("update alembic_version set version_num = '9999'")
    with pytest.raises(CatalogNewer, match="a newer pgkeeper made it"):
        jobs(catalog)


def test_after_a_failure_nothing_waits_again(catalog: Catalog, tmp_path: Path) -> None:
    told: list[str] = []
    catalog.tell = told.append
    (tmp_path / "catalog.db").mkdir()
    for _ in range(3):
        assert catalog.tried(lambda _connection: 1, 2) == 2
    assert len(told) == 1
    with pytest.raises(CatalogUnusable):
        jobs(catalog)


def test_a_rebuild_that_is_killed_leaves_the_old(catalog: Catalog, tmp_path: Path) -> None:
    put(catalog, a_job(catalog))
    before = look(catalog)
    assert run(CUT_OFF, tmp_path) == -signal.SIGKILL
    assert look(catalog) == before


def test_a_job_whose_process_died_is_lost_not_running(catalog: Catalog, tmp_path: Path) -> None:
    from pgkeeper.catalog.orphans import read_settled

    assert run(DYING, tmp_path) == -signal.SIGKILL
    (job,) = read_settled(catalog)
    assert (job.state, job.phase) == ("lost", "dump of app")
    assert not list((tmp_path / "locks").glob("job*"))


def test_processes_that_begin_a_catalog_at_once_agree(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from pgkeeper.catalog.catalog import Catalog; from pgkeeper.catalog.health import look;"
    code += "sys.stdin.read(); look(Catalog(Path(sys.argv[1]), ''))"
    processes = [subprocess.Popen([sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE) for _ in range(8)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait() for process in processes] == [0] * 8
    with closing(sqlite3.connect(tmp_path / "catalog.db")) as connection:
        assert connection.execute("pragma journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("url", ["postgresql+psycopg://u:planted@h:port/x", "postgresql+psycopg://u:planted@@[/x"])
def test_a_url_that_is_none_is_said_without_its_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(CatalogUnusable) as caught:
        jobs(Catalog(tmp_path, url))
    assert "planted" not in str(caught.value)
