"""The catalog on a PostgreSQL server keeps the promises of every catalog."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgkeeper.catalog.catalog import Catalog
from pgkeeper.catalog.errors import CatalogNewer, CatalogUnusable
from tests.contracts.catalog import CatalogContract, a_job, jobs, put

from .support.cluster import Cluster


@pytest.fixture
def catalog(cluster: Cluster, tmp_path: Path) -> Iterator[Catalog]:
    cluster.execute("create database catalog template template0")
    host, port = cluster.environment()["PGHOST"], cluster.environment()["PGPORT"]
    try:
        yield Catalog(tmp_path, f"postgresql+psycopg://postgres@/catalog?host={host}&port={port}")
    finally:
        cluster.drop_database("catalog")


class TestServer(CatalogContract):
    """The promises."""


def test_a_catalog_of_a_newer_release_is_left_alone(catalog: Catalog, cluster: Cluster) -> None:
    put(catalog, a_job(catalog))
    cluster.psql("catalog", "update alembic_version set version_num = '9999'")
    with pytest.raises(CatalogNewer):
        jobs(catalog)


def test_a_lock_on_the_server_is_not_waited_for_long(catalog: Catalog, cluster: Cluster) -> None:
    put(catalog, a_job(catalog))
    with cluster.connect("catalog") as session:
        session.execute("begin")
        session.execute("lock table jobs")
        with pytest.raises(CatalogUnusable, match="timeout"):
            jobs(catalog)
