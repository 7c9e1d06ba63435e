"""A database is replaced by a backup of it in a moment, with a way back, and whoever writes meanwhile loses nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import Any

import pytest
from psycopg import sql

from .support.application import Application, Writer, writing
from .support.history import settled
from .support.product import DONE, FAILED, REFUSED, USAGE, Pgkeeper, Run
from .support.waiting import wait_until

TABLES = "create table kept as select generate_series(1, 100) as n; create table written (n bigint primary key);"
CONFIRMED = ("--replace", "--confirm", "RESTORE")

# Runs the command line, and kills itself with SIGKILL at one of the journal's lines: before or after it is written.
KILLED = """
import os, signal, sys
from pgkeeper.host.journal import Journal
when, step = sys.argv[1:3]
append = Journal.append
def append_or_die(journal, entry):
    if (when, step) == ("before", entry["step"]):
        os.kill(os.getpid(), signal.SIGKILL)
    append(journal, entry)
    if (when, step) == ("after", entry["step"]):
        os.kill(os.getpid(), signal.SIGKILL)
Journal.append = append_or_die
from pgkeeper.cli.app import run
sys.exit(run(sys.argv[3:]))
"""


def databases(pgkeeper: Pgkeeper) -> dict[str, int]:
    """Every database's OID by its name."""
    return {str(name): int(str(oid)) for name, oid in pgkeeper.cluster.query("select datname, oid::bigint from pg_database")}


def count(pgkeeper: Pgkeeper, database: str, table: str = "kept") -> int:
    return int(str(pgkeeper.cluster.query(sql.SQL("select count(*) from {}").format(sql.Identifier(table)), database=database)[0][0]))


def opened(pgkeeper: Pgkeeper, name: str) -> str:
    """Let the test look into a database that was put aside; returns its name."""
    pgkeeper.databases.add(name)
    pgkeeper.cluster.execute(sql.SQL("alter database {} allow_connections true").format(sql.Identifier(name)))
    return name


def replace(pgkeeper: Pgkeeper, backup_id: str, *arguments: str) -> dict[str, Any]:
    report = dict(pgkeeper("restore", backup_id, *CONFIRMED, "--json", *arguments).exits(DONE).json)
    pgkeeper.databases.add(report["kept_as"])
    return report


def undo(pgkeeper: Pgkeeper, *arguments: str) -> dict[str, Any]:
    report = dict(pgkeeper("restore", "--undo", "--confirm", "RESTORE", "--json", *arguments).exits(DONE).json)
    pgkeeper.databases.add(report["kept_as"])
    return report


def pasted(pgkeeper: Pgkeeper, line: str) -> dict[str, Any]:
    """Return the report of a command that was printed, taken apart by bash as if it had been pasted."""
    split = ["bash", "-c", f'pgkeeper() {{ printf "%s\\0" "$@"; }}; {line}']
    words = subprocess.run(split, check=True, capture_output=True, text=True).stdout.split("\0")[:-1]
    return dict(pgkeeper(*words, "--json").exits(DONE).json)


def assert_all_there(pgkeeper: Pgkeeper, writer: Writer) -> None:
    """Fail unless every row that was acknowledged is in the database it went into."""
    names = {oid: name for name, oid in databases(pgkeeper).items()}
    for oid, numbers in writer.rows().items():
        there = {int(str(n)) for (n,) in pgkeeper.cluster.query("select n from written", database=opened(pgkeeper, names[oid]))}
        assert set(numbers) <= there, f"{names[oid]} lost {sorted(set(numbers) - there)[:5]}"


@pytest.fixture
def app(pgkeeper: Pgkeeper) -> str:
    """A backup of the database `app`, which has changed since."""
    pgkeeper.create_database("app", TABLES)
    backup_id = pgkeeper.backup("app")
    pgkeeper.cluster.psql("app", "insert into kept select generate_series(101, 150);")
    return backup_id


