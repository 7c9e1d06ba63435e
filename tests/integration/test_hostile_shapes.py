"""Code that an ordinary role wrote never runs with more than that role's rights, whichever shape it comes in and through whichever door.

All shapes lie in one database, each in a schema of its own, and go through each door at once. `PGKEEPER_SHAPES=name,name` leaves the
others out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from .conftest import assert_nothing_left
from .support.binaries import server_binary
from .support.cluster import Cluster, dbname
from .support.compare import assert_same_contents
from .support.object_storage import make_bucket
from .support.off_site import another_host, identity, set_up
from .support.product import DONE, REFUSED, Pgkeeper, Run
from .support.shapes import APART, TOGETHER, Shape, plant
from .support.strike import NEIGHBOURHOOD, OWNER, ROLES, Struck, Witness
from .support.user import run_as_service_user
from .support.visitors import nobody_visits
from .support.workspace import Workspace

CONFIRMED = ("--confirm", "RESTORE")
LOUD = [shape for shape in TOGETHER if not shape.quiet]
QUIET = [shape for shape in TOGETHER if shape.quiet]


@dataclass
class Arena:
    """A cluster with hostile databases, a pgkeeper for it, and a witness. `storage` is the address of a provider of buckets."""

    cluster: Cluster
    storage: str
    keeper: Pgkeeper
    marks: Path
    witness: Witness
    backups: dict[str, str] = field(default_factory=dict)
    passed: dict[tuple[str, str], tuple[Run, Struck]] = field(default_factory=dict)

    def build(self, database: str, shapes: tuple[Shape, ...] | list[Shape]) -> None:
        """Make a database of mallory's with these shapes."""
        self.keeper.create_database(database, f"alter database {database} owner to {OWNER};{NEIGHBOURHOOD}")
        for shape in shapes:
            plant(self.cluster, database, shape, self.marks)
        self.witness.struck()

    def restore_plainly(self, database: str) -> Struck:
        """What strikes when a superuser restores the database with PostgreSQL's own programs."""
        target, archive = f"{database}_plain", f"{self.keeper.home}/plain.dump"
        self.keeper.create_database(target, "")
        environment = {"PATH": "/usr/bin:/bin", "PGAPPNAME": "test-bed", **self.cluster.environment()}
        for program, *arguments in (
            ("pg_dump", "-Fc", "-f", archive, "-d", dbname(database)),
            ("pg_restore", "-d", dbname(target), archive),
        ):
            done = run_as_service_user([server_binary(program), *arguments], environment)
            assert program == "pg_restore" or done.returncode == 0, done.stderr
        struck = self.witness.struck()
        self.cluster.drop_database(target)
        return struck

    def call(self, *arguments: str, keeper: Pgkeeper | None = None) -> tuple[Run, Struck]:
        """What pgkeeper answers, or that of another host, and what struck meanwhile."""
        self.witness.struck()
        run = (keeper or self.keeper)(*arguments, seconds=600)
        return run, self.witness.struck()

    def backup(self, database: str) -> str:
        """The id of a backup of the database, which is made once."""
        if database not in self.backups:
            self.passed["backup", database] = self.call("backup", "--database", database, "--json")
            self.backups[database] = str(self.passed["backup", database][0].exits(DONE).outcome(database)["backup_id"])
        return self.backups[database]


@pytest.fixture(scope="module")
def arena(workspace: Workspace, storage: str) -> Iterator[Arena]:
    cluster = Cluster(workspace, "shapes")
    keeper = Pgkeeper(cluster, workspace.path / "shapes-keeper")
    marks = workspace.directory("shapes-marks")
    cluster.psql("postgres", ROLES)
    yield Arena(cluster, storage, keeper, marks, Witness(cluster.data / "server.log", marks))
    assert_nothing_left(keeper)
    cluster.stop()


@pytest.fixture(scope="module")
def together(arena: Arena) -> Arena:
    """The arena with all shapes that a restore must take, in database `shapes`."""
    arena.build("shapes", TOGETHER)
    return arena


@pytest.fixture(scope="module")
def plainly(together: Arena) -> Struck:
    """What struck when that database was restored with pg_restore."""
    return together.restore_plainly("shapes")


