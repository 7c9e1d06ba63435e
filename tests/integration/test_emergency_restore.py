"""The emergency restore of docs/restore-procedures.md, run as it is written there: without pgkeeper."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from .support.cluster import Cluster
from .support.compare import assert_same_contents, assert_same_database, contents, database_facts
from .support.documentation import marked_block, run_as_written
from .support.product import DONE, Pgkeeper, Run
from .support.zoo import ZOO, Species

NEW = "emergency"

SAMPLE = """
create role shop_owner login password 'as it was' connection limit 5;
create role shop_reader nologin;
grant shop_reader to shop_owner;
create table item (id int primary key, name text not null);
insert into item select n, 'item ' || n from generate_series(1, 2000) n;
create view cheap as select * from item where id < 10;
alter table item owner to shop_owner;
grant select on cheap to shop_reader;
"""


def emergency_restore(cluster: Cluster, backup: Path) -> subprocess.CompletedProcess[str]:
    """What happens to somebody who follows the page."""
    block = marked_block("restore-procedures.md", "emergency-restore")
    return run_as_written(block, cluster, BACKUP=str(backup), NEW=NEW)


@pytest.mark.parametrize("species", ZOO, ids=str)
def test_every_database_comes_back_without_pgkeeper(zoo_backup: Run, species: Species, zoo_cluster: Cluster) -> None:
    backup = Path(zoo_backup.outcome(species.database)["path"])
    try:
        done = emergency_restore(zoo_cluster, backup)
        assert done.returncode == 0, done.stdout + done.stderr
        assert_same_database(zoo_cluster, species.database, NEW)
    finally:
        zoo_cluster.drop_database(NEW)


def test_lost_roles_come_back_and_others_are_left_alone(pgkeeper: Pgkeeper) -> None:
    cluster = pgkeeper.cluster
    pgkeeper.create_database("shop", SAMPLE)
    cluster.execute("alter database shop owner to shop_owner")
    cluster.execute("alter role shop_owner in database shop set search_path to '$user', 'a b'")
    backup = Path(pgkeeper("show", pgkeeper.backup("shop"), "--json").exits(DONE).json["path"])
    before, facts = contents(cluster, "shop"), database_facts(cluster, "shop")
    verifier = "select rolpassword, rolconnlimit from pg_authid where rolname = 'shop_owner'"
    password = cluster.query(verifier)
    pgkeeper.databases.add(NEW)
    try:
        cluster.drop_database("shop")
        cluster.psql("postgres", "drop role shop_owner; alter role shop_reader login")
        done = emergency_restore(cluster, backup)
        assert done.returncode == 0, done.stdout + done.stderr
        assert contents(cluster, NEW) == before
        assert database_facts(cluster, NEW) == facts
        assert cluster.query(verifier) == password
        assert cluster.query("select pg_has_role('shop_owner', 'shop_reader', 'member')") == [(True,)]
        assert cluster.query("select rolcanlogin from pg_roles where rolname = 'shop_reader'") == [(True,)]
    finally:
        cluster.drop_database(NEW)
        cluster.psql("postgres", "drop role if exists shop_owner; drop role if exists shop_reader")


@pytest.mark.parametrize("name", ["database.sql.gz", "globals.sql.gz", "schema.dump", "server-config.tar.gz"])
def test_a_damaged_backup_is_noticed_before_anything_is_made(pgkeeper: Pgkeeper, name: str) -> None:
    pgkeeper.create_database("shop_damaged")
    backup = Path(pgkeeper("show", pgkeeper.backup("shop_damaged"), "--json").exits(DONE).json["path"])
    content = bytearray((backup / name).read_bytes())
    content[len(content) // 2] ^= 1
    (backup / name).write_bytes(content)
    done = emergency_restore(pgkeeper.cluster, backup)
    assert done.returncode != 0
    assert name in done.stdout + done.stderr
    assert NEW not in pgkeeper.cluster.databases()


def test_missing_rows_are_named_and_the_database_stays_closed(pgkeeper: Pgkeeper) -> None:
    cluster = pgkeeper.cluster
    pgkeeper.create_database("shop_short")
    backup = Path(pgkeeper("show", pgkeeper.backup("shop_short"), "--json").exits(DONE).json["path"])
    manifest = json.loads((backup / "manifest.json").read_text())
    manifest["contents"]["tables"][0]["rows"] += 1
    (backup / "manifest.json").write_text(json.dumps(manifest, indent=1))
    pgkeeper.databases.add(NEW)
    done = emergency_restore(cluster, backup)
    assert done.returncode != 0
    assert "public.t|101|100" in done.stderr
    assert cluster.query("select datconnlimit from pg_database where datname = %s", NEW) == [(0,)]


def test_a_database_that_is_there_is_never_touched(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("shop_there")
    pgkeeper.create_database(NEW, "create table precious as select 1 as n;")
    backup = Path(pgkeeper("show", pgkeeper.backup("shop_there"), "--json").exits(DONE).json["path"])
    before = contents(pgkeeper.cluster, NEW)
    assert emergency_restore(pgkeeper.cluster, backup).returncode != 0
    assert contents(pgkeeper.cluster, NEW) == before


def test_the_shortest_form_brings_the_rows_back(pgkeeper: Pgkeeper) -> None:
    cluster = pgkeeper.cluster
    pgkeeper.create_database("shop_plain")
    backup = Path(pgkeeper("show", pgkeeper.backup("shop_plain"), "--json").exits(DONE).json["path"])
    pgkeeper.databases.add(NEW)
    block = marked_block("restore-procedures.md", "shortest-restore")
    done = run_as_written(block, cluster, BACKUP=str(backup), NEW=NEW)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_same_contents(cluster, "shop_plain", NEW)


def test_the_switch_and_the_way_back_are_as_described(pgkeeper: Pgkeeper) -> None:
    cluster = pgkeeper.cluster
    names = {"NOW": pgkeeper.create_database('shop "now"'), "COPY": 'shop "copy"'}
    pgkeeper.restore(pgkeeper.backup(names["NOW"]), "--to", names["COPY"])
    pgkeeper.databases.add('shop "now"_before_restore')
    cluster.psql(names["NOW"], "delete from t")
    with cluster.connect(names["NOW"], application_name="forgotten"):
        done = run_as_written(marked_block("restore-procedures.md", "switch"), cluster, **names)
    assert done.returncode == 0, done.stdout + done.stderr
    assert cluster.query("select count(*) from t", database=names["NOW"]) == [(100,)]
    done = run_as_written(marked_block("restore-procedures.md", "switch-back"), cluster, **names)
    assert done.returncode == 0, done.stdout + done.stderr
    assert cluster.query("select count(*) from t", database=names["NOW"]) == [(0,)]
    assert cluster.query("select count(*) from t", database=names["COPY"]) == [(100,)]