def test_the_database_holds_the_backup_and_the_old_one_is_kept(pgkeeper: Pgkeeper, app: str) -> None:
    old = databases(pgkeeper)["app"]
    report = replace(pgkeeper, app)
    assert count(pgkeeper, "app") == 100
    assert databases(pgkeeper)[report["kept_as"]] == old
    assert count(pgkeeper, opened(pgkeeper, report["kept_as"])) == 150
    assert report["downtime_seconds"] < report["seconds"]
    saved = pgkeeper("show", report["pre_restore_backup"], "--json").exits(DONE).json["manifest"]
    assert saved["purpose"] == "pre_restore"
    assert next(table["rows"] for table in saved["contents"]["tables"] if table["name"] == "kept") == 150


@pytest.mark.parametrize("name", ['-O\'Brien "x" $(id)\n`id`'])
def test_the_way_back_can_be_pasted_as_it_is_printed(pgkeeper: Pgkeeper, name: str) -> None:
    pgkeeper.create_database(name)
    text = pgkeeper("restore", pgkeeper.backup(name), "--replace", "--confirm", "RESTORE").exits(DONE).stdout
    (line,) = [line.partition(" back ")[2] for line in text.splitlines() if line.startswith("  back ")]
    (before, saved) = sorted(pgkeeper("list", "--json").exits(DONE).json["backups"], key=lambda backup: str(backup["created_at"]))
    assert before["replaced_at"] is not None
    assert saved["replaced_at"] is not None
    assert pgkeeper("list").exits(DONE).stdout.count("before a replacement") == 2
    report = pasted(pgkeeper, line)
    assert report["database"] == name
    pgkeeper.databases.update(found for found in databases(pgkeeper) if found not in {"postgres", "template0", "template1"})


def test_without_the_word_nothing_happens_but_age_and_size_are_shown(pgkeeper: Pgkeeper, app: str) -> None:
    before = databases(pgkeeper)
    for wrong in ((), ("--confirm", "restore"), ("--confirm", "DELETE")):
        run = pgkeeper("restore", app, "--replace", *wrong).exits(REFUSED)
        assert "old and has" in run.error
        assert "--confirm RESTORE" in run.error
    assert databases(pgkeeper) == before
    assert len(pgkeeper.published()) == 1


def test_what_was_put_aside_is_closed_and_no_backup_is_made_of_it(pgkeeper: Pgkeeper, app: str) -> None:
    report = replace(pgkeeper, app)
    assert pgkeeper.cluster.query("select datallowconn from pg_database where datname = %s", report["kept_as"]) == [(False,)]
    pgkeeper.configure(BACKUP_DATABASES="all")
    outcomes = pgkeeper("backup", "--json").exits(DONE).json["outcomes"]
    assert report["kept_as"] not in {outcome["database"] for outcome in outcomes}


def test_undo_gives_the_old_one_back_and_keeps_what_was_written_since(pgkeeper: Pgkeeper, app: str) -> None:
    replace(pgkeeper, app)
    pgkeeper.cluster.psql("app", "insert into kept values (1000);")
    pgkeeper("restore", "--undo").exits(REFUSED)
    report = undo(pgkeeper)
    assert count(pgkeeper, "app") == 150
    assert count(pgkeeper, report["kept_as"]) == 101
    assert pgkeeper("restore", "--undo", "--confirm", "RESTORE").exits(USAGE).error
    again = replace(pgkeeper, app)
    assert count(pgkeeper, "app") == 100
    assert again["kept_as"] in databases(pgkeeper)


