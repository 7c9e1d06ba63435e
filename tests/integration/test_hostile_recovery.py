"""Code of ordinary roles gains nothing while a cluster is recovered, looked into, or checked where it runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .support.archive import Archive, archived
from .support.product import DONE
from .support.shapes import TOGETHER, Shape, plant
from .support.strike import NEIGHBOURHOOD, OWNER, ROLES, Witness, strike
from .support.workspace import Workspace

# pg_amcheck names an index by its number, and that is the better match for a function that takes one.
OVERLOADS = """
create function public.bt_index_check(index oid, heapallindexed boolean) returns void language plpgsql as $$
begin perform amcheck_overload.strike(); end $$;
create function public.verify_heapam(
  relation oid, on_error_stop boolean, check_toast boolean, skip text,
  out blkno bigint, out offnum int, out attnum int, out msg text
) returns setof record language plpgsql as $$ begin perform amcheck_overload.strike(); end $$;
create function public.verify_heapam(
  relation oid, on_error_stop boolean, check_toast boolean, skip text, startblock bigint, endblock bigint,
  out blkno bigint, out offnum int, out attnum int, out msg text
) returns setof record language plpgsql as $$ begin perform amcheck_overload.strike(); end $$;
"""


@dataclass
class Recovered:
    """A cluster that archives, with hostile databases in it, and who hears what they do."""

    archive: Archive
    marks: Path
    witness: Witness

    def outcomes(self, *arguments: str) -> dict[str, dict[str, Any]]:
        """What `pitr verify` says of each thing it looked at."""
        run = self.archive.pitr("verify", *arguments)
        return {f"{outcome['subject']} {outcome['name']}": outcome for outcome in run.json["outcomes"]}


@pytest.fixture(scope="module")
def hostile(workspace: Workspace) -> Iterator[Recovered]:
    """Databases `shapes` with all shapes, `overloaded` with amcheck where its owner may create, `closed` with amcheck where nobody may."""
    archive = archived(workspace, "hostile")
    cluster, marks = archive.cluster, workspace.directory("recovery-marks")
    cluster.psql("postgres", ROLES)
    for name in ("shapes", "overloaded", "closed"):
        cluster.execute(f"create database {name} owner {OWNER}")
        cluster.psql(name, NEIGHBOURHOOD)
    # Names that pgkeeper might want to take itself, taken by somebody else.
    cluster.psql("shapes", f"create schema pgkeeper_amcheck authorization {OWNER}; create schema pgkeeper authorization {OWNER};")
    for shape in TOGETHER:
        plant(cluster, "shapes", shape, marks)
    overload = Shape("amcheck_overload", OWNER, quiet=False, refused=None, parts=((False, OVERLOADS),))
    cluster.psql("overloaded", "create extension amcheck schema public;")
    plant(cluster, "overloaded", overload, marks)
    cluster.psql("closed", "create schema checks; create extension amcheck schema checks; create table t (n int primary key);")
    # What an owner leaves behind who cancels DROP DATABASE at the right moment.
    cluster.execute(f"create database half_dropped owner {OWNER}")
    cluster.execute("update pg_database set datconnlimit = -2 where datname = 'half_dropped'")
    witness = Witness(cluster.data / "server.log", marks)
    archive.pgkeeper("pitr", "backup", "--quiet").exits(DONE)
    archive.switch()
    yield Recovered(archive, marks, witness)
    archive.end()


def test_overloads_of_amcheck_would_strike(hostile: Recovered) -> None:
    hostile.archive.cluster.execute(
        "select public.bt_index_check(index := c.oid, heapallindexed := false) from pg_class c where relkind = 'i' limit 1",
        database="overloaded",
    )
    assert "amcheck_overload" in hostile.witness.struck().gained


def test_a_check_of_the_running_cluster_calls_nobodys_overloads(hostile: Recovered) -> None:
    hostile.witness.struck()
    found = hostile.outcomes()
    assert hostile.witness.struck().summary == ""
    assert "database half_dropped" not in found
    assert found["database closed"]["status"] == "whole"
    assert found["database overloaded"]["status"] == "skipped"
    assert found["database overloaded"]["reason"]


def test_neither_a_schema_nor_a_half_dropped_database_of_anybodys_stands_in_the_way_of_a_proof(hostile: Recovered) -> None:
    hostile.witness.struck()
    found = hostile.outcomes("--restore")["recovery local"]
    assert hostile.witness.struck().summary == ""
    assert found["status"] == "whole", found


def test_a_recovered_cluster_runs_nobodys_code_as_a_superuser(hostile: Recovered) -> None:
    hostile.witness.struck()
    directory = Path(hostile.archive.pitr("restore", "--latest").exits(DONE).json["directory"])
    inside = Witness(directory / "server.log", hostile.marks, heard=0)
    try:
        assert inside.struck().summary == ""
        assert hostile.witness.struck().summary == ""
        hostile.archive.psql_at(directory, _STRIKE_HERE)
        assert "control" in inside.struck().gained, "nobody would have heard it"
    finally:
        hostile.archive.pgkeeper("pitr", "stop", str(directory), "--remove").exits(DONE)


_STRIKE_HERE = strike("control", OWNER, Path("/nowhere")) + "select strike();"
