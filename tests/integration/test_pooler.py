"""A connection pooler in PostgreSQL's place is named, and nothing is judged through it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .support.pooler import pgbouncer
from .support.product import CONFIGURATION, FAILED, Pgkeeper


@pytest.fixture(params=["", "ignore_startup_parameters = options", "ignore_startup_parameters = options\npool_mode = transaction"])
def behind(pgkeeper: Pgkeeper, request: pytest.FixtureRequest) -> Iterator[str]:
    """A good backup of the database `app`, and PgBouncer from then on, however it is set up."""
    pgkeeper.create_database(
        "app", "create table t as select now() as at, '\\x00ff'::bytea as b; alter role postgres set bytea_output = escape;"
    )
    backup_id = pgkeeper.backup("app")
    try:
        with pgbouncer(pgkeeper.cluster, pgkeeper.home / "pgbouncer", str(request.param)) as reached:
            pgkeeper.configure(**reached)
            yield backup_id
    finally:
        pgkeeper.cluster.execute("alter role postgres reset bytea_output")


def test_a_pooler_is_named_and_nothing_is_done_through_it(pgkeeper: Pgkeeper, behind: str) -> None:
    before = pgkeeper.cluster.databases()
    runs = [
        pgkeeper("backup", "--database", "app").exits(CONFIGURATION),
        pgkeeper("restore", behind, "--to", "back").exits(CONFIGURATION),
        pgkeeper("doctor").exits(FAILED),
    ]
    for run in runs:
        assert "is a connection pooler" in run.output
        assert "set PGHOST and PGPORT to PostgreSQL itself" in run.output
    assert pgkeeper.cluster.databases() == before
    assert len(pgkeeper.published()) == 1
    assert not list(pgkeeper.backups.rglob("damage.json"))
