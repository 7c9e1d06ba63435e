"""Settings that are missing, wrong, contradictory or misspelt are told, each in one line."""

from __future__ import annotations

import os

import pytest

from .support.product import CONFIGURATION, DONE, USAGE, Pgkeeper


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"BACKUP_LOCAL_RETENTION_DAYS": "seven"}, ["BACKUP_LOCAL_RETENTION_DAYS"]),
        ({"BACKUP_LOCAL_RETENTION_DAYS": "0"}, ["BACKUP_LOCAL_RETENTION_DAYS"]),
        ({"BACKUP_LOCK_TIMEOUT_SECONDS": "-1"}, ["BACKUP_LOCK_TIMEOUT_SECONDS"]),
        ({"BACKUP_DIR": "relative/path"}, ["BACKUP_DIR", "absolute"]),
        ({"BACKUP_DIR": ""}, ["BACKUP_DIR"]),
        ({"BACKUP_DATABASES": ""}, ["BACKUP_DATABASES"]),
        ({"BACKUP_DATABASES": "all,app"}, ["BACKUP_DATABASES", "all"]),
        ({"BACKUP_CONSOLE_URL": "admin.example.org"}, ["BACKUP_CONSOLE_URL", "http"]),
    ],
    ids=lambda value: " ".join(f"{name}={setting}" for name, setting in value.items()) if isinstance(value, dict) else "",
)
def test_a_wrong_value_is_named_with_its_setting(pgkeeper: Pgkeeper, changes: dict[str, str], words: list[str]) -> None:
    pgkeeper.configure(**changes)
    run = pgkeeper("backup").exits(CONFIGURATION)
    for word in words:
        assert word in run.error
    assert not pgkeeper.published()


def test_places_that_lie_in_one_another_contradict(pgkeeper: Pgkeeper) -> None:
    pgkeeper.configure(BACKUP_STATE_DIR=str(pgkeeper.backups / "state"))
    run = pgkeeper("backup").exits(CONFIGURATION)
    assert "BACKUP_DIR" in run.error
    assert "BACKUP_STATE_DIR" in run.error


def test_a_setting_given_twice_with_two_values_contradicts(pgkeeper: Pgkeeper) -> None:
    with pgkeeper.settings_file.open("a") as file:
        file.write("BACKUP_PROJECT_NAME=Other\n")
    run = pgkeeper("backup").exits(CONFIGURATION)
    assert "BACKUP_PROJECT_NAME" in run.error


def test_a_misspelt_setting_is_warned_about_with_the_nearest_name(pgkeeper: Pgkeeper) -> None:
    pgkeeper.configure(BACKUP_LOCAL_RETENTION_DAY="3")
    pgkeeper.create_database("small")
    run = pgkeeper("backup", "--database", "small").exits(DONE)
    assert "BACKUP_LOCAL_RETENTION_DAY " in run.warnings
    assert "BACKUP_LOCAL_RETENTION_DAYS" in run.warnings


def test_a_misspelt_setting_spoils_no_json(pgkeeper: Pgkeeper) -> None:
    pgkeeper.configure(BACKUP_DIRR="/nowhere")
    run = pgkeeper("list", "--json").exits(DONE)
    assert run.json is not None


def test_a_named_settings_file_must_exist(pgkeeper: Pgkeeper) -> None:
    run = pgkeeper("backup", env={"PGKEEPER_ENV_FILE": "/nonexistent/pgkeeper.env"}).exits(CONFIGURATION)
    assert "/nonexistent/pgkeeper.env" in run.error


def test_a_settings_file_that_makes_no_sense_is_named_with_its_line(pgkeeper: Pgkeeper) -> None:
    with pgkeeper.settings_file.open("a") as file:
        file.write("this is no setting\n")
    run = pgkeeper("backup").exits(CONFIGURATION)
    assert str(pgkeeper.settings_file) in run.error
    assert "line" in run.error


def test_a_settings_file_one_may_not_read_is_named(pgkeeper: Pgkeeper) -> None:
    os.chown(pgkeeper.settings_file, 0, 0)
    run = pgkeeper("backup").exits(CONFIGURATION)
    assert str(pgkeeper.settings_file) in run.error


def test_the_environment_beats_the_file(pgkeeper: Pgkeeper) -> None:
    pgkeeper.configure(BACKUP_DIR="/nonexistent/elsewhere")
    pgkeeper.create_database("small")
    pgkeeper("backup", "--database", "small", env={"BACKUP_DIR": str(pgkeeper.backups)}).exits(DONE)
    assert len(pgkeeper.published()) == 1


def test_the_databases_to_back_up_can_be_listed(pgkeeper: Pgkeeper) -> None:
    for name in ("one", "two", "three, four"):
        pgkeeper.create_database(name)
    pgkeeper.configure(BACKUP_DATABASES='one, "three, four"')
    outcomes = pgkeeper("backup", "--json").exits(DONE).json["outcomes"]
    assert [outcome["database"] for outcome in outcomes] == ["one", "three, four"]


def test_a_hostile_environment_changes_nothing_in_a_dump(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database(
        "pinned",
        "create table t (at timestamptz, f float8, b bytea, iv interval, d date, x xml);"
        "insert into t values ('2024-01-01 12:00+00', 0.1, '\\x00ff', '1 day -1 hour', '2024-01-02', '<a/>');",
    )
    hostile = {
        "PGOPTIONS": "-c statement_timeout=1 -c extra_float_digits=-15 -c bytea_output=escape",
        "PGTZ": "Asia/Kathmandu",
        "PGDATESTYLE": "German",
        "PGCLIENTENCODING": "LATIN1",
        "PGAPPNAME": "something else",
        "PGDATABASE": "pinned",
        "GZIP": "--best",
        "PG_COLOR": "always",
        "LC_ALL": "C",
        "TZ": "Asia/Kathmandu",
    }
    contents = []
    for environment in ({}, hostile):
        run = pgkeeper("backup", "--database", "pinned", "--json", env=environment).exits(DONE)
        shown = pgkeeper("show", run.outcome("pinned")["backup_id"], "--json").exits(DONE).json
        contents.append(shown.get("manifest", shown)["contents"])
    assert contents[0] == contents[1]


def test_only_root_and_postgres_may_run_it(pgkeeper: Pgkeeper) -> None:
    pgkeeper.settings_file.chmod(0o644)
    run = pgkeeper("backup", user="nobody").exits(CONFIGURATION)
    assert "postgres" in run.error


def test_root_becomes_postgres_before_anything_is_touched(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("small")
    pgkeeper("backup", "--database", "small", user="root").exits(DONE)
    pgkeeper("verify", user="root").exits(DONE)
    places = [pgkeeper.backups, pgkeeper.state, pgkeeper.logs]
    owners = {(path.stat().st_uid, path.stat().st_gid) for place in places for path in place.rglob("*")}
    assert owners == {pgkeeper.owner}


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("backup", "--nonsense"),
        ("verify", "--level", "thorough"),
        ("backup", "--if-older-than", "soon"),
        ("restore",),
        ("show", "no-such-backup"),
        ("verify", "no-such-backup"),
        ("restore", "no-such-backup"),
        ("delete", "no-such-backup", "--confirm", "DELETE"),
    ],
    ids=" ".join,
)
def test_a_wrong_call_is_a_usage_error(pgkeeper: Pgkeeper, arguments: tuple[str, ...]) -> None:
    run = pgkeeper(*arguments).exits(USAGE)
    assert run.stderr.strip()
