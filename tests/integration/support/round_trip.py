"""The whole way of a database: backed up, proven, restored beside, and put in its own place."""

from __future__ import annotations

from typing import Any

from .compare import assert_same_contents
from .product import DONE, Pgkeeper


def proven_restored_and_replaced(keeper: Pgkeeper, database: str = "app") -> dict[str, Any]:
    """Fail unless it comes back the same each time; returns what the proof said. The copy beside is called `beside`."""
    backup_id = keeper.backup(database)
    proof = keeper("verify", backup_id, "--level", "restore", "--json").exits(DONE).outcome(database)
    keeper.restore(backup_id, "--to", "beside")
    assert_same_contents(keeper.cluster, database, "beside")
    report = keeper("restore", backup_id, "--replace", "--confirm", "RESTORE", "--json").exits(DONE).json
    keeper.databases.add(report["kept_as"])
    assert_same_contents(keeper.cluster, database, "beside")
    return proof
