"""What can be brought back after a recovery: the timeline that was left is still a way of its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from .support.archive import Archive, archived
from .support.product import DONE
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
