"""What somebody who owns one database can do to a backup or a restore of it: nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from .support.product import DONE, INTEGRITY, REFUSED, Pgkeeper
from .support.waiting import wait_until

# What the owner's code is like: it runs while a restore loads data, not in the original. One session of the restore is busy with the
# largest table, so the other loads all the small ones, in the dump's order.
OWNER = """
set role mallory;
create schema m;
create table m.zz_largest (t text); insert into m.zz_largest values (repeat('x', 1000));
"""


@pytest.fixture
def mallory(pgkeeper: Pgkeeper) -> Iterator[Pgkeeper]:
    pgkeeper.cluster.psql("postgres", "create role mallory login; create role victim password 'geheim' superuser;")
    try:
        yield pgkeeper
    finally:
        for database in pgkeeper.databases:
            pgkeeper.cluster.drop_database(database)
        pgkeeper.cluster.psql("postgres", "drop role mallory; drop role victim;")


def own(pgkeeper: Pgkeeper, name: str, script: str) -> str:
    """Make a database of mallory's and back it up."""
    pgkeeper.create_database(name, f"alter database {name} owner to mallory;")
    pgkeeper.cluster.psql(name, OWNER + script)
    return pgkeeper.backup(name)


def superusers(pgkeeper: Pgkeeper) -> list[tuple[object, ...]]:
    return pgkeeper.cluster.query("select rolname from pg_roles where rolsuper and rolname = 'mallory'")


def test_a_trigger_planted_while_data_is_loaded_runs_as_nobody_special(mallory: Pgkeeper) -> None:
    backup_id = own(
        mallory,
        "plant",
        """
        create table m.a_first (x int);
        create table m.z_last (x int); insert into m.z_last values (1);
        create function m.pwn() returns trigger language plpgsql as $$ begin
          execute 'alter role mallory superuser'; return null; end $$;
        create function m.plant() returns void language plpgsql security definer as $$ begin
          if current_database() <> 'plant' then
            execute 'create trigger t before truncate on m.z_last for each statement execute function m.pwn()'; end if; end $$;
        create function m.ok(int) returns bool language plpgsql immutable as $$ begin perform m.plant(); return true; end $$;
        alter table m.a_first add check (m.ok(x)); insert into m.a_first values (1);
        """,
    )
    mallory.databases.update({"planted", "planted_unverified"})
    assert mallory("restore", backup_id, "--to", "planted").exit_status != DONE
    assert not superusers(mallory)


def test_code_that_runs_while_data_is_loaded_reads_no_passwords(mallory: Pgkeeper) -> None:
    backup_id = own(
        mallory,
        "spy",
        """
        create table m.a_loot (t text);
        create function m.ok(int) returns bool language plpgsql volatile as $$ begin
          if current_database() <> 'spy' then
            begin
              insert into m.a_loot select rolname || rolpassword from pg_catalog.pg_authid;
            exception when insufficient_privilege then null; end;
          end if; return true; end $$;
        create table m.b (x int check (m.ok(x))); insert into m.b values (1);
        """,
    )
    mallory.databases.update({"spied", "spied_unverified"})
    mallory.restore(backup_id, "--to", "spied")
    assert mallory.cluster.query("select * from m.a_loot", database="spied") == []


def test_a_database_that_differs_is_closed_to_its_owner(mallory: Pgkeeper) -> None:
    backup_id = own(
        mallory,
        "differing",
        """
        create table m.a (t text);
        create function m.ok(int) returns bool language plpgsql volatile as $$ begin
          if current_database() <> 'differing' then insert into m.a values ('more'); end if; return true; end $$;
        create table m.b (x int check (m.ok(x))); insert into m.b values (1);
        """,
    )
    mallory.databases.update({"differed", "differed_unverified"})
    run = mallory("restore", backup_id, "--to", "differed").exits(INTEGRITY)
    assert "differed_unverified" in run.error
    facts = mallory.cluster.query("select datconnlimit, pg_get_userbyid(datdba) from pg_database where datname = 'differed_unverified'")
    assert facts == [(0, "postgres")]


