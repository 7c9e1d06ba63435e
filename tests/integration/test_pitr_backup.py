"""Physical backups in both repositories, damage in them, and a repository off site that goes and comes back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .support.archive import Archive, archived
from .support.product import BUSY, CONFIGURATION, DONE, FAILED, INTEGRITY, REFUSED, USAGE
from .support.user import make_service_directory
from .support.waiting import wait_until
from .support.workspace import Workspace


@pytest.fixture(scope="module")
def archive(workspace: Workspace) -> Iterator[Archive]:
    """A cluster whose second repository is another directory: pgBackRest and pgkeeper know no difference to a bucket."""
    made = archived(workspace, "two")
    place = make_service_directory(made.pgkeeper.home / "cloud")
    configuration = made.configuration.with_name("pgbackrest-cloud.conf")
    configuration.write_text(f"[global]\nrepo2-path={place}\nrepo2-retention-full-type=time\nrepo2-retention-full=7\n")
    (made.pgkeeper.state / "pitr" / "attached" / "cloud.conf").symlink_to(configuration)
    made.pgbackrest("stanza-create")
    made.cluster.execute("create table t as select generate_series(1, 1000) as n")
    made.pgkeeper("pitr", "backup", "--quiet").exits(DONE)
    yield made
    made.end()


def cloud(archive: Archive) -> Path:
    return archive.pgkeeper.home / "cloud"


def repositories(archive: Archive) -> dict[str, Any]:
    """What the window says of each repository, by its name."""
    shown = archive.pgkeeper("pitr", "window", "--json").json["repositories"]
    return {repository["repository"]: repository for repository in shown}


def test_each_repository_gets_a_backup_of_its_own(archive: Archive) -> None:
    shown = repositories(archive)
    assert set(shown) == {"local", "cloud"}
    for repository in shown.values():
        assert repository["backups"][0]["kind"] == "full"
        assert repository["spans"]


def test_a_differential_backup_follows_a_fresh_full_one(archive: Archive) -> None:
    report = archive.pgkeeper("pitr", "backup", "--json").exits(DONE).json
    assert [(outcome["repository"], outcome["backup"]["kind"]) for outcome in report["outcomes"]] == [("local", "diff"), ("cloud", "diff")]
    for outcome in report["outcomes"]:
        assert outcome["backup"]["prior"]


def test_one_repository_alone_can_be_meant(archive: Archive) -> None:
    before = repositories(archive)
    report = archive.pgkeeper("pitr", "backup", "--to", "cloud", "--kind", "incr", "--json").exits(DONE).json
    assert [(outcome["repository"], outcome["backup"]["kind"]) for outcome in report["outcomes"]] == [("cloud", "incr")]
    after = repositories(archive)
    assert after["local"]["backups"] == before["local"]["backups"]
    assert len(after["cloud"]["backups"]) == len(before["cloud"]["backups"]) + 1


def test_a_backup_beside_another_is_refused_and_one_that_was_killed_is_in_nobodys_way(archive: Archive) -> None:
    with archive.pgkeeper.start("pitr", "backup", "--kind", "full", "--quiet") as running:
        running.wait_for_child("pgbackrest")
        assert "a physical backup is already running" in archive.pgkeeper("pitr", "backup").exits(BUSY).error
        running.signal(signal.SIGKILL)
        running.process.wait(30)
    wait_until(lambda: not archive.pgkeeper.processes(), "the end of what was killed", 30)
    archive.pgkeeper("pitr", "backup", "--kind", "full", "--quiet").exits(DONE)


def test_damage_in_a_repository_is_found(archive: Archive) -> None:
    archive.pgkeeper("pitr", "verify", "--from", "local", "--json").exits(DONE)
    archive.pgkeeper("pitr", "verify", "--from", "cloud", "--json").exits(DONE)
    victim = max(archive.repository.glob("backup/test/*F/**/pg_xact/0000*"))
    whole = victim.read_bytes()
    victim.write_bytes(b"XXXX" + whole[4:])
    try:
        run = archive.pgkeeper("pitr", "verify", "--json").exits(INTEGRITY)
    finally:
        victim.write_bytes(whole)
    (repository,) = [outcome for outcome in run.json["outcomes"] if outcome["subject"] == "repository"]
    assert repository["status"] == "damaged"
    assert "pg_xact/0000" in repository["damages"][0]
    archive.pgkeeper("pitr", "verify").exits(DONE)


@pytest.mark.parametrize("kind", ["changed bytes", "another's content"])
def test_a_damaged_segment_is_never_the_end_of_the_window(archive: Archive, kind: str) -> None:
    names = []
    for _ in range(2):
        archive.cluster.execute("insert into t values (1)")
        names.append(archive.switch())
    (other,), (victim,) = (list(archive.repository.rglob(f"{name}-*")) for name in names)
    whole = victim.read_bytes()
    (archive.pgkeeper.state / "pitr" / "segments.json").unlink(missing_ok=True)
    victim.write_bytes(other.read_bytes() if kind == "another's content" else whole[:200] + b"XXXX" + whole[204:])
    try:
        shown = archive.pgkeeper("pitr", "window", "--json")
        assert shown.exit_status in (FAILED, INTEGRITY)
        assert {one["repository"]: one["error"] is not None for one in shown.json["repositories"]} == {"local": True, "cloud": False}
    finally:
        victim.write_bytes(whole)


def test_a_database_is_checked_page_by_page_where_it_has_the_extension(archive: Archive) -> None:
    archive.cluster.execute("create database checked")
    archive.cluster.execute("create extension amcheck", database="checked")
    archive.cluster.execute("create table t as select n, repeat('x', 100) as text from generate_series(1, 1000) as n", database="checked")
    outcomes = archive.pgkeeper("pitr", "verify", "--json").exits(DONE).json["outcomes"]
    found = {outcome["name"]: outcome["status"] for outcome in outcomes if outcome["subject"] == "database"}
    assert found == {"checked": "whole", "postgres": "skipped"}
    ((path,),) = archive.cluster.query("select pg_relation_filepath('t')", database="checked")
    archive.cluster.stop()
    with (archive.cluster.data / str(path)).open("r+b") as file:
        # The first row's pointer, a normal one, leads out of its page.
        file.seek(24)
        file.write(b"\xff\xff\xc8\x00")
    archive.cluster.start()
    run = archive.pgkeeper("pitr", "verify", "--json").exits(INTEGRITY)
    (damaged,) = [outcome for outcome in run.json["outcomes"] if outcome["status"] == "damaged"]
    assert damaged["name"] == "checked"
    assert "heap table" in " ".join(damaged["damages"])
    archive.cluster.drop_database("checked")


def test_a_repository_out_of_reach_is_named_and_can_be_detached_and_attached_again(archive: Archive) -> None:
    away = cloud(archive).with_name("cloud-away")
    cloud(archive).rename(away)
    # Nobody can make a directory where a file lies.
    cloud(archive).write_text("")
    try:
        run = archive.pgkeeper("pitr", "check", "--timeout", "5s", "--json").exits(FAILED)
        assert any("pgkeeper pitr detach cloud" in problem for problem in run.json["problems"]), run.output
        assert run.json["hours_until_full"] > 0
        shown = archive.pgkeeper("pitr", "window", "--json").exits(FAILED).json
        assert {one["repository"]: one["error"] is not None for one in shown["repositories"]} == {"local": False, "cloud": True}
        assert shown["archiving"]["lag_segments"] > 0

        detached = archive.pgkeeper("pitr", "detach", "cloud", "--json").exits(DONE).json
        assert detached["changed"] is True
        again = archive.pgkeeper("pitr", "detach", "cloud", "--json").exits(DONE).json
        assert (again["changed"], again["since"]) == (False, detached["since"])
        waiting = "select count(*) from pg_ls_archive_statusdir() where name like '%.ready'"
        wait_until(lambda: archive.cluster.query(waiting) == [(0,)], "the local repository to catch up", 120)
        archive.cluster.execute("insert into t values (1)")
        check = archive.pgkeeper("pitr", "check", "--json").exits(DONE)
        assert any("repository cloud is detached" in warning for warning in check.json["warnings"])
        assert "detached since" in archive.pgkeeper("pitr", "window").exits(DONE).stdout
        status = archive.pgkeeper("status", "--json").json
        assert any("repository cloud is detached" in finding["text"] for finding in status["findings"])
        assert "is detached" in archive.pgkeeper("pitr", "backup", "--to", "cloud").exits(USAGE).error

        archive.pgkeeper("pitr", "attach", "cloud").exits(FAILED)
        assert not repositories(archive)["cloud"]["attached"], "as long as it cannot be reached, it would stop archiving again"
    finally:
        cloud(archive).unlink()
        away.rename(cloud(archive))

    attached = archive.pgkeeper("pitr", "attach", "cloud", "--json").exits(DONE).json
    assert attached["backup"]["backup"]["kind"] == "full"
    shown = repositories(archive)
    assert shown["local"]["gaps"] == []
    assert shown["cloud"]["gaps"][-1]["before"] is not None
    assert shown["cloud"]["spans"][-1]["open"]
    assert archive.pgkeeper("pitr", "attach", "cloud", "--json").exits(DONE).json["backup"] is None


def test_an_attaching_that_was_killed_is_finished_by_the_next(archive: Archive) -> None:
    archive.pgkeeper("pitr", "detach", "cloud").exits(DONE)
    with archive.pgkeeper.start("pitr", "attach", "cloud") as running:
        wait_until((archive.pgkeeper.state / "pitr" / "attached" / "cloud.conf").is_symlink, "the link", 30)
        os.kill(running.pid, signal.SIGKILL)
        running.process.wait(30)
    wait_until(lambda: not archive.pgkeeper.processes(), "the end of what was killed", 30)
    finished = archive.pgkeeper("pitr", "attach", "cloud", "--json").exits(DONE).json
    assert finished["changed"] is False
    assert finished["backup"]["backup"]["kind"] == "full"


def test_attaching_during_a_backup_says_that_its_own_is_still_due(archive: Archive) -> None:
    archive.pgkeeper("pitr", "detach", "cloud").exits(DONE)
    with archive.pgkeeper.start("pitr", "backup", "--kind", "full", "--to", "local", "--quiet") as running:
        running.wait_for_child("pgbackrest")
        running.signal(signal.SIGSTOP)
        try:
            busy = archive.pgkeeper("pitr", "attach", "cloud").exits(BUSY)
        finally:
            running.signal(signal.SIGCONT)
        assert "repository cloud: attached" in busy.stdout
        assert "a physical backup is already running" in busy.error
        assert "its full backup is still due" in busy.stderr
        assert "`pgkeeper pitr attach cloud` makes it" in busy.stderr
        running.result()
    again = archive.pitr("attach", "cloud").exits(DONE).json
    assert (again["changed"], again["backup"]["backup"]["kind"], again["warnings"]) == (False, "full", [])


def on_a_new_timeline(archive: Archive) -> str:
    """Let the cluster become a standby at the end of its log, and promote it; returns the name of the new timeline's history."""
    archive.cluster.stop()
    (archive.cluster.data / "standby.signal").touch()
    archive.cluster.start()
    archive.cluster.execute("select pg_promote()")
    archive.cluster.execute("insert into t values (1)")
    return f"{archive.switch()[:8]}.history"


