"""Whatever a file was made into, a check says exit status 4 with file and backup, in little memory and time."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import assert_nothing_left
from .support.cluster import Cluster
from .support.history import newest
from .support.manifests import renew_entry, replace_file
from .support.product import DONE, INTEGRITY, Pgkeeper, Run
from .support.user import service_ids
from .support.workspace import Workspace

LITTLE = ("prlimit", f"--as={1536 << 20}", "--")
"""What runs a call in little memory. Before, 2 GB of zeros took 3.9 GiB."""
GIGABYTE = 1 << 30


@pytest.fixture(scope="module")
def keeper(cluster: Cluster, workspace: Workspace) -> Iterator[Pgkeeper]:
    """A pgkeeper with one backup."""
    product = Pgkeeper(cluster, workspace.path / "damaged-files")
    product.create_database("app")
    product.backup("app")
    yield product
    assert_nothing_left(product)
    cluster.drop_database("app")


@pytest.fixture
def directory(keeper: Pgkeeper) -> Iterator[Path]:
    """The backup's directory, made whole again after the test."""
    place = newest(keeper, "app")
    kept = {path: path.read_bytes() for path in place.iterdir()}
    yield place
    for path in place.iterdir():
        path.unlink()
    for path, content in kept.items():
        path.write_bytes(content)
        os.chown(path, *service_ids())


def verify(keeper: Pgkeeper, directory: Path, level: str = "contents") -> Run:
    """Check it in little memory; it must be damaged, and said so with its name."""
    run = keeper("verify", directory.name, "--level", level, within=LITTLE).exits(INTEGRITY)
    assert directory.name in run.error
    assert "unforeseen" not in run.output
    return run


def zeros(path: Path, size: int) -> None:
    """Make a gzip file of zeros, some 2 MB for each 2 GB."""
    with gzip.open(path, "wb", compresslevel=9) as file:
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    os.chown(path, *service_ids())


def sparse(path: Path, size: int) -> None:
    """Make a file of this size that takes no room."""
    with path.open("wb") as file:
        file.truncate(size)
    os.chown(path, *service_ids())


@pytest.mark.parametrize("name", ["server-config.tar.gz", "globals.sql.gz", "database.sql.gz"])
def test_a_bomb_with_a_renewed_hash_is_damage(keeper: Pgkeeper, directory: Path, name: str) -> None:
    zeros(directory / name, 2 * GIGABYTE)
    renew_entry(directory, name)
    assert name in verify(keeper, directory).error


@pytest.mark.parametrize("level", ["contents", "restore"])
def test_a_garbage_tar_with_a_renewed_hash_is_damage(keeper: Pgkeeper, directory: Path, level: str) -> None:
    replace_file(directory, "server-config.tar.gz", gzip.compress(os.urandom(20000)))
    assert "server-config.tar.gz is damaged" in verify(keeper, directory, level).error


@pytest.mark.parametrize("name", ["server-config.tar.gz", "globals.sql.gz", "database.sql.gz"])
def test_a_truncated_file_with_a_renewed_hash_is_damage(keeper: Pgkeeper, directory: Path, name: str) -> None:
    whole = (directory / name).read_bytes()
    for length in (len(whole) - 8, len(whole) // 2, 5):
        replace_file(directory, name, whole[:length])
        assert name in verify(keeper, directory).error


def test_a_manifest_of_a_gigabyte_is_damage_and_hides_no_other_backup(keeper: Pgkeeper, directory: Path) -> None:
    sparse(directory / "manifest.json", GIGABYTE)
    assert "manifest" in verify(keeper, directory).error
    (listed,) = keeper("list", "--json", within=LITTLE).exits(DONE).json["backups"]
    assert "manifest" in listed["problem"]


@pytest.mark.parametrize("name", ["pin.json", "damage.json", "proof-restore.json"])
def test_a_record_of_a_gigabyte_is_not_believed(keeper: Pgkeeper, directory: Path, name: str) -> None:
    sparse(directory / name, GIGABYTE)
    (listed,) = keeper("list", "--json", within=LITTLE).exits(DONE).json["backups"]
    assert listed["problem"] == ""
    assert listed["verified"] == {}
    assert listed["pinned"] == (name == "pin.json")