def test_the_same_request_again_is_done_once(pgkeeper: Pgkeeper, app: str) -> None:
    first = replace(pgkeeper, app, "--request-id", "ticket-7")
    pgkeeper.cluster.psql("app", "insert into kept values (1000);")
    before = databases(pgkeeper)
    second = replace(pgkeeper, app, "--request-id", "ticket-7")
    assert (first["changed"], second["changed"]) == (True, False)
    assert databases(pgkeeper) == before
    assert count(pgkeeper, "app") == 101
    assert any("may have changed since" in warning for warning in second["warnings"])
    newer = pgkeeper.backup("app")
    latest = ("restore", "latest", "--database", "app", *CONFIRMED, "--request-id", "ticket-7")
    third = pgkeeper(*latest, "--json").exits(DONE).json
    assert (third["changed"], third["backup_id"], third["created_at"]) == (False, app, first["created_at"])
    pgkeeper("delete", app, "--confirm", "DELETE").exits(DONE)
    assert f"there is no backup {app}" in pgkeeper(*latest).exits(USAGE).error
    word = {"confirmation": "RESTORE"}
    assert "UsageError" in planned(pgkeeper, "replace", backup="latest", database="app", request_id="ticket-7", **word)["error"]
    assert f"there is no backup {app}" in pgkeeper("restore", app, *CONFIRMED, "--request-id", "ticket-7").exits(USAGE).error
    assert databases(pgkeeper) == before, newer


def test_the_same_undoing_again_is_done_once(pgkeeper: Pgkeeper, app: str) -> None:
    replace(pgkeeper, app)
    first = undo(pgkeeper, "--request-id", "ticket-8")
    replace(pgkeeper, app, "--request-id", "ticket-8")
    before = databases(pgkeeper)
    second = undo(pgkeeper, "--request-id", "ticket-8")
    assert (first["changed"], second["changed"]) == (True, False)
    assert (second["undone"], second["kept_as"]) == (first["undone"], first["kept_as"])
    assert databases(pgkeeper) == before
    assert count(pgkeeper, "app") == 100
    assert "other" in pgkeeper("restore", "--undo", "--request-id", "ticket-8", "--database", "other").exits(REFUSED).error
    assert undo(pgkeeper, "--request-id", "ticket-9")["changed"]
    assert count(pgkeeper, "app") == 150


def test_latest_is_never_what_was_saved_just_before(pgkeeper: Pgkeeper, app: str) -> None:
    for _ in range(2):
        assert replace(pgkeeper, "latest", "--database", "app")["backup_id"] == app
        assert count(pgkeeper, "app") == 100


# What the module asks before anything is done.
PLANNED = """
import json, sys
from pgkeeper.operations.plan_replace import plan_replace
from pgkeeper.operations.plan_undo import plan_undo
from pgkeeper.operations.replace_request import ReplaceRequest
from pgkeeper.operations.undo_request import UndoRequest
from pgkeeper.settings import load_settings
what, request = sys.argv[1:]
ask, shape = {"replace": (plan_replace, ReplaceRequest), "undo": (plan_undo, UndoRequest)}[what]
print(ask(shape.model_validate_json(request), load_settings()).model_dump_json())
"""


def planned(pgkeeper: Pgkeeper, what: str, **request: str) -> dict[str, Any]:
    process = pgkeeper.program(PLANNED, what, json.dumps(request))
    return dict(json.loads(process.stdout)) if process.returncode == 0 else {"error": process.stderr}


def test_a_plan_tells_what_would_be_done_or_refused_and_changes_nothing(pgkeeper: Pgkeeper, app: str) -> None:
    word = {"confirmation": "RESTORE"}
    before = databases(pgkeeper)
    assert "RefusedError" in planned(pgkeeper, "replace", backup=app)["error"]
    plan = planned(pgkeeper, "replace", backup=app, request_id="ticket-7", **word)
    assert (plan["would_change"], plan["database"]) == (True, "app")
    assert min(plan["size_bytes"], plan["size_now_bytes"], plan["age_seconds"]) > 0
    assert databases(pgkeeper) == before
    kept = replace(pgkeeper, app, "--request-id", "ticket-7")["kept_as"]
    again = planned(pgkeeper, "replace", backup=app, request_id="ticket-7", **word)
    assert not again["would_change"]
    assert "may have changed since" in again["reason"]
    before = databases(pgkeeper)
    assert "RefusedError" in planned(pgkeeper, "undo", database="app")["error"]
    back = planned(pgkeeper, "undo", request_id="ticket-7", **word)
    assert (back["would_change"], back["returning"]) == (True, kept)
    assert databases(pgkeeper) == before
    undo(pgkeeper, "--request-id", "ticket-7")
    assert not planned(pgkeeper, "undo", request_id="ticket-7", **word)["would_change"]


