"""A provider that is down holds the log of the whole cluster back, for as long as it is attached and no longer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .support.archive import Archive, archived
from .support.processes import all_command_lines
from .support.product import DONE
from .support.waiting import wait_until
from .support.workspace import Workspace

# Nobody listens there.
PROVIDER = """
[global]
repo2-type=s3
repo2-path=/wal
repo2-s3-bucket=backups
repo2-s3-endpoint=localhost
repo2-storage-port=1
repo2-s3-region=us-east-1
repo2-s3-uri-style=path
repo2-s3-key=some
repo2-s3-key-secret=thing
"""


@pytest.fixture
def archive(workspace: Workspace) -> Iterator[Archive]:
    made = archived(workspace, "down")
    made.cluster.execute("create table t (n int)")
    made.pgkeeper("pitr", "backup", "--quiet").exits(DONE)
    configuration = made.configuration.with_name("pgbackrest-cloud.conf")
    configuration.write_text(PROVIDER)
    (made.pgkeeper.state / "pitr" / "attached" / "cloud.conf").symlink_to(configuration)
    yield made
    made.end()


def pushing(archive: Archive) -> list[str]:
    return [line for line in all_command_lines() if "archive-push:async" in line and str(archive.configuration) in line]


def test_detached_amid_a_push_the_log_goes_on_at_once(archive: Archive) -> None:
    archive.cluster.execute("insert into t values (1)")
    archive.cluster.query("select pg_switch_wal()")
    # By itself that push would try for many minutes.
    wait_until(lambda: pushing(archive), "a push into nowhere")
    archive.pgkeeper("pitr", "detach", "cloud").exits(DONE)
    archive.cluster.execute("insert into t values (2)")
    archive.switch()
    archive.pgkeeper("pitr", "check", "--quiet").exits(DONE)
    assert not pushing(archive)
