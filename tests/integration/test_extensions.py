"""Databases with extensions that do more than others in their scripts are proven and come back."""

from __future__ import annotations

import pytest

from .support.binaries import major_version
from .support.product import Pgkeeper
from .support.round_trip import proven_restored_and_replaced

POSTGIS = """
create extension postgis; create extension postgis_topology; create extension postgis_raster;
insert into spatial_ref_sys (srid, auth_name, auth_srid, srtext, proj4text) values (990001, 'own', 1, 'LOCAL_CS["own"]', '+proj=tmerc');
create table places (id int, flat geometry(Point, 990001), round geography(Point, 4326));
insert into places select i, st_setsrid(st_makepoint(i, i), 990001), st_makepoint(i, i)::geography from generate_series(1, 80) i;
create index on places using gist (flat); create index on places using gist (round);
select topology.createtopology('roads', 4326);
create table tiles (id serial primary key, rast raster);
insert into tiles (rast)
  select st_addband(st_makeemptyraster(10, 10, i * 10, 0, 1, -1, 0, 0, 4326), '8BUI'::text, i, 0) from generate_series(1, 4) i;
create index on tiles using gist (st_convexhull(rast)); select addrasterconstraints('tiles'::name, 'rast'::name);
"""
PARTMAN = """
create schema partman; create extension pg_partman schema partman;
create table visits (id bigint, at timestamptz not null) partition by range (at);
"""
PERIODS = """
create extension periods cascade; create table prices (id int primary key, price int);
select periods.add_system_time_period('prices'); select periods.add_system_versioning('prices');
insert into prices values (1, 10); update prices set price = 11;
"""
# As pg_partman and others look into tables that are not everybody's.
DEFINER = """
create table kinds (kind text); revoke all on kinds from public; insert into kinds values ('known');
create function known(text) returns boolean language sql stable security definer set search_path = public
    as 'select exists (select from kinds where kind = $1)';
create table things (kind text check (known(kind))); insert into things values ('known');
"""


def partman() -> str:
    # Version 5, of Debian 13, knows no other kind than the native one.
    how = "'native', 'daily'" if major_version() < 17 else "'1 day'"
    return PARTMAN + f"select partman.create_parent('public.visits', 'at', {how}); insert into visits values (1, now());"


@pytest.mark.parametrize("script", [POSTGIS, partman(), PERIODS, DEFINER], ids=["postgis", "pg_partman", "periods", "security definer"])
def test_a_database_with_it_is_proven_restored_and_replaced(pgkeeper: Pgkeeper, script: str) -> None:
    pgkeeper.create_database("app", script)
    proven_restored_and_replaced(pgkeeper)
