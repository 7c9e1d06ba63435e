"""What a side cluster's server said last is why it ended."""

from __future__ import annotations

from pathlib import Path

from pgkeeper.postgres.side_cluster import SideCluster

ENDED = """\
2026-11-24 10:00:00.100 UTC [11] LOG:  restored log file "000000010000000000000004" from archive
2026-11-24 10:00:00.200 UTC [11] FATAL:  directory "/srv/fast" does not exist
2026-11-24 10:00:00.200 UTC [11] HINT:  Create this directory for the tablespace before restarting the server.
2026-11-24 10:00:00.200 UTC [11] CONTEXT:  WAL redo at 0/4000110 for Tablespace/CREATE: 16400 "/srv/fast"
2026-11-24 10:00:00.210 UTC [9] LOG:  startup process (PID 11) exited with exit code 1
"""
ASKED_MEANWHILE = "2026-11-24 10:00:00.220 UTC [15] FATAL:  the database system is in recovery mode\n"


def said(directory: Path, log: str) -> str:
    cluster = SideCluster(directory, directory / "data")
    cluster.log.write_text(log)
    return cluster.last_words()


def test_why_it_ended_is_told_with_its_hint(tmp_path: Path) -> None:
    told = 'directory "/srv/fast" does not exist; Create this directory for the tablespace before restarting the server.'
    assert said(tmp_path, ENDED) == told


def test_what_it_answered_to_those_who_asked_meanwhile_is_not_why(tmp_path: Path) -> None:
    assert said(tmp_path, ENDED + ASKED_MEANWHILE) == said(tmp_path, ENDED)
    assert said(tmp_path, ASKED_MEANWHILE) == ""


def test_a_server_that_has_said_nothing_has_no_last_words(tmp_path: Path) -> None:
    assert SideCluster(tmp_path, tmp_path / "data").last_words() == ""