def test_a_client_that_tries_again_loses_no_committed_row(pgkeeper: Pgkeeper, app: str) -> None:
    with writing(pgkeeper, "app") as writer:
        replace(pgkeeper, app)
        writer.wait_for_more()
        undo(pgkeeper)
        writer.wait_for_more()
    assert len(writer.rows()) == 2
    assert_all_there(pgkeeper, writer)


def test_services_are_stopped_for_the_swap_alone(pgkeeper: Pgkeeper, app: str) -> None:
    with Application(pgkeeper, "app").running() as application:
        report = replace(pgkeeper, app)
        assert application.history() == ["start writer", "stop writer", "start writer"]
        assert application.runs
        application.writer.wait_for_more()
        undo(pgkeeper)
        application.writer.wait_for_more()
        assert application.history()[3:] == ["stop writer", "start writer"]
    assert report["downtime_seconds"] < 5
    assert_all_there(pgkeeper, application.writer)


def test_services_that_nobody_can_stop_are_no_surprise_at_the_worst_moment(pgkeeper: Pgkeeper, app: str) -> None:
    before = databases(pgkeeper)
    pgkeeper.configure(BACKUP_APP_SERVICES="app.service")
    run = pgkeeper("restore", app, *CONFIRMED).exits(REFUSED)
    assert "pgkeeper-services.path" in run.error
    assert databases(pgkeeper) == before


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("begin; insert into kept values (0); prepare transaction 'gid-1';", "prepared transactions: gid-1"),
        ("select pg_create_logical_replication_slot('slot_1', 'test_decoding');", "logical replication slots: slot_1"),
        (
            "create subscription sub_1 connection 'host=192.0.2.1' publication p with (connect = false, slot_name = none);",
            "subscriptions: sub_1",
        ),
    ],
    ids=["prepared transaction", "slot", "subscription"],
)
def test_what_ties_production_down_is_said_before_anything_is_done(pgkeeper: Pgkeeper, app: str, statement: str, word: str) -> None:
    pgkeeper.cluster.psql("app", statement)
    before = databases(pgkeeper)
    try:
        run = pgkeeper("restore", app, *CONFIRMED).exits(REFUSED)
    finally:
        if "prepare" in statement:
            pgkeeper.cluster.execute("rollback prepared 'gid-1'", database="app")
        if "slot_1" in statement:
            pgkeeper.cluster.execute("select pg_drop_replication_slot('slot_1')", database="app")
    assert word in run.error
    assert databases(pgkeeper) == before
    assert count(pgkeeper, "app") == 150


def test_an_owner_who_cannot_use_it_gets_the_old_one_back(pgkeeper: Pgkeeper) -> None:
    cluster = pgkeeper.cluster
    cluster.psql("postgres", "create role tenant login;")
    try:
        pgkeeper.create_database(
            "app", "create table t (n int); alter table t owner to tenant; revoke connect on database app from public;"
        )
        backup_id = pgkeeper.backup("app")
        cluster.psql("app", "grant connect on database app to tenant;")
        old = databases(pgkeeper)
        run = pgkeeper("restore", backup_id, *CONFIRMED).exits(FAILED)
        assert "tenant may not connect" in run.error
        assert "as it was before" in run.error
        assert databases(pgkeeper) == old
        assert cluster.query("select datallowconn from pg_database where datname = 'app'") == [(True,)]
    finally:
        cluster.drop_database("app")
        cluster.psql("postgres", "drop role tenant;")


