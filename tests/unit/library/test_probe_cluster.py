"""What role pgkeeper_wal says of a cluster before it changes anything, and what it leaves as it is."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

MAIN = "/etc/postgresql/15/main/postgresql.conf"
AUTO = "/var/lib/postgresql/15/main/postgresql.auto.conf"
OTHER = "/etc/postgresql/15/main/conf.d/other.conf"
OURS = "/etc/postgresql/15/main/conf.d/pgkeeper-wal.conf"
PUSH = "pgbackrest --stanza=main archive-push %p"


def answer(**more: object) -> dict[str, Any]:
    """What a cluster of Debian's says of itself."""
    return {"version": 150010, "config": MAIN, "standby": False, "checksums": True, "lines": [], **more}


@pytest.mark.parametrize(
    ("major", "version", "good"),
    [
        (14, "2.45-1", True),
        (15, "2.45-1", True),
        (15, "2.44-1", False),
        (16, "2.45-1", False),
        (16, "2.46-1.pgdg120+1", True),
        (17, "2.53-1", False),
        (17, "2.53.1-1", True),
        (17, "2.55.1-1~deb13u1", True),
        (18, "2.54.2-1", False),
        (18, "2.55.0-1", True),
        (19, "2.60-1", False),
    ],
)
def test_a_pgbackrest_that_does_not_know_this_postgresql_is_refused(
    probe_cluster: ModuleType, major: int, version: str, *, good: bool
) -> None:
    for packages in ({"installed": version, "candidate": "9.9"}, {"installed": "", "candidate": version}):
        assert (list(probe_cluster.about_pgbackrest(major, packages)) == []) == good


def test_where_apt_knows_of_none_yet_nothing_is_said_of_it(probe_cluster: ModuleType) -> None:
    assert list(probe_cluster.about_pgbackrest(17, {"installed": "", "candidate": ""})) == []


@pytest.mark.parametrize(
    ("lines", "refused"),
    [
        ([], False),
        ([["archive_command", "cp %p /archive/%f", OTHER]], True),
        ([["archive_command", "cp %p /archive/%f", AUTO]], True),
        ([["archive_command", "", OTHER]], False),
        ([["archive_command", "/bin/true", MAIN]], False),
        ([["archive_command", PUSH, AUTO]], False),
        ([["archive_library", "basic_archive", MAIN]], True),
        ([["archive_library", "", MAIN]], False),
        # It was replaced before, with permission.
        ([["archive_command", "cp %p /archive/%f", OTHER], ["archive_command", PUSH, OURS]], False),
        # Ours, of a release that called it otherwise.
        ([["archive_command", "pgbackrest archive-push %p", OURS]], False),
        # ALTER SYSTEM wins against ours.
        ([["archive_command", PUSH, OURS], ["archive_command", "cp %p /archive/%f", AUTO]], True),
    ],
)
def test_an_archive_of_somebody_elses_is_never_cut_off_silently(
    probe_cluster: ModuleType, lines: list[list[str]], *, refused: bool
) -> None:
    said = list(probe_cluster.about_another_archive(lines, PUSH, may_replace=False))
    assert [("pgkeeper_wal_replace_archive_command" in line) for line in said] == [True] * refused
    assert list(probe_cluster.about_another_archive(lines, PUSH, may_replace=True)) == []


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        ([], []),
        ([["wal_level", "logical", MAIN]], ["wal_level"]),
        ([["wal_level", "minimal", MAIN]], []),
        ([["wal_level", "logical", MAIN], ["wal_level", "replica", OURS]], ["wal_level"]),
        ([["wal_level", "logical", MAIN], ["wal_level", "replica", OTHER]], []),
        ([["archive_mode", "always", MAIN]], ["archive_mode"]),
        ([["max_wal_size", "1GB", MAIN]], []),
        ([["max_wal_size", "4GB", MAIN]], ["max_wal_size"]),
        ([["max_wal_size", "4096", MAIN]], ["max_wal_size"]),
        ([["max_wal_size", "2097152kB", MAIN]], ["max_wal_size"]),
        ([["max_wal_size", "2GB", OURS]], []),
    ],
)
def test_what_another_file_sets_higher_is_not_lowered(probe_cluster: ModuleType, lines: list[list[str]], left: list[str]) -> None:
    assert probe_cluster.left_out(lines) == left


@pytest.mark.parametrize(("name", "value"), [("archive_mode", "off"), ("wal_level", "minimal")])
def test_what_alter_system_forbids_is_named(probe_cluster: ModuleType, name: str, value: str) -> None:
    (line,) = probe_cluster.about_alter_system([[name, value, AUTO]])
    assert f"ALTER SYSTEM RESET {name}" in line
    assert list(probe_cluster.about_alter_system([[name, value, MAIN]])) == []


def test_a_standby_and_another_host_are_refused(probe_cluster: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_cluster, "reads", lambda _config, _folder: True)
    here = {"pg_host": ""}
    assert list(probe_cluster.about_the_cluster(here, answer())) == []
    (line,) = probe_cluster.about_the_cluster(here, answer(standby=True))
    assert "standby" in line
    (line,) = probe_cluster.about_the_cluster({"pg_host": "db1.example.com"}, answer())
    assert "db1.example.com" in line


def test_only_a_cluster_that_reads_conf_d_can_be_set_up(probe_cluster: ModuleType, tmp_path: Path) -> None:
    config = tmp_path / "postgresql.conf"
    config.write_text("# include_dir = 'conf.d'\nport = 5432\n")
    assert not probe_cluster.reads(str(config), str(tmp_path / "conf.d"))
    config.write_text("port = 5432\ninclude_dir = 'conf.d'\t\t# include files\n")
    assert probe_cluster.reads(str(config), str(tmp_path / "conf.d"))
    (line,) = probe_cluster.about_the_cluster({"pg_host": ""}, answer(config="/srv/pg/postgresql.conf"))
    assert "conf.d" in line


def test_checksums_that_are_off_are_told_of(probe_cluster: ModuleType) -> None:
    assert list(probe_cluster.remarks(answer())) == []
    (line,) = probe_cluster.remarks(answer(checksums=False))
    assert "pg_checksums" in line


def test_a_file_written_after_the_last_reload_is_noticed(probe_cluster: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "pgkeeper-wal.conf"
    assert not probe_cluster.stale(str(file), 1000)
    file.touch()
    os.utime(file, (2000, 2000))
    assert probe_cluster.stale(str(file), 1999.5)
    assert not probe_cluster.stale(str(file), 2000.5)


def test_segments_that_wait_are_counted(probe_cluster: ModuleType, tmp_path: Path) -> None:
    assert probe_cluster.waiting(str(tmp_path)) == 0
    status = tmp_path / "pg_wal" / "archive_status"
    status.mkdir(parents=True)
    for name in ("000000010000000000000001.done", "000000010000000000000002.ready", "000000010000000000000003.ready"):
        (status / name).touch()
    assert probe_cluster.waiting(str(tmp_path)) == 2