def recovers_from_cloud(archive: Archive) -> bool:
    """Whether the end of the log comes back from the second repository."""
    side = archive.pitr("restore", "--latest", "--from", "cloud").exits(DONE).json["directory"]
    same = archive.psql_at(Path(side), "select count(*) from t") == str(archive.cluster.query("select count(*) from t")[0][0])
    archive.pgkeeper("pitr", "stop", str(side), "--remove").exits(DONE)
    return same


def test_a_timeline_that_began_while_a_repository_was_detached_can_be_recovered_from_it(archive: Archive) -> None:
    archive.pgkeeper("pitr", "detach", "cloud").exits(DONE)
    history = on_a_new_timeline(archive)
    assert not list(cloud(archive).rglob(history))
    attached = archive.pitr("attach", "cloud").exits(DONE).json
    assert attached["backup"]["warnings"] == []
    assert recovers_from_cloud(archive)


def test_a_history_that_a_repository_lacks_is_sent_by_the_check_or_its_absence_told(archive: Archive) -> None:
    history = on_a_new_timeline(archive)
    archive.pgkeeper("pitr", "backup", "--kind", "full", "--to", "cloud").exits(DONE)
    # The gap of a time when it was detached is told of once.
    archive.pgkeeper("pitr", "check")
    (there,) = cloud(archive).rglob(history)
    kept = archive.cluster.data / "pg_wal" / history
    there.unlink()
    archive.pgkeeper("pitr", "check").exits(DONE)
    assert there.read_bytes() == kept.read_bytes()

    there.write_text("nonsense")
    (problem,) = archive.pitr("check").exits(FAILED).json["problems"]
    assert f"nothing of timeline {int(history[:8], 16)}" in problem
    assert there.read_bytes() == kept.read_bytes(), "it was sent again"
    archive.pgkeeper("pitr", "check").exits(DONE)

    there.unlink()
    away = kept.rename(archive.cluster.data / history)
    try:
        problems = archive.pitr("check").exits(FAILED).json["problems"]
        assert [f"lacks {history}" in problem for problem in problems] == [True]
        (outcome,) = archive.pitr("backup", "--to", "cloud").exits(DONE).json["outcomes"]
        assert outcome["backup"] is not None
        assert [f"lacks {history}" in warning for warning in outcome["warnings"]] == [True]
        refused = archive.pgkeeper("pitr", "restore", "--latest", "--from", "cloud").exits(REFUSED)
        assert f"lacks {history}" in refused.error
    finally:
        away.rename(kept)
    archive.pgkeeper("pitr", "backup", "--to", "cloud").exits(DONE)
    assert recovers_from_cloud(archive)