def test_a_view_put_in_the_place_of_a_table_is_not_run_by_a_backup(mallory: Pgkeeper) -> None:
    mallory.create_database("swap", "alter database swap owner to mallory;")
    mallory.cluster.psql(
        "swap",
        OWNER
        + """
        create extension citext schema m;
        create table m.t (a int); insert into m.t values (1);
        alter extension citext add table m.t;
        create function m.pwn() returns bool language plpgsql volatile as $$ begin
          if current_user = 'postgres' then execute 'alter role mallory superuser'; end if; return true; end $$;
        """,
    )
    swap = (
        "set role mallory; alter extension citext drop table m.t; alter table m.t rename to u; create view m.t as select 1 a where m.pwn();"
    )
    with mallory.cluster.connect("swap") as connection:
        connection.execute(f"begin; {swap}".encode())
        with mallory.start("backup", "--database", "swap") as running:
            wait_until(lambda: bool(_waiting(mallory)) or running.process.poll() is not None, "the backup to wait, or to end", 30)
            connection.execute("commit")
            running.result()
    assert not superusers(mallory)


def _waiting(pgkeeper: Pgkeeper) -> list[tuple[object, ...]]:
    return pgkeeper.cluster.query("select pid from pg_stat_activity where wait_event_type = 'Lock'")


def test_a_restore_is_refused_where_only_superusers_can_log_in(mallory: Pgkeeper) -> None:
    backup_id = own(
        mallory,
        "lowered",
        """
        create function m.ok(int) returns bool language plpgsql volatile as $$ begin
          if current_database() <> 'lowered' then
            execute 'reset session authorization'; execute 'alter role mallory superuser'; end if; return true; end $$;
        create table m.t (a int check (m.ok(a))); insert into m.t values (1);
        """,
    )
    with only_superusers_log_in(mallory):
        run = mallory("restore", backup_id, "--to", "raised").exits(REFUSED)
        assert "pg_hba.conf" in run.error
        assert "--trust-database" in run.error
        assert not superusers(mallory)
        report = mallory.restore(backup_id, "--to", "trusted", "--trust-database")
        assert any("superuser" in warning for warning in report["warnings"])


@contextmanager
def only_superusers_log_in(pgkeeper: Pgkeeper) -> Iterator[None]:
    """Leave pg_hba.conf with nothing but the administrator's line."""
    rules = Path(str(pgkeeper.cluster.query("show hba_file")[0][0]))
    before = rules.read_text()
    try:
        rules.write_text("".join(line for line in before.splitlines(keepends=True) if line.startswith("local all postgres ")))
        pgkeeper.cluster.execute("select pg_reload_conf()")
        wait_until(lambda: len(pgkeeper.cluster.query("select 1 from pg_hba_file_rules")) == 1, "the rules to be read")
        yield
    finally:
        rules.write_text(before)
        pgkeeper.cluster.execute("select pg_reload_conf()")


