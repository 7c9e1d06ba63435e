"""A backup that is removed just as somebody opens it was not damaged: there is no such backup."""

from __future__ import annotations

import json

import pytest

from .support.product import USAGE, Pgkeeper

# Runs the command line; what it finds in the store is removed before it is looked at.
REMOVED = """
import shutil, sys
from pgkeeper.stores.local import LocalStore
found = LocalStore.backups
def found_and_removed(store):
    backups = found(store)
    for backup in backups:
        shutil.rmtree(backup.path)
    return backups
LocalStore.backups = found_and_removed
from pgkeeper.cli.app import run
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    "call",
    [
        ("show", "{id}"),
        ("verify", "{id}"),
        ("verify", "--level", "restore"),
        ("restore", "{id}", "--to", "again"),
        ("restore", "{id}", "--replace", "--confirm", "RESTORE"),
    ],
    ids=" ".join,
)
def test_a_backup_that_goes_meanwhile_is_none_and_alarms_nobody(pgkeeper: Pgkeeper, call: tuple[str, ...]) -> None:
    pgkeeper.create_database("app")
    backup_id = pgkeeper.backup("app")
    # Nobody listens there: whoever tried to tell the owner would warn.
    pgkeeper.configure(BACKUP_NOTIFY_URLS="json://127.0.0.1:9")
    arguments = [word.format(id=backup_id) for word in call]
    run = pgkeeper.program(REMOVED, *arguments, "--json")
    assert run.returncode == USAGE, run.stdout + run.stderr
    assert f"there is no backup {backup_id} any more" in run.stderr
    assert "warning" not in run.stderr
    assert json.loads(run.stdout)
