"""A database is replaced by a backup of it in a moment, with a way back."""

from __future__ import annotations

from .support.product import DONE, REFUSED, Pgkeeper


def test_a_replaced_database_holds_the_backup_and_the_old_one_is_kept(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app", "create table t as select generate_series(1, 100) as n;")
    backup_id = pgkeeper.backup("app")
    pgkeeper.cluster.psql("app", "insert into t select generate_series(101, 150);")
    refused = pgkeeper("restore", backup_id, "--replace").exits(REFUSED)
    assert "--confirm RESTORE" in refused.error
    print(refused.output)
    run = pgkeeper("restore", backup_id, "--replace", "--confirm", "RESTORE").exits(DONE)
    print(run.output)
    assert pgkeeper.cluster.query("select count(*) from t", database="app") == [(100,)]
    print(pgkeeper.cluster.query("select datname, datallowconn, datconnlimit from pg_database"))
    pgkeeper.cluster.psql("app", "insert into t values (1000);")
    run = pgkeeper("restore", "--undo", "--confirm", "RESTORE").exits(DONE)
    print(run.output)
    print(pgkeeper.cluster.query("select datname, datallowconn, datconnlimit from pg_database"))
    print(next(pgkeeper.state.rglob("replacements/*.jsonl")).read_text())