def test_a_database_whose_views_stay_empty_replaces_nothing_and_is_kept_beside(pgkeeper: Pgkeeper) -> None:
    view = "create materialized view v as select 1 / (current_database() = 'app')::int from kept;"
    pgkeeper.create_database("app", TABLES + view)
    backup_id, before = pgkeeper.backup("app"), databases(pgkeeper)
    error = pgkeeper("restore", backup_id, *CONFIRMED).exits(REFUSED).error
    assert "REFRESH MATERIALIZED VIEW public.v failed: division by zero" in error
    (kept,) = databases(pgkeeper).keys() - before.keys()
    assert kept in error
    assert databases(pgkeeper)["app"] == before["app"]
    assert count(pgkeeper, opened(pgkeeper, kept)) == 100
    assert any("the view is there, but empty" in warning for warning in pgkeeper.restore(backup_id, "--to", "beside")["warnings"])


def killed(pgkeeper: Pgkeeper, when: str, step: str, *arguments: str) -> None:
    """Run a command that is killed at a line of its journal."""
    process = pgkeeper.program(KILLED, when, step, *arguments)
    assert process.returncode == -9, process.stderr


BOUNDARIES = [
    (when, step) for step in ("saved", "restored", "stopping", "closing", "swapping", "starting", "done") for when in ("before", "after")
]


@pytest.mark.parametrize(("when", "step"), [("after", "begun"), *BOUNDARIES])
def test_a_killed_replacement_ends_in_the_old_or_the_new_database_with_services_running(
    pgkeeper: Pgkeeper, app: str, when: str, step: str
) -> None:
    before = databases(pgkeeper)
    with Application(pgkeeper, "app").running() as application:
        killed(pgkeeper, when, step, "restore", app, *CONFIRMED)
        assert_settled(pgkeeper, application, pgkeeper("restore", "--resume", "--json").exits(DONE), before, {100, 150})
    assert_all_there(pgkeeper, application.writer)


@pytest.mark.parametrize(("when", "step"), [("after", "begun"), *BOUNDARIES[4:]])
def test_a_killed_undoing_ends_in_the_old_or_the_new_database_with_services_running(
    pgkeeper: Pgkeeper, app: str, when: str, step: str
) -> None:
    replace(pgkeeper, app)
    before = databases(pgkeeper)
    with Application(pgkeeper, "app").running() as application:
        killed(pgkeeper, when, step, "restore", "--undo", "--confirm", "RESTORE")
        assert_settled(pgkeeper, application, pgkeeper("restore", "--resume", "--json").exits(DONE), before, {100, 150})
    assert_all_there(pgkeeper, application.writer)


def assert_settled(pgkeeper: Pgkeeper, application: Application, run: Run, before: dict[str, int], counts: set[int]) -> None:
    """Fail unless production is one of both, open, written to, and nothing half-made is left."""
    after = databases(pgkeeper)
    pgkeeper.databases.update(name for name in after if name not in before)
    assert "app" in after, run.output
    assert count(pgkeeper, "app") in counts
    assert set(before.values()) <= set(after.values()), "nothing of production's is ever dropped"
    assert not any("_next_" in name or "partial" in name for name in after), after
    assert application.runs
    application.writer.wait_for_more()
    assert pgkeeper("restore", "--resume", "--json").exits(DONE).json["settled"] == []


def test_the_next_backup_settles_what_a_killed_replacement_left(pgkeeper: Pgkeeper, app: str) -> None:
    killed(pgkeeper, "after", "swapping", "restore", app, *CONFIRMED)
    assert pgkeeper.cluster.query("select datallowconn from pg_database where datname = 'app'") == [(False,)]
    pgkeeper("backup", "--database", "app").exits(DONE)
    assert count(pgkeeper, "app") == 150
    journals = [json.loads(line)["step"] for path in pgkeeper.state.rglob("*.jsonl") for line in path.read_text().splitlines()]
    assert journals[-1] == "undone"


