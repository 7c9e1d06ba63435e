"""What only a newer PostgreSQL than Debian's has is backed up, proven and restored."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .conftest import assert_nothing_left
from .support.cluster import Cluster
from .support.newer_postgresql import newer_postgresql
from .support.product import Pgkeeper
from .support.round_trip import proven_restored_and_replaced
from .support.workspace import Workspace

# Documentation of PostgreSQL 18, "E.1.3. Changes": virtual generated columns, temporal keys, constraints that are not enforced, NOT NULL
# constraints with names, and such that are not validated.
NEW = """
create table prices (item int, price numeric, gross numeric generated always as (price * 1.19) virtual,
    net text generated always as (price || ' net') stored);
insert into prices (item, price) select i, i * 1.5 from generate_series(1, 200) i;
create table rooms (room int4range, during daterange, guest text, constraint rooms_pk primary key (room, during without overlaps));
create table stays (id int, room int4range, during daterange,
    constraint stays_room foreign key (room, period during) references rooms (room, period during));
insert into rooms values ('[1,2)', '[2026-01-01,2026-07-01)', 'a'), ('[1,2)', '[2026-07-01,2027-01-01)', 'b');
insert into stays values (1, '[1,2)', '[2026-03-01,2026-09-01)');
create table kinds (kind int primary key);
create table loose (a int constraint positive check (a > 0) not enforced, kind int references kinds not enforced);
insert into loose values (-1, 7);
create table holes (a int, b int constraint b_there not null); insert into holes values (null, 1);
alter table holes add constraint a_there not null a not valid;
"""


@pytest.fixture(scope="module")
def newer(workspace: Workspace) -> Iterator[Pgkeeper]:
    """A pgkeeper of a server of that version."""
    with newer_postgresql() as binaries:
        cluster = Cluster(workspace, "newer", binaries=binaries)
        keeper = Pgkeeper(cluster, workspace.path / "newer")
        yield keeper
        assert_nothing_left(keeper)
        cluster.stop()


def test_its_new_kinds_of_columns_keys_and_constraints_are_proven_restored_and_replaced(newer: Pgkeeper) -> None:
    newer.create_database("app", NEW)
    assert proven_restored_and_replaced(newer)["warnings"] == []