def test_a_table_rewritten_while_a_backup_begins_is_not_backed_up_empty(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("rewritten", "create table big as select n as id, 'r' || n as v from generate_series(1, 5000) n;")
    with pgkeeper.cluster.connect("rewritten") as connection:
        connection.execute("begin")
        connection.execute("alter table big alter v type varchar using v || 'x'")
        with pgkeeper.start("backup", "--database", "rewritten", "--json") as running:
            wait_until(lambda: bool(_waiting(pgkeeper)), "the backup to wait for the table", 60)
            connection.execute("commit")
            run = running.result(120)
    assert run.exits(DONE).outcome("rewritten")["rows"] == 5000


def test_somebody_who_visits_every_database_costs_no_restore(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("visited")
    backup_id = pgkeeper.backup("visited")
    pgkeeper.databases.add("revisited")
    with pgkeeper.start("restore", backup_id, "--to", "revisited") as running:
        (name,) = wait_until(lambda: [name for name in pgkeeper.cluster.databases() if name.startswith("pgkeeper_partial_")], "a database")
        with pgkeeper.cluster.connect(name):
            running.result().exits(DONE)
    assert "revisited" in pgkeeper.cluster.databases()


def test_grants_on_the_database_may_form_a_chain(pgkeeper: Pgkeeper) -> None:
    cluster = pgkeeper.cluster
    cluster.psql("postgres", "create role owner9; create role zed; create role amy; create role bob;")
    try:
        pgkeeper.create_database("chain", "alter database chain owner to owner9;")
        cluster.psql(
            "postgres",
            "revoke all on database chain from public; set role owner9; grant connect on database chain to zed with grant option;"
            "set role zed; grant connect on database chain to amy with grant option; set role amy; grant connect on database chain to bob;",
        )
        privileges = "select datacl::text[] from pg_database where datname = %s"
        pgkeeper.databases.add("chain2")
        pgkeeper.restore(pgkeeper.backup("chain"), "--to", "chain2")
        assert cluster.query(privileges, "chain2") == cluster.query(privileges, "chain")
    finally:
        for database in ("chain", "chain2"):
            cluster.drop_database(database)
        cluster.psql("postgres", "drop role owner9, zed, amy, bob;")


@pytest.mark.parametrize("separator", ["\u2028", "\u0085", "\v", "\x1c"], ids=lambda separator: f"U+{ord(separator):04X}")
def test_names_may_hold_any_line_end(pgkeeper: Pgkeeper, separator: str) -> None:
    pgkeeper.create_database(
        "lines", f'create table "a{separator}7; 0 0 TABLE x" (n int); insert into "a{separator}7; 0 0 TABLE x" values (1);'
    )
    pgkeeper.databases.add("lines2")
    assert pgkeeper.restore(pgkeeper.backup("lines"), "--to", "lines2")["rows"] == 1


def test_checks_may_look_into_other_tables_and_name_them_without_schema(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database(
        "looking",
        """
        create table z_countries (code text primary key); insert into z_countries values ('de'), ('fr');
        create function known(c text) returns bool language sql stable as 'select exists (select from z_countries where code = c)';
        create table a_addresses (id int, c text check (known(c)));
        insert into a_addresses select n, 'de' from generate_series(1, 1000) n;
        """,
    )
    pgkeeper.databases.add("looking2")
    assert pgkeeper.restore(pgkeeper.backup("looking"), "--to", "looking2")["rows"] == 1002


def test_rows_that_no_longer_pass_their_check_are_named(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database(
        "failing",
        """
        create table t (n int);
        create function fine(int) returns bool language sql immutable as 'select true';
        alter table t add check (fine(n)); insert into t values (1);
        create or replace function fine(int) returns bool language sql immutable as 'select false';
        """,
    )
    run = pgkeeper("restore", pgkeeper.backup("failing"), "--to", "failing2")
    assert run.exit_status != DONE
    assert "loading table public.t failed" in run.error


def test_a_view_that_cannot_be_filled_now_is_a_warning(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database(
        "stale",
        """
        create table t as select 1 as n;
        create materialized view mv as select 1 / n as m from t;
        create materialized view fine as select n from t;
        update t set n = 0;
        """,
    )
    pgkeeper.databases.add("stale2")
    report = pgkeeper.restore(pgkeeper.backup("stale"), "--to", "stale2")
    assert any("public.mv" in warning for warning in report["warnings"])
    assert pgkeeper.cluster.query("select n from fine", database="stale2") == [(0,)]


def test_an_extension_of_another_version_is_named(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("versions", "create extension pg_trgm version '1.3';")
    pgkeeper.databases.add("versions2")
    report = pgkeeper.restore(pgkeeper.backup("versions"), "--to", "versions2")
    assert any("pg_trgm" in warning and "1.3" in warning for warning in report["warnings"])


def test_a_database_with_the_name_of_an_unfinished_one_is_never_made_nor_removed(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("named")
    pgkeeper.create_database("pgkeeper_partial_mine")
    backup_id = pgkeeper.backup("named")
    pgkeeper("restore", backup_id, "--to", "pgkeeper_partial_copy").exits(REFUSED)
    pgkeeper.databases.add("named2")
    pgkeeper.restore(backup_id, "--to", "named2")
    assert "pgkeeper_partial_mine" in pgkeeper.cluster.databases()


def test_what_lies_in_a_system_schema_is_named_as_not_backed_up(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database(
        "systems",
        """
        create table information_schema.mine (x int);
        create function information_schema.myfunc() returns int language sql as 'select 1';
        """,
    )
    warnings = pgkeeper("backup", "--database", "systems", "--json").exits(DONE).outcome("systems")["warnings"]
    assert [warning.partition(" ")[0] for warning in warnings] == ["information_schema.mine", "information_schema.myfunc"]


def test_what_the_original_forbade_is_forbidden_while_data_is_loaded(mallory: Pgkeeper) -> None:
    mallory.create_database(
        "tenants",
        """
        create schema admin;
        create function admin.run(c text) returns void language plpgsql security definer as $$ begin execute c; end $$;
        revoke all on function admin.run(text) from public;
        create function public.open_to_all() returns int language sql security definer as 'select 1';
        create schema tenant authorization mallory;
        set role mallory;
        create function tenant.ok(int) returns bool language plpgsql volatile as $$ begin
          perform admin.run('alter role mallory superuser'); return true; exception when others then return true; end $$;
        create table tenant.t (a int check (tenant.ok(a))); insert into tenant.t values (1);
        """,
    )
    mallory.restore(mallory.backup("tenants"), "--to", "tenants2")
    assert not superusers(mallory)


def test_ordinary_roles_do_not_get_into_a_database_being_built(mallory: Pgkeeper) -> None:
    mallory.create_database("built")
    backup_id = mallory.backup("built")
    mallory.databases.add("built2")
    with mallory.start("restore", backup_id, "--to", "built2") as running:
        (name,) = wait_until(lambda: [name for name in mallory.cluster.databases() if name.startswith("pgkeeper_partial_")], "a database")
        entry = "select has_database_privilege('mallory', datname, 'connect') from pg_database where datname = %s"
        wait_until(lambda: mallory.cluster.query(entry, name) in ([(False,)], []), "the database to be closed")
        running.result().exits(DONE)
    assert mallory.cluster.query(entry, "built2") == [(True,)]


def test_who_granted_on_a_large_object_stays_who_granted(pgkeeper: Pgkeeper) -> None:
    cluster = pgkeeper.cluster
    cluster.psql("postgres", "create role o1; create role o2; create role o3;")
    try:
        pgkeeper.create_database(
            "objects",
            """
            select lo_from_bytea(777001, 'abc'); alter large object 777001 owner to o1;
            set role o1; grant select on large object 777001 to o2 with grant option;
            set role o2; grant select on large object 777001 to o3;
            """,
        )
        pgkeeper.databases.add("objects2")
        pgkeeper.restore(pgkeeper.backup("objects"), "--to", "objects2")
        granted = "select lomacl::text from pg_largeobject_metadata"
        assert cluster.query(granted, database="objects2") == cluster.query(granted, database="objects")
    finally:
        for database in ("objects", "objects2"):
            cluster.drop_database(database)
        cluster.psql("postgres", "drop role o1, o2, o3;")


def test_a_table_that_is_truncated_all_the_time_costs_only_itself(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("staging", "create table stage (n int); create table kept as select generate_series(1, 100) as n;")
    stop = threading.Event()

    def churn() -> None:
        with pgkeeper.cluster.connect("staging") as connection:
            while not stop.is_set():
                connection.execute("truncate stage")
                stop.wait(0.01)

    churning = threading.Thread(target=churn)
    churning.start()
    try:
        outcome = pgkeeper("backup", "--database", "staging", "--json").exits(DONE).outcome("staging")
    finally:
        stop.set()
        churning.join()
    assert outcome["rows"] == 100
    assert any("public.stage" in warning for warning in outcome["warnings"]), outcome


def test_secrets_in_a_statement_that_fails_are_not_repeated(pgkeeper: Pgkeeper) -> None:
    secret = "hunter2-geheim"
    cluster = pgkeeper.cluster
    cluster.psql("postgres", "create role mapped;")
    try:
        pgkeeper.create_database(
            "mapping",
            f"""
            create foreign data wrapper fw; create server s1 foreign data wrapper fw;
            create user mapping for mapped server s1 options (user 'u', passwort '{secret}');
            alter foreign data wrapper fw validator postgresql_fdw_validator;
            """,
        )
        pgkeeper.databases.update({"mapping2", "mapping2_unverified"})
        log = cluster.data / "server.log"
        before = len(log.read_text(errors="replace"))
        run = pgkeeper("restore", pgkeeper.backup("mapping"), "--to", "mapping2", "--job", "j1")
        assert run.exit_status != DONE
        assert "CREATE USER MAPPING" in run.error
        written = [
            path.read_bytes().decode(errors="replace")
            for directory in (pgkeeper.logs, pgkeeper.state)
            for path in directory.rglob("*")
            if path.is_file()
        ]
        assert secret not in "".join([run.stdout, run.stderr, *written])
        assert secret not in log.read_text(errors="replace")[before:]
    finally:
        for database in ("mapping", "mapping2", "mapping2_unverified"):
            cluster.drop_database(database)
        cluster.psql("postgres", "drop role mapped;")


def test_an_ordinary_role_cannot_block_restores(mallory: Pgkeeper) -> None:
    mallory.create_database("lockable")
    backup_id = mallory.backup("lockable")
    mallory.cluster.psql("postgres", "alter role mallory password 'geheim'")
    login = make_conninfo(host="127.0.0.1", port=mallory.cluster.port, user="mallory", password="geheim", dbname="postgres")
    with psycopg.connect(login, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(1885825893, 1)")
        mallory.restore(backup_id, "--to", "lockable2")


def test_one_owners_code_does_not_read_another_owners_rows(mallory: Pgkeeper) -> None:
    mallory.create_database(
        "shared",
        """
        create schema a_victim; create table a_victim.cards (n text); insert into a_victim.cards values ('4111-1111');
        create schema tenant authorization mallory;
        set role mallory;
        create function tenant.keep(x text) returns void language plpgsql security definer as $$ begin
          execute format('alter role mallory set application_name = %L', x); end $$;
        create function tenant.ok(int) returns bool language plpgsql volatile as $$ declare x text; begin
          if current_database() <> 'shared' then
            execute 'select n from a_victim.cards' into x; perform tenant.keep(x);
          end if; return true; end $$;
        create table tenant.t (a int check (tenant.ok(a))); insert into tenant.t values (1);
        """,
    )
    run = mallory("restore", mallory.backup("shared"), "--to", "shared2")
    assert run.exit_status != DONE
    assert "tenant.t" in run.error
    assert mallory.cluster.query("select rolconfig from pg_roles where rolname = 'mallory'") == [(None,)]


def test_an_enum_label_renamed_meanwhile_starts_the_backup_again(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database(
        "labels",
        "create type st as enum ('new', 'done'); create table a_first (n int); create table z_orders (s st);"
        "insert into z_orders values ('new'), ('done');",
    )
    with pgkeeper.cluster.connect("labels") as connection:
        connection.execute("begin; lock table a_first in access exclusive mode")
        with pgkeeper.start("backup", "--database", "labels", "--json") as running:
            wait_until(lambda: bool(_waiting(pgkeeper)), "the backup to wait for the table", 60)
            pgkeeper.cluster.psql("labels", "alter type st rename value 'done' to 'finished'")
            connection.execute("commit")
            backup_id = running.result(120).exits(DONE).outcome("labels")["backup_id"]
    pgkeeper.restore(backup_id, "--to", "labels2")
    assert pgkeeper.cluster.query("select s::text from z_orders", database="labels2") == [("new",), ("finished",)]


ROW_CHECK = """
create table m.t (a int);
create function m.ok(r m.t) returns bool language plpgsql volatile as $$ begin
  if current_user = 'postgres' and current_database() <> 'late' then execute 'alter role mallory superuser'; end if;
  return true; end $$;
alter table m.t add constraint c check (m.ok(t.*)); insert into m.t values (1);
"""
OWN_CAST = """
create type m.e as enum ('a', 'b');
create function m.conv(m.e) returns text language plpgsql volatile as $$ begin
  if current_user = 'postgres' and current_database() <> 'late' then execute 'alter role mallory superuser'; end if;
  return enum_out($1); end $$;
create cast (m.e as text) with function m.conv(m.e) as implicit;
create table m.pk (t text primary key); insert into m.pk values ('a');
create table m.fk (e m.e references m.pk); insert into m.fk values ('a');
"""


@pytest.mark.parametrize("script", [ROW_CHECK, OWN_CAST], ids=["row type", "own cast"])
def test_a_constraint_is_validated_with_the_rights_of_its_owner(mallory: Pgkeeper, script: str) -> None:
    backup_id = own(mallory, "late", script)
    mallory.databases.add("later_unverified")
    mallory.restore(backup_id, "--to", "later")
    assert not superusers(mallory)


def test_a_constraint_that_is_not_validated_is_no_reason_to_refuse(mallory: Pgkeeper) -> None:
    backup_id = own(
        mallory,
        "lenient",
        """
        create function m.positive(int) returns bool language sql immutable as 'select $1 > 0';
        create table m.t (a int); insert into m.t values (-1);
        alter table m.t add constraint c check (m.positive(a)) not valid;
        """,
    )
    mallory.restore(backup_id, "--to", "lenient2")
