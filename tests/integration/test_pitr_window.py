"""Which moments can be brought back, as a real archive says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest

from .support.archive import Archive, archived
from .support.product import DONE
from .support.workspace import Workspace


@pytest.fixture(scope="module")
def archive(workspace: Workspace) -> Iterator[Archive]:
    made = archived(workspace, "window")
    made.cluster.execute("create table t (at timestamptz)")
    made.pgkeeper("pitr", "backup", "--quiet").exits(DONE)
    yield made
    made.cluster.stop()


def commit(archive: Archive) -> datetime:
    """Commit a row and return when that was, as the server says."""
    archive.cluster.execute("insert into t values (clock_timestamp())")
    ((at,),) = archive.cluster.query("select max(at) from t")
    assert isinstance(at, datetime)
    return at


def test_the_window_ends_with_the_last_archived_commit(archive: Archive) -> None:
    at = commit(archive)
    archive.switch()
    commit(archive)
    report = archive.pgkeeper("pitr", "window", "--json").exits(DONE).json
    (local,) = report["repositories"]
    (span,) = local["spans"]
    (backup,) = local["backups"]
    assert span["backups"] == [backup["label"]]
    assert span["begins_at"] == backup["stopped_at"]
    ends_at = datetime.fromisoformat(span["ends_at"])
    assert 0 <= (ends_at - at).total_seconds() < 1, "the commit that is archived, and not the one that is not"
    assert span["open"]
    assert local["gaps"] == []
    assert report["archiving"]["works"] is True
