"""Whatever a database is called and whatever it holds, it comes back as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from psycopg import sql

from .support.cluster import Cluster
from .support.compare import assert_same_database
from .support.product import DONE, Pgkeeper, Run
from .support.visitors import nobody_visits
from .support.zoo import ZOO, Species

every_species = pytest.mark.parametrize("species", ZOO, ids=str)


@pytest.fixture(scope="module")
def verification(zoo_keeper: Pgkeeper, zoo_backup: Run) -> Run:
    """One run that reads all of it back."""
    return zoo_keeper("verify", "latest", "--level", "contents", "--json", seconds=600)


@every_species
def test_every_database_is_backed_up(zoo_backup: Run, species: Species) -> None:
    outcome = zoo_backup.outcome(species.database)
    assert outcome["status"] == "done", outcome
    directory = Path(outcome["path"])
    assert {"database.sql.gz", "schema.dump", "globals.sql.gz", "server-config.tar.gz", "manifest.json"} <= {
        file.name for file in directory.iterdir()
    }
    assert outcome["size_bytes"] > 0
    assert outcome["database_bytes"] > 0


def test_backing_up_all_is_one_success(zoo_backup: Run, zoo_keeper: Pgkeeper) -> None:
    zoo_backup.exits(DONE)
    assert len(zoo_keeper.published()) == len(zoo_backup.json["outcomes"])


@every_species
def test_every_backup_holds_what_its_manifest_says(verification: Run, species: Species) -> None:
    outcome = verification.outcome(species.database)
    assert outcome["status"] == "done", outcome
    assert outcome["level"] == "contents"
    assert not outcome["problems"]


@pytest.fixture(scope="module")
def proof(zoo_keeper: Pgkeeper, zoo_backup: Run) -> Run:
    """One run that restores all of it into throwaway clusters."""
    with nobody_visits(zoo_keeper.cluster):
        return zoo_keeper("verify", "latest", "--level", "restore", "--json", seconds=1200)


@every_species
def test_every_backup_is_proven(proof: Run, species: Species) -> None:
    outcome = proof.outcome(species.database)
    assert outcome["status"] == "done", outcome
    assert outcome["recovery_seconds"] > 0


def test_proving_all_is_one_success(proof: Run) -> None:
    proof.exits(DONE)


@every_species
def test_the_manifest_counts_every_row(zoo_backup: Run, species: Species, zoo_cluster: Cluster) -> None:
    manifest = json.loads((Path(zoo_backup.outcome(species.database)["path"]) / "manifest.json").read_text())
    counted = {
        (str(schema), str(name)): zoo_cluster.query(
            sql.SQL("select count(*) from only {}").format(sql.Identifier(str(schema), str(name))),
            database=species.database,
        )[0][0]
        for schema, name in zoo_cluster.query(DUMPED_TABLES, database=species.database)
    }
    listed = {(table["schema_name"], table["name"]): table["rows"] for table in manifest["contents"]["tables"]}
    if species.script == "enum_hash_partitions":  # its rows are dumped as the parent's
        assert sum(listed.values()) == sum(int(str(rows)) for rows in counted.values())
    elif species.script == "extensions":  # of an extension's own tables, some rows are not for dumping
        assert counted.items() <= listed.items()
    else:
        assert listed == counted


DUMPED_TABLES = """
select nspname, relname from pg_class c join pg_namespace n on n.oid = relnamespace
where relkind = 'r' and nspname not like 'pg\\_%' and nspname <> 'information_schema' and not exists (
    select from pg_depend where classid = 'pg_class'::regclass and objid = c.oid and deptype = 'e'
)
"""


@every_species
def test_a_restored_database_equals_its_original(zoo_keeper: Pgkeeper, zoo_backup: Run, species: Species, zoo_cluster: Cluster) -> None:
    report = zoo_keeper.restore(zoo_backup.outcome(species.database)["backup_id"])
    try:
        assert report["database"] == species.database
        assert report["target"] != species.database
        assert_same_database(zoo_cluster, species.database, report["target"])
    finally:
        zoo_cluster.drop_database(report["target"])


def test_the_rows_a_dump_leaves_out_are_named(zoo_backup: Run) -> None:
    warnings = zoo_backup.outcome("extensions")["warnings"]
    assert any("zoo_member" in warning for warning in warnings), warnings
    assert not any("zoo_config" in warning for warning in warnings), warnings
