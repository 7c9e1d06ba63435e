"""Damage anywhere in a backup is found, whichever byte it is."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .conftest import assert_nothing_left
from .support.cluster import Cluster
from .support.hindrance import BULKY_SCRIPT
from .support.product import DONE, FAILED, INTEGRITY, Pgkeeper, Running
from .support.user import service_ids
from .support.waiting import wait_until
from .support.workspace import Workspace

FILES = ("database.sql.gz", "schema.dump", "globals.sql.gz", "server-config.tar.gz", "manifest.json")
POSITIONS_PER_FILE = 40

every_file = pytest.mark.parametrize("name", FILES)


@pytest.fixture(scope="module")
def keeper(cluster: Cluster, workspace: Workspace) -> Iterator[Pgkeeper]:
    """A pgkeeper with one backup of a small database with a bit of everything."""
    product = Pgkeeper(cluster, workspace.path / "damage")
    product.create_database(
        "fragile",
        """
        create table t as select n, md5(n::text) as t from generate_series(1, 300) n;
        create table t2 (a int primary key, b int default 3);
        select lo_from_bytea(4711, 'large');
        create sequence s;
        """,
    )
    product.backup("fragile")
    yield product
    assert_nothing_left(product)
    product.cluster.drop_database("fragile")


@pytest.fixture
def whole(keeper: Pgkeeper) -> Iterator[Path]:
    """The backup's directory, made whole again after the test."""
    (directory,) = keeper.published()
    copy = keeper.home / "copy"
    shutil.copytree(directory, copy)
    yield directory
    for path in directory.iterdir():
        path.unlink()
    for path in copy.iterdir():
        put(directory / path.name, path.read_bytes())
    shutil.rmtree(copy)


def put(path: Path, content: bytes) -> None:
    """Write a file as the owner of backups would."""
    import os

    path.write_bytes(content)
    path.chmod(0o600)
    os.chown(path, *service_ids())


def verdict(keeper: Pgkeeper, level: str) -> tuple[int, str]:
    """Exit status and problem of a verification in this process: starting the program for every byte takes too long."""
    from pgkeeper.model.progress import NullProgress
    from pgkeeper.operations.verify import VerifyRequest, verify
    from pgkeeper.settings import load_settings

    settings = load_settings({"PGKEEPER_ENV_FILE": str(keeper.settings_file)})
    report = verify(VerifyRequest.model_validate({"level": level}), settings, NullProgress())
    return report.exit_status, str(report.outcomes)


