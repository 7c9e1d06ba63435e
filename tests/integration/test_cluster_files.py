"""A cluster's files are told about as they are, running or not, and damage in them is found without a trace of the search."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgkeeper.model.errors import IntegrityError, OperationFailed
from pgkeeper.operations import recovered_pages
from pgkeeper.operations.recovered_pages import check_all_pages
from pgkeeper.postgres.data_directory import announce_timeline, control_facts, is_running, link_tablespaces, tablespace_links
from pgkeeper.postgres.page_check import check_pages
from pgkeeper.postgres.server import Server
from pgkeeper.postgres.side_cluster import SideCluster

from .support.cluster import Cluster
from .support.user import SERVICE_USER
from .support.workspace import Workspace

PAGE = 8192


@pytest.fixture(scope="module")
def files(workspace: Workspace) -> Iterator[Cluster]:
    """A cluster of this module's own, which may be broken."""
    cluster = Cluster(workspace, "files")
    yield cluster
    cluster.stop()


def server_of(cluster: Cluster) -> Server:
    return Server({**cluster.environment(), "PGUSER": SERVICE_USER})


def test_the_control_file_tells_whose_the_files_are_and_whether_they_are_at_rest(files: Cluster) -> None:
    ((identifier, timeline),) = files.query(
        "select system_identifier::text, (select timeline_id from pg_control_checkpoint()) from pg_control_system()"
    )
    facts = control_facts(files.data)
    assert (facts.system_identifier, facts.timeline, facts.segment_bytes, facts.clean) == (identifier, timeline, 16 << 20, False)
    assert is_running(files.data)
    files.stop()
    try:
        assert control_facts(files.data).clean
        assert not is_running(files.data)
    finally:
        files.start()