def test_without_a_second_repository_there_is_nothing_to_attach(archive: Archive) -> None:
    configuration = archive.configuration.with_name("pgbackrest-cloud.conf")
    link = archive.pgkeeper.state / "pitr" / "attached" / "cloud.conf"
    kept = configuration.read_text()
    link.unlink()
    configuration.unlink()
    try:
        for verb in ("attach", "detach"):
            assert "there is no repository cloud" in archive.pgkeeper("pitr", verb, "cloud").exits(CONFIGURATION).error
    finally:
        configuration.write_text(kept)
        link.symlink_to(configuration)


def test_what_has_had_its_days_goes_and_nothing_else(archive: Archive) -> None:
    nothing = archive.pgkeeper("pitr", "expire", "--json").exits(DONE).json
    assert [(outcome["backups"], outcome["error"]) for outcome in nothing["outcomes"]] == [([], None), ([], None)]
    labels = [backup["label"] for backup in repositories(archive)["local"]["backups"]]
    archive.pgkeeper("pitr", "backup", "--kind", "full", "--to", "local").exits(DONE)
    (newest,) = [backup["label"] for backup in repositories(archive)["local"]["backups"] if backup["label"] not in labels]
    whole = archive.configuration.read_text()
    archive.configuration.write_text(
        whole.replace("retention-full-type=time", "retention-full-type=count").replace("retention-full=7", "retention-full=1")
    )
    try:
        (planned, _) = archive.pgkeeper("pitr", "expire", "--dry-run", "--json").exits(DONE).json["outcomes"]
        assert sorted(planned["backups"]) == sorted(labels)
        assert len(repositories(archive)["local"]["backups"]) == len(labels) + 1
        (gone, _) = archive.pgkeeper("pitr", "expire", "--json").exits(DONE).json["outcomes"]
    finally:
        archive.configuration.write_text(whole)
    assert (sorted(gone["backups"]), gone["log"]) == (sorted(labels), planned["log"])
    local = repositories(archive)["local"]
    assert [backup["label"] for backup in local["backups"]] == [newest]
    assert local["gaps"] == []
    assert archive.pgkeeper("pitr", "expire").exits(DONE).stdout.startswith("local: backups removed: none")
