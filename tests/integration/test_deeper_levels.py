"""A deeper check includes the shallower ones: what contents would find, a restore finds as well."""

from __future__ import annotations

import json

import pytest

from .support.history import newest
from .support.manifests import change_dump, replace_file
from .support.product import INTEGRITY, Pgkeeper

SCRIPT = "create table t (n int, word text); insert into t values (1, 'genuine value');"


def test_a_changed_value_with_a_renewed_hash_is_never_proven_and_never_restored(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app", SCRIPT)
    backup_id = pgkeeper.backup("app")
    directory = newest(pgkeeper, "app")
    change_dump(directory, b"genuine value", b"another value")
    pgkeeper("verify", backup_id, "--level", "restore").exits(INTEGRITY)
    assert not (directory / "proof-restore.json").exists()
    pgkeeper("verify", backup_id, "--level", "contents").exits(INTEGRITY)
    assert json.loads((directory / "damage.json").read_bytes())["level"] == "contents"
    pgkeeper("verify", backup_id, "--level", "restore").exits(INTEGRITY)
    assert (directory / "damage.json").exists()
    assert not list(directory.glob("proof-*.json"))
    databases = pgkeeper.cluster.databases()
    pgkeeper("restore", backup_id).exits(INTEGRITY)
    assert {name for name in pgkeeper.cluster.databases() - databases if "unverified" not in name} == set()
    pgkeeper.databases |= pgkeeper.cluster.databases() - databases


@pytest.mark.parametrize("name", ["globals.sql.gz", "server-config.tar.gz"])
def test_a_restore_looks_at_the_files_that_it_does_not_need(pgkeeper: Pgkeeper, name: str) -> None:
    pgkeeper.create_database("app", SCRIPT)
    backup_id = pgkeeper.backup("app")
    directory = newest(pgkeeper, "app")
    replace_file(directory, name, (directory / name).read_bytes()[:-8])
    run = pgkeeper("verify", backup_id, "--level", "restore").exits(INTEGRITY)
    assert name in run.error
    assert backup_id in run.error
    assert not list(directory.glob("proof-*.json"))
