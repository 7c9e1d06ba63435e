"""A restore puts a database beside the original and never touches what is there."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from .conftest import assert_nothing_left
from .support.compare import assert_same_contents, assert_same_database, contents, database_facts
from .support.hindrance import locked, wait_for_stalled_session
from .support.product import DONE, FAILED, USAGE, Pgkeeper
from .support.user import service_ids
from .support.waiting import wait_until

SAMPLE = """
create table t (id int primary key, v text);
insert into t select n, md5(n::text) from generate_series(1, 5000) n;
create index on t (v);
"""

# Loading its rows takes ten minutes.
SLOW_ELSEWHERE = """
create function slow_elsewhere(int) returns bool language plpgsql immutable as
    $$ begin perform pg_sleep(600) where current_database() <> 'slow'; return true; end $$;
create table one (a int check (slow_elsewhere(a)));
create table other (a int check (slow_elsewhere(a)));
insert into one values (1);
insert into other values (1);
"""


def test_the_original_is_left_as_it_is(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("original", SAMPLE)
    backup_id = pgkeeper.backup("original")
    pgkeeper.cluster.psql("original", "delete from t where id > 10; create table later (a int);")
    before = contents(pgkeeper.cluster, "original")
    report = pgkeeper.restore(backup_id, "--to", "beside")
    assert report["target"] == "beside"
    assert report["changed"] is True
    assert report["rows"] == 5000
    assert contents(pgkeeper.cluster, "original") == before
    assert pgkeeper.cluster.query("select count(*) from t", database="beside") == [(5000,)]


def test_a_database_that_is_there_is_never_overwritten(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("original", SAMPLE)
    pgkeeper.create_database("precious")
    backup_id = pgkeeper.backup("original")
    before = contents(pgkeeper.cluster, "precious")
    run = pgkeeper("restore", backup_id, "--to", "precious")
    assert run.exit_status not in (DONE, USAGE), run.output
    assert "precious" in run.error
    assert contents(pgkeeper.cluster, "precious") == before
    run = pgkeeper("restore", backup_id, "--to", "original")
    assert run.exit_status not in (DONE, USAGE), run.output


def test_a_lost_database_comes_back_under_its_own_name(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("lost", SAMPLE)
    before, facts = contents(pgkeeper.cluster, "lost"), database_facts(pgkeeper.cluster, "lost")
    backup_id = pgkeeper.backup("lost")
    pgkeeper.cluster.drop_database("lost")
    pgkeeper.restore(backup_id, "--to", "lost")
    assert contents(pgkeeper.cluster, "lost") == before
    assert database_facts(pgkeeper.cluster, "lost") == facts


def test_missing_roles_come_back_and_existing_ones_are_left_alone(pgkeeper: Pgkeeper) -> None:
    cluster = pgkeeper.cluster
    cluster.psql(
        "postgres",
        """
        create role gone_owner nologin createdb connection limit 4 valid until '2033-03-03 03:03:03+00';
        create role gone_login login password 'whatever' in role gone_owner;
        create role staying login password 'as it was';
        grant staying to gone_login;
        alter role gone_login set search_path = 'a b', "$user";
        comment on role gone_owner is 'it''s gone';
        """,
    )
    attributes = """
        select rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls,
            rolconnlimit, rolpassword, rolvaliduntil, shobj_description(a.oid, 'pg_authid'),
            (select setconfig from pg_db_role_setting where setrole = a.oid and setdatabase = 0),
            array(select roleid::regrole::text from pg_auth_members where member = a.oid order by 1)
        from pg_authid a where rolname in ('gone_owner', 'gone_login') order by 1
    """
    pgkeeper.create_database("owned", SAMPLE + "alter table t owner to gone_owner; grant select on t to gone_login;")
    cluster.execute("alter database owned owner to gone_owner")
    expected = cluster.query(attributes)
    dumped = contents(cluster, "owned")
    try:
        backup_id = pgkeeper.backup("owned")
        cluster.drop_database("owned")
        cluster.psql("postgres", "drop role gone_owner, gone_login; alter role staying password 'changed since';")
        staying = cluster.query("select to_jsonb(a) from pg_authid a where rolname = 'staying'")
        pgkeeper.restore(backup_id, "--to", "owned")
        assert cluster.query(attributes) == expected
        assert cluster.query("select to_jsonb(a) from pg_authid a where rolname = 'staying'") == staying
        assert contents(cluster, "owned") == dumped
    finally:
        cluster.drop_database("owned")
        cluster.psql("postgres", "drop role if exists gone_owner, gone_login, staying")


def test_owners_code_never_runs_as_superuser_while_data_is_loaded(pgkeeper: Pgkeeper) -> None:
    pgkeeper.cluster.execute("create role plain_owner")
    pgkeeper.create_database(
        "trap",
        """
        create function harmless(int) returns bool language plpgsql as $$
        begin
            if (select rolsuper from pg_roles where rolname = current_user)
                or (select rolsuper from pg_roles where rolname = session_user) then
                raise exception 'a superuser ran the owner''s code';
            end if;
            return true;
        end $$;
        create table trapped (a int check (harmless(a)));
        create domain trapped_domain as int check (harmless(value));
        create table trapped_too (a trapped_domain, b int);
        alter table trapped owner to plain_owner;
        alter table trapped_too owner to plain_owner;
        alter function harmless owner to plain_owner;
        grant create on schema public to plain_owner;
        set session authorization plain_owner;
        insert into trapped values (1), (2);
        insert into trapped_too values (3, 4);
        """,
    )
    try:
        report = pgkeeper.restore(pgkeeper.backup("trap"))
        assert_same_contents(pgkeeper.cluster, "trap", report["target"])
    finally:
        for database in pgkeeper.databases:
            pgkeeper.cluster.drop_database(database)
        pgkeeper.cluster.execute("drop role plain_owner")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_restore_stopped_while_its_database_is_made_leaves_nothing(pgkeeper: Pgkeeper, number: signal.Signals) -> None:
    pgkeeper.create_database("original", SAMPLE)
    backup_id = pgkeeper.backup("original")
    databases, roles = pgkeeper.cluster.databases(), pgkeeper.cluster.roles()
    # Whoever copies template0 waits for the end of this.
    held = "comment on database template0 is 'held'"
    with locked(pgkeeper.cluster, "postgres", held) as release, pgkeeper.start("restore", backup_id, "--to", "half") as running:
        wait_for_stalled_session(pgkeeper.cluster, "postgres")
        running.signal(number)
        run = running.result(30).exits(FAILED)
        release()
    assert number.name in run.error
    assert_nothing_left(pgkeeper)
    assert pgkeeper.cluster.databases() == databases
    assert pgkeeper.cluster.roles() == roles


def test_a_restore_stopped_while_it_loads_leaves_nothing(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("slow", SLOW_ELSEWHERE)
    backup_id = pgkeeper.backup("slow")
    databases, roles = pgkeeper.cluster.databases(), pgkeeper.cluster.roles()
    with pgkeeper.start("restore", backup_id, "--to", "half") as running:
        wait_until(lambda: pgkeeper.cluster.query("select 1 from pg_stat_activity where wait_event = 'PgSleep'"), "rows being loaded")
        running.signal(signal.SIGTERM)
        assert "SIGTERM" in running.result(30).exits(FAILED).error
    assert_nothing_left(pgkeeper)
    assert pgkeeper.cluster.databases() == databases
    assert pgkeeper.cluster.roles() == roles


def test_tables_are_loaded_side_by_side_and_the_first_session_that_fails_ends_the_others(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("slow", SLOW_ELSEWHERE)
    backup_id = pgkeeper.backup("slow")
    databases, roles = pgkeeper.cluster.databases(), pgkeeper.cluster.roles()
    asleep = "select pid from pg_stat_activity where wait_event = 'PgSleep'"
    with pgkeeper.start("restore", backup_id, "--to", "half") as running:
        at_once = min(os.cpu_count() or 1, 2)
        wait_until(lambda: len(pgkeeper.cluster.query(asleep)) == at_once, "tables being loaded")
        pgkeeper.cluster.query(f"select pg_terminate_backend(pid) from ({asleep} limit 1) as s")
        assert "terminating connection" in running.result(60).exits(FAILED).error
    assert_nothing_left(pgkeeper)
    assert pgkeeper.cluster.databases() == databases
    assert pgkeeper.cluster.roles() == roles


def test_rows_are_loaded_so_that_whoever_reads_them_first_need_not_write_them_again(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("original", SAMPLE)
    pgkeeper.restore(pgkeeper.backup("original"), "--to", "beside")
    # The server may have made the file longer than the rows need.
    filled = "select count(distinct (ctid::text::point)[0])::int from t"
    known = pgkeeper.cluster.query(f"select relallvisible, ({filled}) from pg_class where relname = 't'", database="beside")
    assert known[0][0] == known[0][1] != 0


def test_where_the_server_wants_it_data_is_loaded_over_an_encrypted_line(pgkeeper: Pgkeeper) -> None:
    """The loader may then log in only so; elsewhere what never leaves the machine is not encrypted."""
    cluster = pgkeeper.cluster
    key, certificate = cluster.data / "server.key", cluster.data / "server.crt"
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=localhost",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    ]
    subprocess.run(make, check=True, capture_output=True)
    for file in (key, certificate):
        file.chmod(0o600)
        os.chown(file, *service_ids())
    access = cluster.data / "pg_hba.conf"
    usual = access.read_text()
    pgkeeper.create_database("slow", SLOW_ELSEWHERE)
    backup_id = pgkeeper.backup("slow")
    line = "select bool_and(ssl) from pg_stat_ssl join pg_stat_activity using (pid) where wait_event = 'PgSleep' having count(*) > 0"
    try:
        for wanted, encrypted in (("hostssl ", True), ("host ", False)):
            access.write_text(usual.replace("host ", wanted))
            cluster.execute("alter system set ssl = on")
            cluster.execute("select pg_reload_conf()")
            wait_until(lambda: cluster.query("show ssl") == [("on",)], "the server to encrypt")
            with pgkeeper.start("restore", backup_id, "--to", "half") as running:
                wait_until(lambda: cluster.query(line), "rows being loaded")
                assert cluster.query(line) == [(encrypted,)]
                running.signal(signal.SIGTERM)
                running.result(30).exits(FAILED)
    finally:
        access.write_text(usual)
        cluster.execute("alter system reset ssl")
        cluster.execute("select pg_reload_conf()")


def test_a_restore_that_fails_in_the_middle_leaves_nothing(pgkeeper: Pgkeeper) -> None:
    # The function works while the backup is made and fails when data is loaded again.
    pgkeeper.create_database(
        "failing",
        """
        create function fails_elsewhere(int) returns bool language plpgsql immutable as
            $$ begin return current_database() = 'failing' or 1 / ($1 - $1) = 1; end $$;
        create table t (a int);
        insert into t values (1);
        alter table t add check (fails_elsewhere(a));
        create subscription never connection 'host=192.0.2.1' publication p
            with (connect = false, enabled = false, slot_name = none);
        """,
    )
    backup_id = pgkeeper.backup("failing")
    databases, roles = pgkeeper.cluster.databases(), pgkeeper.cluster.roles()
    run = pgkeeper("restore", backup_id, "--to", "half").exits(FAILED)
    assert "division by zero" in run.error
    assert pgkeeper.cluster.databases() == databases
    assert pgkeeper.cluster.roles() == roles


def test_a_killed_restore_is_cleaned_up_by_the_next(pgkeeper: Pgkeeper) -> None:

    pgkeeper.create_database("big", SAMPLE)
    backup_id = pgkeeper.backup("big")
    databases, roles = pgkeeper.cluster.databases(), pgkeeper.cluster.roles()
    with pgkeeper.start("restore", backup_id, "--to", "half") as running:
        wait_until(lambda: new_databases(pgkeeper, databases), "the new database")
        running.signal(signal.SIGKILL)
        running.process.wait()
    assert "half" not in pgkeeper.cluster.databases(), "a half-restored database must not have the name it was meant to"
    pgkeeper.restore(backup_id, "--to", "half")
    assert_same_database(pgkeeper.cluster, "big", "half")
    assert pgkeeper.cluster.databases() - databases == {"half"}
    assert pgkeeper.cluster.roles() == roles


def new_databases(pgkeeper: Pgkeeper, before: set[str]) -> set[str]:
    """Databases that were not there before."""
    return pgkeeper.cluster.databases() - before


@pytest.mark.parametrize("name", ["host=/x", "a=b", '"; drop database postgres; --', "-x", "ü" * 31])
def test_any_name_will_do_as_target(pgkeeper: Pgkeeper, name: str) -> None:
    pgkeeper.create_database("original", SAMPLE)
    report = pgkeeper.restore(pgkeeper.backup("original"), f"--to={name}")
    assert report["target"] == name
    assert_same_contents(pgkeeper.cluster, "original", name)


def test_a_name_postgresql_would_cut_is_refused(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("original", SAMPLE)
    backup_id = pgkeeper.backup("original")
    run = pgkeeper("restore", backup_id, "--to", "x" * 64)
    assert run.exit_status not in (DONE, FAILED), run.output
    assert "63" in run.error


def test_the_same_request_twice_changes_nothing_the_second_time(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("original", SAMPLE)
    backup_id = pgkeeper.backup("original")
    first = pgkeeper.restore(backup_id, "--to", "wanted", "--request-id", "ticket-1")
    second = pgkeeper.restore(backup_id, "--to", "wanted", "--request-id", "ticket-1")
    assert (first["changed"], second["changed"]) == (True, False)
    pgkeeper.cluster.drop_database("wanted")
    assert pgkeeper.restore(backup_id, "--to", "wanted", "--request-id", "ticket-1")["changed"] is True


def test_a_restored_database_takes_connections_and_is_whole_at_once(pgkeeper: Pgkeeper) -> None:
    """Nobody ever sees a half-restored database under the name it was asked for."""
    pgkeeper.create_database("original", SAMPLE)
    backup_id = pgkeeper.backup("original")
    seen: list[int] = []
    with pgkeeper.start("restore", backup_id, "--to", "watched") as running, pgkeeper.cluster.connect() as session:
        pgkeeper.databases.add("watched")
        while running.process.poll() is None:
            if session.execute("select 1 from pg_database where datname = 'watched' and datallowconn").fetchone():
                rows = pgkeeper.cluster.query("select count(*) from t", database="watched")
                seen.append(int(str(rows[0][0])))
        running.result().exits(DONE)
    assert set(seen) <= {5000}


def test_when_only_the_end_fails_the_rows_are_kept_under_a_name_that_says_so(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database(
        "late_trouble",
        """
        create table t (a int);
        insert into t values (1), (2);
        create function fails_elsewhere(int) returns int language plpgsql immutable as
            $$ begin return case when current_database() = 'late_trouble' then $1 else 1 / ($1 - $1) end; end $$;
        create index on t (fails_elsewhere(a));
        """,
    )
    backup_id = pgkeeper.backup("late_trouble")
    databases, roles = pgkeeper.cluster.databases(), pgkeeper.cluster.roles()
    run = pgkeeper("restore", backup_id, "--to", "wanted").exits(FAILED)
    kept = pgkeeper.cluster.databases() - databases
    pgkeeper.databases |= kept
    assert kept == {"wanted_unverified"}
    assert "division by zero" in run.error
    assert "wanted_unverified" in run.error
    assert pgkeeper.cluster.query("select sum(a) from t", database="wanted_unverified") == [(3,)]
    assert pgkeeper.cluster.roles() == roles


def test_every_table_has_statistics_those_of_a_root_and_of_its_partitions_too(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database(
        "planned",
        """
        create table plain as select n as a from generate_series(1, 100) n;
        create table root (a int) partition by range (a);
        create table low partition of root for values from (0) to (50);
        create table high partition of root for values from (50) to (1000) partition by range (a);
        create table higher partition of high for values from (50) to (1000);
        insert into root select n from generate_series(1, 100) n;
        create function fails_elsewhere(int) returns int language plpgsql immutable as
            $$ begin return case when current_query() ilike 'analyze%' then 1 / ($1 - $1) else $1 end; end $$;
        create table root_of_bad (a int) partition by range (a);
        create table bad partition of root_of_bad for values from (0) to (50);
        create table good partition of root_of_bad for values from (50) to (1000);
        insert into root_of_bad select n from generate_series(1, 100) n;
        create index on bad (fails_elsewhere(a));
        """,
    )
    report = pgkeeper.restore(pgkeeper.backup("planned"), "--to", "beside")
    known = pgkeeper.cluster.query("select distinct tablename::text from pg_stats where schemaname = 'public'", database="beside")
    assert {name for (name,) in known} >= {"plain", "root", "low", "high", "higher", "good"}
    assert any("no statistics for public.bad" in warning for warning in report["warnings"]), report["warnings"]


def test_what_runs_while_statistics_are_made_can_change_no_row(pgkeeper: Pgkeeper) -> None:
    # The comparison goes on at the same time, and might have read the table already.
    pgkeeper.create_database(
        "changing",
        """
        create table t (a int);
        insert into t values (1), (2);
        create table other (a int);
        create function adds() returns int language sql as $$ insert into public.other values (3) returning a $$;
        create function adds_at_analyze(int) returns int language plpgsql immutable as
            $$ begin if current_query() ilike 'analyze%' then perform public.adds(); end if; return $1; end $$;
        create index on t (adds_at_analyze(a));
        """,
    )
    report = pgkeeper.restore(pgkeeper.backup("changing"), "--to", "beside")
    assert pgkeeper.cluster.query("select * from other", database="beside") == []
    assert any("read-only transaction" in warning for warning in report["warnings"]), report["warnings"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_restore_stopped_while_statistics_are_made_leaves_nothing(pgkeeper: Pgkeeper, number: signal.Signals) -> None:
    # The function does not even let itself be cancelled.
    pgkeeper.create_database(
        "stubborn",
        """
        create function stays(int) returns int language plpgsql immutable as $$
            begin
                while current_query() ilike 'analyze%' loop
                    begin perform pg_sleep(60); exception when query_canceled then null; end;
                end loop;
                return $1;
            end $$;
        create table t (a int);
        insert into t values (1);
        create index on t (stays(a));
        """,
    )
    backup_id = pgkeeper.backup("stubborn")
    databases, roles = pgkeeper.cluster.databases(), pgkeeper.cluster.roles()
    with pgkeeper.start("restore", backup_id, "--to", "half") as running:
        wait_until(lambda: pgkeeper.cluster.query("select 1 from pg_stat_activity where wait_event = 'PgSleep'"), "statistics being made")
        running.signal(number)
        assert number.name in running.result(30).exits(FAILED).error
    assert_nothing_left(pgkeeper)
    assert pgkeeper.cluster.databases() == databases
    assert pgkeeper.cluster.roles() == roles


def test_what_a_killed_restore_left_goes_even_with_a_subscription_in_it(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("original", SAMPLE)
    backup_id = pgkeeper.backup("original")
    pgkeeper.create_database(
        "pgkeeper_partial_deadbeef",
        "create subscription abandoned connection 'host=192.0.2.1' publication p"
        " with (connect = false, enabled = false, slot_name = none);",
    )
    pgkeeper.restore(backup_id, "--to", "restored")
    assert "pgkeeper_partial_deadbeef" not in pgkeeper.cluster.databases()