def test_a_replacement_that_is_stopped_leaves_production_as_it_was(pgkeeper: Pgkeeper, app: str) -> None:
    before = databases(pgkeeper)
    with pgkeeper.start("restore", app, *CONFIRMED) as running:
        running.wait_for_child("pg_dump")
        os.kill(running.pid, 15)
        assert running.result().exit_status == FAILED
    assert databases(pgkeeper) == before


def test_a_replaced_database_is_dropped_when_its_time_is_over_unless_somebody_took_it(pgkeeper: Pgkeeper, app: str) -> None:
    report = replace(pgkeeper, app)
    settled(pgkeeper)
    assert pgkeeper("expire", "--json").exits(DONE).json["replaced"] == []
    (journal,) = pgkeeper.state.rglob("*.jsonl")
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    lines[0]["at"] = "2026-01-01T00:00:00Z"
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    opened(pgkeeper, report["kept_as"])
    assert pgkeeper("expire", "--json").exits(DONE).json["replaced"] == [], "somebody opened it"
    pgkeeper.cluster.execute(sql.SQL("alter database {} allow_connections false").format(sql.Identifier(report["kept_as"])))
    assert pgkeeper("expire", "--dry-run", "--json").exits(DONE).json["replaced"] == [report["kept_as"]]
    assert report["kept_as"] in databases(pgkeeper)
    assert pgkeeper("expire", "--json").exits(DONE).json["replaced"] == [report["kept_as"]]
    assert report["kept_as"] not in databases(pgkeeper)
    assert count(pgkeeper, "app") == 100


def flags(pgkeeper: Pgkeeper, name: str) -> tuple[object, ...]:
    return pgkeeper.cluster.query("select datistemplate, datallowconn, datconnlimit from pg_database where datname = %s", name)[0]


def age_journals(pgkeeper: Pgkeeper) -> None:
    """Let every replacement have begun long ago."""
    for journal in pgkeeper.state.rglob("*.jsonl"):
        first, rest = journal.read_text().split("\n", 1)
        journal.write_text(json.dumps({**json.loads(first), "at": "2026-01-01T00:00:00Z"}) + "\n" + rest)


@pytest.fixture
def template(pgkeeper: Pgkeeper) -> str:
    """A backup of the database `app`, a template with all else that a database may have of its own, and a subscription at that time."""
    pgkeeper.create_database("app", TABLES)
    pgkeeper.cluster.psql(
        "app",
        "alter database app connection limit 7; alter database app set default_transaction_read_only = on; comment on database app is 'x';"
        "revoke all on database app from public; alter database app is_template true;"
        "create subscription sub_1 connection 'host=192.0.2.1' publication p with (connect = false, slot_name = none);",
    )
    backup_id = pgkeeper.backup("app")
    pgkeeper.cluster.psql("app", "set default_transaction_read_only = off; drop subscription sub_1;")
    return backup_id


def test_a_template_is_replaced_and_the_old_one_dropped_as_any_other_database(pgkeeper: Pgkeeper, template: str) -> None:
    backup_id = pgkeeper.backup("app")
    replace(pgkeeper, backup_id)
    assert flags(pgkeeper, "app") == (True, True, 7)
    after = undo(pgkeeper)["kept_as"]
    assert flags(pgkeeper, "app") == (True, True, 7)
    assert flags(pgkeeper, after) == (False, True, 0), "whoever may create databases could copy a template"
    kept = replace(pgkeeper, backup_id)["kept_as"]
    settled(pgkeeper)
    age_journals(pgkeeper)
    assert pgkeeper("expire", "--json").exits(DONE).json["replaced"] == [kept]
    assert kept not in databases(pgkeeper)