def backup(arena: Arena) -> tuple[Run, Struck]:
    arena.backup("shapes")
    return arena.passed["backup", "shapes"]


def verify(arena: Arena) -> tuple[Run, Struck]:
    backup_id = arena.backup("shapes")
    with nobody_visits(arena.cluster):
        return arena.call("verify", backup_id, "--level", "restore")


def restore(arena: Arena) -> tuple[Run, Struck]:
    return arena.call("restore", arena.backup("shapes"), "--to", "shapes_beside")


def drill(arena: Arena) -> tuple[Run, Struck]:
    arena.backup("shapes")
    bucket = make_bucket(arena.storage)
    set_up(arena.keeper, arena.storage, bucket)
    arena.keeper("sync").exits(DONE)
    driller = another_host(arena.keeper, arena.storage, bucket, "driller", BACKUP_CLOUD_EXPIRY="bucket")
    answer = arena.call("drill", "run", "--host", identity(arena.keeper), "--database", "shapes", "--json", keeper=driller)
    assert_nothing_left(driller)
    return answer


def replace(arena: Arena) -> tuple[Run, Struck]:
    return arena.call("restore", arena.backup("shapes"), "--replace", *CONFIRMED)


def undo(arena: Arena) -> tuple[Run, Struck]:
    through(arena, replace)[0].exits(DONE)
    return arena.call("restore", "--undo", *CONFIRMED)


Door = Callable[[Arena], tuple[Run, Struck]]
DOORS: list[Door] = [backup, verify, restore, drill, replace, undo]
every_door = pytest.mark.parametrize("door", DOORS, ids=[door.__name__ for door in DOORS])


def through(arena: Arena, door: Door) -> tuple[Run, Struck]:
    """What came of one door, which is gone through once."""
    key = door.__name__, "shapes"
    if key not in arena.passed:
        arena.passed[key] = door(arena)
    return arena.passed[key]


@pytest.mark.parametrize("shape", LOUD, ids=str)
def test_a_plain_restore_as_superuser_makes_its_owner_a_superuser(plainly: Struck, shape: Shape) -> None:
    assert any("a file of the server's" in how for how in plainly.gained.get(shape.name, ())), plainly.ran.get(shape.name)


@pytest.mark.parametrize("shape", QUIET, ids=str)
def test_a_shape_that_waits_for_somebody_more_powerful_would_be_noticed(together: Arena, plainly: Struck, shape: Shape) -> None:
    assert shape.name not in plainly.gained, "it is not quiet any more"
    together.cluster.execute(f"select {shape.name}.strike()", database="shapes")
    assert any("a file of the server's" in how for how in together.witness.struck().gained[shape.name])


@every_door
def test_no_code_has_more_rights_than_who_wrote_it(together: Arena, door: Door) -> None:
    assert through(together, door)[1].summary == ""


@every_door
def test_no_shape_of_an_ordinary_owner_is_in_the_way(together: Arena, door: Door) -> None:
    through(together, door)[0].exits(DONE)


def test_what_is_restored_is_what_was_backed_up(together: Arena) -> None:
    through(together, restore)[0].exits(DONE)
    assert_same_contents(together.cluster, "shapes", "shapes_beside")


@pytest.mark.parametrize("shape", APART, ids=str)
def test_what_a_superuser_let_an_ordinary_role_in_on_is_restored_harmlessly_or_refused(arena: Arena, shape: Shape) -> None:
    arena.build(shape.name, [shape])
    assert shape.name in arena.restore_plainly(shape.name).gained, "the shape proves nothing"
    backup_id = arena.backup(shape.name)
    assert arena.passed["backup", shape.name][1].summary == ""
    for arguments in (("--to", f"{shape.name}_beside"), ("--replace", *CONFIRMED)):
        run, struck = arena.call("restore", backup_id, *arguments)
        assert struck.summary == "", run.output
        if run.exit_status != DONE:
            refusal = run.exits(REFUSED).error
            assert shape.refused is not None
            assert shape.refused in refusal
            assert "--trust-database" in refusal
    with nobody_visits(arena.cluster):
        run, struck = arena.call("verify", backup_id, "--level", "restore")
    assert struck.summary == "", run.output
    run.exits(DONE)
    arena.keeper.restore(backup_id, "--to", f"{shape.name}_trusted", "--trust-database")