def test_a_damaged_control_file_is_not_believed(files: Cluster, tmp_path: Path) -> None:
    (tmp_path / "global").mkdir()
    (tmp_path / "PG_VERSION").write_text((files.data / "PG_VERSION").read_text())
    content = (files.data / "global" / "pg_control").read_bytes()
    (tmp_path / "global" / "pg_control").write_bytes(bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(OperationFailed, match="damaged"):
        control_facts(tmp_path)
    with pytest.raises(OperationFailed, match="no data directory"):
        control_facts(tmp_path / "global")


def test_a_server_that_is_gone_or_somebody_elses_is_none(files: Cluster, tmp_path: Path) -> None:
    (tmp_path / "postmaster.pid").write_text((files.data / "postmaster.pid").read_text())
    assert not is_running(tmp_path)
    (tmp_path / "postmaster.pid").write_text("4194305\n")
    assert not is_running(tmp_path)
    (tmp_path / "postmaster.pid").write_text("")
    assert not is_running(tmp_path)


def test_settings_of_ours_are_never_kept_as_productions(files: Cluster, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "global").mkdir(parents=True)
    for name in ("PG_VERSION", "global/pg_control"):
        (data / name).write_bytes((files.data / name).read_bytes())
    settings = data / "postgresql.auto.conf"
    settings.write_text("work_mem = '7MB'\n")
    first, second = (SideCluster(tmp_path / name, data) for name in ("first", "second"))
    for side in (first, second):
        assert side.configured is (side is second)
        side.directory.mkdir()
        side.configure({})
    assert [path.name for path in tmp_path.glob("*/*.production")] == ["postgresql.auto.conf.production"]
    for _ in range(2):
        first.give_back()
        assert (settings.read_text(), first.configured) == ("work_mem = '7MB'\n", False)
    # Nothing of ours is there to be taken away.
    second.give_back()
    assert settings.read_text() == "work_mem = '7MB'\n"


def test_tablespaces_are_led_elsewhere_and_twice_is_no_harm(tmp_path: Path) -> None:
    (tmp_path / "pg_tblspc" / "16400").mkdir(parents=True)
    (tmp_path / "pg_tblspc" / "16401").symlink_to("/somewhere")
    for _ in range(2):
        link_tablespaces(tmp_path, {16401: Path("/elsewhere"), 16402: Path("/new")})
    assert tablespace_links(tmp_path) == {16401: Path("/elsewhere"), 16402: Path("/new")}
    assert sorted(path.name for path in (tmp_path / "pg_tblspc").iterdir()) == ["16400", "16401", "16402"]


def test_only_what_is_finished_of_a_new_timeline_is_announced(files: Cluster, tmp_path: Path) -> None:
    facts = control_facts(files.data)
    log = tmp_path / "pg_wal"
    (log / "archive_status").mkdir(parents=True)
    current = facts.position // facts.segment_bytes
    names = [f"00000007{number // 256:08X}{number % 256:08X}" for number in (current - 1, current, current + 1)]
    for name in (*names, "00000007.history", "00000006.history", "0000000600000000000000FF"):
        (log / name).write_bytes(b"")
    assert announce_timeline(tmp_path, 7, facts) == ["00000007.history", names[0]]
    assert {path.name for path in (log / "archive_status").iterdir()} == {"00000007.history.ready", f"{names[0]}.ready"}


def test_damaged_pages_are_named_and_the_search_leaves_nothing(files: Cluster) -> None:
    files.execute("create database pages template template0")
    files.psql(
        "pages", "create table t as select n, repeat('x', 100) as filler from generate_series(1, 2000) n; create index t_n on t (n);"
    )
    files.execute("checkpoint")
    before = (
        files.query("select count(*) from pg_namespace", database="pages"),
        files.query("select extname from pg_extension", database="pages"),
    )
    assert check_pages(server_of(files), "pages") == ()
    ((path,),) = files.query("select pg_relation_filepath('t')", database="pages")
    files.stop()
    with (files.data / str(path)).open("r+b") as file:
        # The first row of the third page is said to begin at an odd byte.
        file.seek(2 * PAGE + 24)
        file.write((100 << 17 | 1 << 15 | 0x1235).to_bytes(4, "little"))
    files.start()
    found = check_pages(server_of(files), "pages")
    assert found
    assert any("t: block 2" in line for line in found)
    after = (
        files.query("select count(*) from pg_namespace", database="pages"),
        files.query("select extname from pg_extension", database="pages"),
    )
    assert after == before
    files.drop_database("pages")


class Recovered(SideCluster):
    """One that is reached where a test's cluster is."""

    files: Cluster

    @property
    def server(self) -> Server:
        return server_of(self.files)


def test_a_table_that_cannot_be_read_is_damage_also_without_amcheck(files: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recovered, "files", files, raising=False)
    monkeypatch.setattr(recovered_pages, "check_pages", lambda *_: None)
    files.execute("create database rows template template0")
    before = check_all_pages(Recovered(files.data, files.data))
    files.psql(
        "rows",
        """
        create schema "a "" b"; create table "a "" b"."T.t" as select 1 as n; create materialized view m as select 1 as n;
        create table parent (n int) partition by list (n); create table part partition of parent for values in (1);
        create materialized view not_yet as select 1 as n with no data; create view seen as select 1 / 0 as n;
        create table empty (); create unlogged table fast (n int); alter database rows set constraint_exclusion = on;
        create table meanwhile (); create table theirs (n int);
        create function boom(int) returns int immutable language plpgsql
            as $$begin if to_regclass('public.meanwhile') is null then raise 'mine'; end if; return 1; end$$;
        create index on theirs (boom(1));
        drop table meanwhile;
        """,
    )
    seen = check_all_pages(Recovered(files.data, files.data))
    assert set(before.unchecked) == {"postgres", "rows"}
    assert seen == before._replace(tables_read=before.tables_read + 5)

    files.execute("checkpoint")
    ((path,),) = files.query("""select pg_relation_filepath('"a "" b"."T.t"')""", database="rows")
    files.stop()
    (files.data / str(path)).unlink()
    files.start()
    with pytest.raises(IntegrityError, match="rows is damaged") as caught:
        check_all_pages(Recovered(files.data, files.data))
    assert '"a "" b"."T.t": could not open file' in caught.value.why
    files.drop_database("rows")


def test_what_cannot_be_looked_into_is_an_error_but_a_warning_where_nothing_else_is_left(
    files: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recovered, "files", files, raising=False)
    recovered = Recovered(files.data, files.data)
    files.execute("create database closed template template0")
    ((oid,),) = files.query("select oid from pg_database where datname = 'closed'")
    version = files.data / "base" / str(oid) / "PG_VERSION"
    content = version.read_bytes()
    version.unlink()
    with pytest.raises(OperationFailed, match="closed"):
        check_all_pages(recovered)
    seen = check_all_pages(recovered, only_copy=True)
    assert seen.unchecked == ("closed",)
    assert "not a valid data directory" in "; ".join(seen.warnings)
    assert seen.tables_read > 0
    version.write_bytes(content)
    files.drop_database("closed")


def test_a_database_that_was_half_dropped_is_not_looked_into(files: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recovered, "files", files, raising=False)
    files.execute("create database half_dropped template template0")
    # As an interrupted DROP DATABASE leaves it.
    files.execute("update pg_database set datconnlimit = -2 where datname = 'half_dropped'")
    assert check_all_pages(Recovered(files.data, files.data)).unchecked == ()
    files.execute("drop database half_dropped")


def test_damage_is_no_less_where_nothing_else_is_left(files: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recovered, "files", files, raising=False)
    files.execute("create database rotten template template0")
    files.psql("rotten", "create table t as select 1 as n")
    files.execute("checkpoint")
    ((path,),) = files.query("select pg_relation_filepath('t')", database="rotten")
    files.stop()
    (files.data / str(path)).unlink()
    files.start()
    with pytest.raises(IntegrityError, match="rotten is damaged"):
        check_all_pages(Recovered(files.data, files.data), only_copy=True)
    files.drop_database("rotten")


def test_a_long_value_whose_pieces_are_lost_is_damage(files: Cluster) -> None:
    files.execute("create database long template template0")
    files.psql("long", "create table t as select string_agg(md5(n::text), '') as text from generate_series(1, 1000) n")
    files.execute("checkpoint")
    assert check_pages(server_of(files), "long") == ()
    ((path,),) = files.query("select pg_relation_filepath(reltoastrelid) from pg_class where oid = 't'::regclass", database="long")
    files.stop()
    with (files.data / str(path)).open("r+b") as file:
        # The pointer to the first piece says that there is none: a whole page, for all that can be seen there.
        file.seek(24)
        file.write(bytes(4))
    files.start()
    (found, *_) = check_pages(server_of(files), "long") or ("",)
    assert "public.t: " in found
    assert "toast" in found
    files.drop_database("long")