@every_file
@pytest.mark.parametrize("level", ["checksum", "contents"])
def test_a_changed_byte_is_found_wherever_it_is(keeper: Pgkeeper, whole: Path, name: str, level: str) -> None:
    content = (whole / name).read_bytes()
    dice = random.Random(f"{name} {level}")  # noqa: S311 - positions, not keys
    positions = {0, 1, len(content) // 2, len(content) - 2, len(content) - 1}
    positions |= {dice.randrange(len(content)) for _ in range(POSITIONS_PER_FILE)}
    for position in sorted(positions):
        damaged = bytearray(content)
        damaged[position] ^= 1 << dice.randrange(8)
        put(whole / name, bytes(damaged))
        status, words = verdict(keeper, level)
        assert status == INTEGRITY, f"byte {position} of {name}: exit status {status}, {words}"


@every_file
def test_a_file_cut_short_anywhere_is_found(keeper: Pgkeeper, whole: Path, name: str) -> None:
    content = (whole / name).read_bytes()
    dice = random.Random(name)  # noqa: S311 - positions, not keys
    for length in sorted({0, 1, len(content) - 1, *(dice.randrange(len(content)) for _ in range(POSITIONS_PER_FILE))}):
        put(whole / name, content[:length])
        status, words = verdict(keeper, "checksum")
        assert status == INTEGRITY, f"{name} cut to {length} bytes: exit status {status}, {words}"


@every_file
def test_something_added_to_a_file_is_found(keeper: Pgkeeper, whole: Path, name: str) -> None:
    content = (whole / name).read_bytes()
    for addition in (b"\n", b"\0", b" ", b"\0" * 4096, content):
        put(whole / name, content + addition)
        status, words = verdict(keeper, "checksum")
        assert status == INTEGRITY, f"{len(addition)} bytes added to {name}: exit status {status}, {words}"


@every_file
def test_the_command_line_says_what_is_damaged(keeper: Pgkeeper, whole: Path, name: str) -> None:
    content = (whole / name).read_bytes()
    put(whole / name, content[:-9] + b"x" + content[-8:])
    backup_id = whole.name
    run = keeper("verify", backup_id).exits(INTEGRITY)
    assert "manifest" in run.error if name == "manifest.json" else name in run.error
    assert keeper("verify", backup_id, "--json").exits(INTEGRITY).json


@every_file
def test_a_missing_file_is_found(keeper: Pgkeeper, whole: Path, name: str) -> None:
    (whole / name).unlink()
    run = keeper("verify", whole.name)
    if name == "manifest.json":
        assert run.exit_status != DONE  # no manifest, no backup
        assert whole.name in run.error
    else:
        assert name in run.exits(INTEGRITY).error


@every_file
def test_nothing_is_restored_from_a_damaged_backup(keeper: Pgkeeper, whole: Path, name: str) -> None:
    databases = keeper.cluster.databases()
    content = (whole / name).read_bytes()
    put(whole / name, content[:20] + bytes([content[20] ^ 4]) + content[21:])
    assert keeper("restore", whole.name).exits(INTEGRITY).error
    assert keeper.cluster.databases() == databases


def test_one_damaged_backup_does_not_hide_the_others(keeper: Pgkeeper, whole: Path) -> None:
    second = keeper.backup("fragile")
    put(whole / "manifest.json", b"{}")
    listed = keeper("list", "--json").exits(DONE)
    assert second in listed.stdout
    keeper("verify", second).exits(DONE)
    keeper("delete", second, "--confirm", "DELETE").exits(DONE)


def test_a_whole_backup_is_whole(keeper: Pgkeeper, whole: Path) -> None:
    for level in ("checksum", "contents"):
        assert verdict(keeper, level)[0] == DONE
        keeper("verify", whole.name, "--level", level).exits(DONE)


def test_what_a_check_found_damaged_counts_for_nothing_until_it_is_whole_again(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    backup_id = pgkeeper.backup("app")
    file = pgkeeper.published()[0] / "database.sql.gz"
    whole = file.read_bytes()
    file.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    pgkeeper("verify").exits(INTEGRITY)
    (listed,) = pgkeeper("list", "--json").exits(DONE).json["backups"]
    assert "database.sql.gz" in listed["problem"]
    assert "DAMAGED" in pgkeeper("list").stdout
    assert backup_id in pgkeeper("status").exits(FAILED).stdout
    file.write_bytes(whole)
    pgkeeper("verify").exits(DONE)
    (listed,) = pgkeeper("list", "--json").exits(DONE).json["backups"]
    assert listed["problem"] == ""


def test_what_changes_on_the_disk_before_it_is_read_back_never_becomes_a_backup(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("bulky", BULKY_SCRIPT)
    with pgkeeper.start("backup", "--database", "bulky") as running:
        file = wait_until(
            lambda: next((path for path in pgkeeper.backups.rglob("database.sql.gz") if path.stat().st_size), None), "the dump"
        )
        assert file
        with stopped(running):
            # Only whole steps of 16 MiB are read back while the file grows: nobody has seen its last byte yet.
            flip_last_bit(file)
        run = running.result().exits(INTEGRITY)
    assert "database.sql.gz does not read back" in run.error
    assert not pgkeeper.published()
    assert not pgkeeper.debris()


def begun_dump(pgkeeper: Pgkeeper) -> Path | None:
    return next((path for path in pgkeeper.backups.rglob("database.sql.gz") if path.stat().st_size), None)


@contextmanager
def stopped(running: Running) -> Iterator[None]:
    """Let a running program do nothing until the block ends."""
    running.signal(signal.SIGSTOP)
    wait_until(lambda: Path(f"/proc/{running.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", "the program standing still")
    try:
        yield
    finally:
        running.signal(signal.SIGCONT)


def flip_last_bit(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([last ^ 1]))
