"""A database whose jobs pg_cron runs is proven, comes back beside with its jobs at rest, and takes production's place with its jobs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .conftest import assert_nothing_left
from .support.cluster import Cluster
from .support.compare import assert_same_contents
from .support.product import DONE, FAILED, REFUSED, Pgkeeper
from .support.waiting import wait_until
from .support.workspace import Workspace

JOBS = """
create extension pg_cron; create table visits as select generate_series(1, 100) as n;
select cron.schedule('nightly', '0 3 * * *', 'vacuum'); select cron.schedule('30 4 1 1 *', $$insert into visits values (0)$$);
select cron.unschedule('nightly'); select cron.schedule('nightly', '0 3 * * *', 'vacuum visits');
"""
LOADED = ("shared_preload_libraries=pg_cron", "cron.database_name=app")
READ_JOBS = (
    "select string_agg(concat_ws('|', jobid, jobname, schedule, command, database, username, active), ';' order by jobid) from cron.job"
)


@pytest.fixture(scope="module")
def scheduling(workspace: Workspace) -> Iterator[Pgkeeper]:
    """A pgkeeper of a cluster that runs the jobs of its database `app`."""
    cluster = Cluster(workspace, "scheduling")
    cluster.stop()
    cluster.start(*LOADED)
    keeper = Pgkeeper(cluster, workspace.path / "scheduling")
    keeper.create_database("app", JOBS)
    yield keeper
    assert_nothing_left(keeper)
    cluster.stop()


@pytest.fixture(scope="module")
def backup_id(scheduling: Pgkeeper) -> str:
    return scheduling.backup("app")


def jobs(keeper: Pgkeeper, database: str) -> str:
    return str(keeper.cluster.query(READ_JOBS, database=database)[0][0])


def scheduler(keeper: Pgkeeper) -> object:
    rows = keeper.cluster.query("select datid::bigint from pg_stat_activity where application_name = 'pg_cron scheduler'")
    return rows[0][0] if rows else None


def test_it_is_proven(scheduling: Pgkeeper, backup_id: str) -> None:
    outcome = scheduling("verify", backup_id, "--level", "restore", "--json").exits(DONE).outcome("app")
    assert outcome["warnings"] == []


def test_a_copy_beside_says_that_its_jobs_rest(scheduling: Pgkeeper, backup_id: str) -> None:
    report = scheduling.restore(backup_id, "--to", "beside")
    assert [warning for warning in report["warnings"] if "jobs of pg_cron in beside rest" in warning and "database app" in warning], report
    assert jobs(scheduling, "beside") == jobs(scheduling, "app")
    assert_same_contents(scheduling.cluster, "app", "beside")


def test_a_name_that_is_taken_is_named_and_nothing_is_left(scheduling: Pgkeeper, backup_id: str) -> None:
    scheduling.create_database("contrib_regression")
    before = scheduling.cluster.databases()
    try:
        run = scheduling("restore", backup_id, "--to", "other").exits(REFUSED)
    finally:
        scheduling.cluster.drop_database("contrib_regression")
    assert "a database contrib_regression stands in the way" in run.stderr
    assert scheduling.cluster.databases() == before - {"contrib_regression"}


def test_a_change_over_that_fails_says_that_the_jobs_of_production_do_not_run(scheduling: Pgkeeper) -> None:
    cluster = scheduling.cluster
    cluster.psql("app", "create role tenant login; create table theirs (n int); alter table theirs owner to tenant;")
    cluster.psql("app", "revoke connect on database app from public;")
    try:
        backup_id = scheduling.backup("app")
        cluster.psql("app", "grant connect on database app to tenant;")
        run = scheduling("restore", backup_id, "--replace", "--confirm", "RESTORE").exits(FAILED)
        assert "as it was before" in run.error
        if scheduler(scheduling) is None:
            assert "pg_cron launcher ended with the sessions of the database" in run.error
            cluster.stop()
            cluster.start(*LOADED)
    finally:
        cluster.psql("app", "drop table theirs; revoke connect on database app from tenant; grant connect on database app to public;")
        cluster.psql("app", "drop role tenant;")


def test_what_takes_productions_place_has_its_jobs_and_says_what_runs_them_again(scheduling: Pgkeeper, backup_id: str) -> None:
    cluster = scheduling.cluster
    before = jobs(scheduling, "app")
    cluster.execute("select cron.schedule('lost', '0 5 * * *', 'vacuum')", database="app")
    report = scheduling("restore", backup_id, "--replace", "--confirm", "RESTORE", "--json").exits(DONE).json
    scheduling.databases.add(report["kept_as"])
    assert jobs(scheduling, "app") == before
    found = cluster.query("select oid::bigint from pg_database where datname = 'app'")
    if scheduler(scheduling) is None:
        assert [warning for warning in report["warnings"] if "pg_cron launcher ended" in warning], report
        cluster.stop()
        cluster.start(*LOADED)
        wait_until(lambda: scheduler(scheduling) == found[0][0], "pg_cron reads the jobs of the new database")
    else:
        # Later versions of pg_cron may come back by themselves.
        assert scheduler(scheduling) == found[0][0]
        assert report["warnings"] == []


def test_a_server_that_does_not_load_it_is_told_apart_before_anything_is_made(scheduling: Pgkeeper, backup_id: str) -> None:
    scheduling.cluster.stop()
    scheduling.cluster.start()
    before = scheduling.cluster.databases()
    run = scheduling("restore", backup_id, "--to", "other").exits(FAILED)
    assert "does not load pg_cron" in run.stderr
    assert "add pg_cron to shared_preload_libraries" in run.stderr
    assert scheduling.cluster.databases() == before
