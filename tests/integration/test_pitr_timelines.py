"""What can be brought back after a recovery: the timeline that was left is still a way of its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from .support.archive import Archive, archived
from .support.product import DONE, FAILED
from .support.waiting import wait_until
from .support.workspace import Workspace


@pytest.fixture(scope="module")
def archive(workspace: Workspace) -> Iterator[Archive]:
    """A cluster with one physical backup."""
    made = archived(workspace, "lines")
    made.cluster.execute("create table t (at timestamptz)")
    made.pgkeeper("pitr", "backup", "--quiet").exits(DONE)
    yield made
    made.end()


def recover(archive: Archive) -> None:
    """Let the cluster itself go through archive recovery to the end of its log: it comes up on a new timeline."""
    where = f"--config={archive.configuration} --config-include-path={archive.pgkeeper.state}/pitr/attached --stanza=test"
    archive.cluster.execute(f"alter system set restore_command = 'pgbackrest {where} archive-get %f \"%p\"'")
    archive.cluster.stop()
    (archive.cluster.data / "recovery.signal").touch()
    archive.cluster.start()
    wait_until(lambda: archive.cluster.query("select pg_is_in_recovery()") == [(False,)], "the end of recovery", 60)


def spans(archive: Archive) -> dict[int, dict[str, Any]]:
    """The last span of each timeline."""
    found = archive.pgkeeper("pitr", "window", "--json").exits(DONE).json["repositories"][0]["spans"]
    return {span["timeline"]: span for span in found}


def close(text: str, at: datetime) -> bool:
    return timedelta() <= datetime.fromisoformat(text) - at < timedelta(seconds=1)


def test_both_timelines_end_with_their_own_last_commit(archive: Archive) -> None:
    old = archive.commit()
    archive.switch()
    before = spans(archive)
    recover(archive)
    new = archive.commit()
    archive.switch()
    after = spans(archive)
    assert set(after) == {1, 2}
    assert after[1] == before[1]
    assert close(after[1]["ends_at"], old)
    assert close(after[2]["ends_at"], new)
    assert after[2]["begin_lsn"] == after[1]["begin_lsn"], "the backup of the old timeline leads to the new one"
    assert after[2]["open"]

    # What the old timeline has before the parting is on both ways.
    archive.pgkeeper("pitr", "check").exits(DONE)
    made = archive.pgkeeper("pitr", "mark", "on two", "--json").exits(DONE).json
    assert made["mark"]["timeline"] == 2

    archive.pgkeeper("pitr", "backup", "--kind", "full", "--quiet").exits(DONE)
    assert spans(archive)[1]["backups"] == before[1]["backups"], "a backup of the new timeline is none of the old one's"
    assert len(spans(archive)[2]["backups"]) == 2


def test_production_is_followed_where_a_clone_archives_beside_it(archive: Archive, workspace: Workspace) -> None:
    with archive.clone(workspace.directory("clone-data")) as ask:
        assert ask("insert into t values (now()) returning pg_walfile_name(pg_current_wal_lsn())").startswith("00000003")
        segment = ask("select pg_walfile_name(pg_switch_wal())")
        wait_until(lambda: ask(f"select last_archived_wal >= '{segment}' from pg_stat_archiver") == "t", f"{segment} in the archive", 60)
    ours = archive.commit()
    ((moment,),) = archive.cluster.query("select clock_timestamp()::text")
    archive.commit()
    archive.switch()

    told = archive.pitr("check").exits(FAILED).json
    (problem,) = told["problems"]
    assert "timeline 3, on which production never was" in problem
    # It is told of once: the log stays until its backups go.
    assert archive.pitr("check").exits(DONE).json["warnings"] == [problem]
    window = archive.pitr("window").exits(DONE).json
    assert problem in window["warnings"]
    assert {span["timeline"] for span in window["repositories"][0]["spans"]} == {1, 2, 3}
    doctor = archive.pgkeeper("doctor", "--json").json
    assert [finding["level"] for finding in doctor["findings"] if finding["text"] == problem] == ["warning"]

    def timeline(*target: str) -> int:
        return int(archive.pitr("restore", *target, "--dry-run").exits(DONE).json["timeline"])

    assert timeline("--latest") == 2
    assert timeline("--target-name", "on two") == 2
    assert timeline("--latest", "--timeline", "3") == 3
    side = archive.pitr("restore", "--target-time", str(moment)).exits(DONE).json
    assert datetime.fromisoformat(archive.psql_at(Path(side["directory"]), "select max(at) from t")) == ours
    archive.pgkeeper("pitr", "stop", side["directory"], "--remove").exits(DONE)

    archive.cluster.stop()
    try:
        assert timeline("--latest") == 2, "the control file says where production is"
    finally:
        archive.cluster.start()


def test_what_was_archived_comes_back_where_a_new_cluster_lies_at_the_old_path(archive: Archive) -> None:
    last = archive.commit()
    archive.switch()
    ((system,),) = archive.cluster.query("select system_identifier::text from pg_control_system()")
    archive.cluster.stop()
    archive.cluster.data.rename(archive.cluster.data.with_name(f"{archive.cluster.data.name}.lost"))
    archive.cluster.made_anew()
    (archive.pgkeeper.state / "pitr" / "segments.json").unlink()
    ((new,),) = archive.cluster.query("select system_identifier::text from pg_control_system()")

    for is_running in (True, False):
        if not is_running:
            archive.cluster.stop()
        window = archive.pitr("window").exits(DONE).json
        (span,) = (span for span in window["repositories"][0]["spans"] if span["timeline"] == 2)
        assert close(span["ends_at"], last)
        (told,) = (warning for warning in window["warnings"] if "another cluster" in warning)
        assert f"is another cluster ({new}) than the one that was archived ({system})" in told
    side = archive.pitr("restore", "--latest").exits(DONE).json
    assert side["timeline"] == 2, "it was seen there last, and the clone's timeline is newer"
    assert [text in " ".join(side["warnings"]) for text in (f"another cluster ({new})", "--timeline 3")] == [True, True]
    assert datetime.fromisoformat(archive.psql_at(Path(side["directory"]), "select max(at) from t")) == last
    archive.pgkeeper("pitr", "stop", side["directory"], "--remove").exits(DONE)
    archive.cluster.start()
