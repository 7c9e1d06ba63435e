"""Roles come back as they were: those that are missing, all, or none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .conftest import assert_nothing_left
from .support.cluster import Cluster
from .support.product import REFUSED, Pgkeeper
from .support.workspace import Workspace

ROLES = """
create role team nologin createrole;
create role "Ü; drop" login password 'secret' connection limit 3 valid until '2030-01-01 00:00:00+00' in role team;
create role boss login superuser;
comment on role team is 'those who may';
alter role "Ü; drop" set statement_timeout = '5min';
grant team to boss with admin option;
"""
FACTS = """
select r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolreplication, r.rolbypassrls,
       r.rolconnlimit, r.rolpassword, coalesce(r.rolvaliduntil, 'infinity')::text, shobj_description(r.oid, 'pg_authid'),
       (select s.setconfig::text from pg_db_role_setting s where s.setrole = r.oid and s.setdatabase = 0),
       array(select g.rolname || m.admin_option from pg_auth_members m join pg_roles g on g.oid = m.roleid
             where m.member = r.oid order by 1)::text
from pg_authid r where r.rolname !~ '^pg_' and r.rolname <> 'postgres' order by 1
"""
NAMES = '"Ü; drop", boss, team'


@pytest.fixture
def shop(pgkeeper: Pgkeeper) -> Iterator[str]:
    """A backup of a database whose tables belong to roles of all kinds."""
    cluster = pgkeeper.cluster
    cluster.psql("postgres", ROLES)
    try:
        pgkeeper.create_database("shop", 'create table t (n int); alter table t owner to "Ü; drop"; grant select on t to team;')
        yield pgkeeper.backup("shop")
    finally:
        for database in ("shop", "copy"):
            cluster.drop_database(database)
        cluster.psql("postgres", f"drop role if exists {NAMES};")


def test_an_empty_cluster_gets_the_roles_exactly_as_they_were(pgkeeper: Pgkeeper, shop: str, workspace: Workspace) -> None:
    before = pgkeeper.cluster.query(FACTS)
    empty = Cluster(workspace, "empty")
    try:
        pgkeeper.configure(**empty.environment())
        report = pgkeeper("restore", shop, "--to", "copy", "--json").exits(0).json
        assert report["created_roles"] == ["boss", "team", "Ü; drop"]
        assert empty.query(FACTS) == before
    finally:
        pgkeeper.configure(**pgkeeper.cluster.environment())
        empty.stop()
    assert_nothing_left(pgkeeper)


def test_existing_roles_are_left_alone_unless_all_are_asked_for(pgkeeper: Pgkeeper, shop: str) -> None:
    cluster = pgkeeper.cluster
    before = cluster.query(FACTS)
    cluster.psql(
        "postgres",
        """
        alter role "Ü; drop" nologin password null connection limit -1 valid until 'infinity'; alter role "Ü; drop" reset all;
        alter role team createdb; comment on role team is null; revoke team from boss;
        """,
    )
    changed = cluster.query(FACTS)
    pgkeeper.restore(shop, "--to", "copy")
    assert cluster.query(FACTS) == changed
    cluster.drop_database("copy")
    report = pgkeeper.restore(shop, "--to", "copy", "--globals", "all")
    assert cluster.query(FACTS) == before
    assert any("roles were made as they are in the backup" in warning for warning in report["warnings"])


def test_with_none_missing_roles_are_said_before_anything_is_made(pgkeeper: Pgkeeper, shop: str) -> None:
    cluster = pgkeeper.cluster
    cluster.drop_database("shop")
    cluster.psql("postgres", f"drop role {NAMES};")
    databases = cluster.databases()
    run = pgkeeper("restore", shop, "--to", "copy", "--globals", "none").exits(REFUSED)
    assert "boss, team, Ü; drop" in run.error
    assert cluster.databases() == databases