# Runs the command line, and ties production to its database once the other one is restored.
TIED_LATE = """
import sys
from pgkeeper.host.journal import Journal
from pgkeeper.postgres.server import Server
from pgkeeper.settings import load_settings
append = Journal.append
def append_and_tie(journal, entry):
    append(journal, entry)
    if entry["step"] == "restored":
        with Server(load_settings().libpq).connect("app") as session:
            session.execute("SELECT pg_create_logical_replication_slot('slot_1', 'test_decoding')")
Journal.append = append_and_tie
from pgkeeper.cli.app import run
sys.exit(run(sys.argv[1:]))
"""


def test_a_replacement_that_is_refused_late_leaves_no_copy_and_stands_in_nobodys_way(pgkeeper: Pgkeeper, template: str) -> None:
    before = databases(pgkeeper)
    process = pgkeeper.program(TIED_LATE, "restore", template, *CONFIRMED)
    pgkeeper.cluster.execute("select pg_drop_replication_slot('slot_1')")
    assert process.returncode == REFUSED, process.stderr
    assert "logical replication slots: slot_1" in process.stderr
    assert "app is as it was before" in process.stderr
    assert databases(pgkeeper) == before
    assert pgkeeper("restore", "--resume", "--json").exits(DONE).json["settled"] == []


# Runs the command line with a server that will not drop the restored database.
NOT_DROPPED = """
import sys
import psycopg
from pgkeeper.operations import settle
def refuse(server, session, name):
    raise psycopg.errors.ObjectInUse("it is in use")
settle.drop_database = refuse
""" + TIED_LATE.lstrip()


def test_what_could_not_be_dropped_is_said_and_goes_with_the_next_expiry(pgkeeper: Pgkeeper, app: str) -> None:
    before = databases(pgkeeper)
    process = pgkeeper.program(NOT_DROPPED, "restore", app, *CONFIRMED)
    pgkeeper.cluster.execute("select pg_drop_replication_slot('slot_1')")
    (left,) = databases(pgkeeper).keys() - before.keys()
    assert process.returncode == REFUSED, process.stderr
    assert f"{left} is still there" in process.stderr
    pgkeeper("backup", "--database", "app").exits(DONE)
    settled(pgkeeper)
    assert pgkeeper("expire", "--json").exits(DONE).json["replaced"] == [left]
    assert databases(pgkeeper) == before


def unfinished(pgkeeper: Pgkeeper) -> tuple[set[str], set[str]]:
    """The databases and roles that a restore makes to work in."""
    made = "select datname from pg_database where datname like 'pgkeeper_partial_%'"
    login = "select rolname from pg_roles where rolname like 'pgkeeper_loader_%'"
    return {str(name) for (name,) in pgkeeper.cluster.query(made)}, {str(name) for (name,) in pgkeeper.cluster.query(login)}


def test_a_resumption_removes_the_unfinished_database_of_a_killed_restore_and_its_role_and_says_so(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app", TABLES + "create table much as select n, md5(n::text) as filler from generate_series(1, 500000) n;")
    backup_id = pgkeeper.backup("app")
    before = databases(pgkeeper)
    with pgkeeper.start("restore", backup_id, *CONFIRMED) as running:
        wait_until(lambda: all(unfinished(pgkeeper)), "a restore at work", 120)
        os.kill(running.pid, signal.SIGKILL)
        assert running.result().exit_status == -signal.SIGKILL
    (journal,) = (pgkeeper.state / "replacements").glob("*.jsonl")
    assert [json.loads(line)["step"] for line in journal.read_text().splitlines()][-1] == "saved"
    made, logins = unfinished(pgkeeper)
    assert made
    assert logins
    settled_lines = pgkeeper("restore", "--resume", "--json").exits(DONE).json["settled"]
    assert unfinished(pgkeeper) == (set(), set())
    assert {f"the unfinished database {name} was removed" for name in made} <= set(settled_lines)
    assert {f"the role {name} of the killed restore was removed" for name in logins} <= set(settled_lines)
    assert databases(pgkeeper) == before
    assert count(pgkeeper, "app") == 100
